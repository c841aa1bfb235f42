"""A run's policy is evaluated on another hospital, in any layout, with no training."""

import json

import pytest
from conftest import TINY, run


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The hospital of the tiny run's model, other patients, in MIMIC-IV's layout and prescribing."""
    folder = tmp_path_factory.mktemp("other") / "h"
    run("synth", "--patients", 80, "--seed", 9, "--like", "mimic4", "--shift", "prescribing",
        "--out", folder)
    return folder


def onto(hospital, base, out, *settings):
    run("prepare", "data.hospital=mimic4", f"data.root={hospital}",
        f"data.mappings={hospital / 'mappings'}", *settings, "--onto", base, "--out", out)
    return json.loads(run("inspect", out, "--json").stdout)


def test_policy_meets_another_hospital(tiny_run, other, tmp_path):
    corpus, result = tmp_path / "other.h5", tmp_path / "transfer.json"
    before = (tiny_run / "evaluation.json").read_bytes()
    summary = onto(other, tiny_run, corpus, "data.icd10=icd9")
    shown = run("evaluate", "--config", TINY, f"run.dir={tiny_run}", "--on", corpus, "--out", result)
    evaluation = json.loads(result.read_text())
    assert evaluation["hospital"] == "mimic4"
    assert evaluation["num_visits"] == summary["num_visits"]
    rows = {row["policy"]: row for row in evaluation["rows"]}
    assert {"logistic", "knn", "classifier-calibrated", "list-grpo"} <= set(rows)
    # What was learnt on one hospital holds on the other: the drugs of a condition are the same.
    assert rows["logistic"]["jaccard"] > rows["popularity"]["jaccard"]
    assert "list-grpo" in shown.stdout
    some = json.loads(run("evaluate", "--config", TINY, f"run.dir={tiny_run}", "--on", corpus, "--json",
                          "--years", "2014-2016").stdout)
    years = [json.loads(line)["year"] for line in run("inspect", corpus, "--visits").stdout.splitlines()]
    assert some["num_visits"] == sum(2014 <= year <= 2016 for year in years)
    assert (tiny_run / "evaluation.json").read_bytes() == before


def test_codes_of_the_other_version_are_text_without_slots(tiny_run, other, tmp_path):
    kept = onto(other, tiny_run, tmp_path / "kept.h5", "data.icd10=keep")
    crossed = onto(other, tiny_run, tmp_path / "crossed.h5", "data.icd10=icd9")
    own = json.loads(run("inspect", tiny_run / "corpus.h5", "--json").stdout)
    assert kept["num_drugs"] == crossed["num_drugs"] == own["num_drugs"]
    assert kept["num_diagnoses"] > crossed["num_diagnoses"] >= own["num_diagnoses"]
    visits = run("inspect", tmp_path / "kept.h5", "--visits").stdout.splitlines()
    new = next(v for v in map(json.loads, visits)
               if any(code.startswith("ICD10:") for code in v["diagnoses"]))
    shown = run("inspect", tmp_path / "kept.h5", "--visit", new["hadm"]).stdout
    assert "<DrugEmb-0>" in shown
    run("evaluate", "--config", TINY, f"run.dir={tiny_run}", "--on", tmp_path / "kept.h5")


def test_corpus_of_no_run_is_refused(tiny_run, other, tmp_path):
    alone = tmp_path / "alone.h5"
    run("prepare", "data.hospital=mimic4", f"data.root={other}",
        f"data.mappings={other / 'mappings'}", "--out", alone)
    failed = run("evaluate", "--config", TINY, f"run.dir={tiny_run}", "--on", alone, check=False)
    assert failed.returncode == 3
    assert "flame prepare --onto" in failed.stderr
    for wrong in (("--years", "2014-2016"), ("--on", alone, "--years", "2016-2014"),
                  ("--on", alone, "--years", "2014")):
        assert run("evaluate", "--config", TINY, f"run.dir={tiny_run}", *wrong, check=False).returncode == 2
    failed = run("prepare", "data.hospital=mimic4", f"data.root={other}", "--onto", tiny_run,
                 check=False)
    assert failed.returncode == 2 and "--out FILE" in failed.stderr


def test_splits_by_patient_and_year(other, tmp_path):
    def splits(*settings):
        corpus = tmp_path / "split.h5"
        run("prepare", "data.hospital=mimic4", f"data.root={other}",
            f"data.mappings={other / 'mappings'}", *settings, "--out", corpus)
        return [json.loads(line) for line in run("inspect", corpus, "--visits").stdout.splitlines()]

    of_patient = {}
    for visit in splits("data.split_by=patient"):
        assert of_patient.setdefault(visit["subject"], visit["split"]) == visit["split"]
    assert set(of_patient.values()) == {"train", "validation", "test"}
    assert {visit["split"] for visit in splits("data.split_by=time")} == {"train", "validation", "test"}
