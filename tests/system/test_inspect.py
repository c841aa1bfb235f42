"""`flame inspect` tells what a corpus holds, what became of the tables' rows, and what leaks."""

import csv
import json

import pytest
from conftest import run


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital") / "h"
    run("synth", "--patients", 80, "--seed", 4, "--out", folder)
    return folder


def prepared(folder, hospital, *settings):
    corpus = folder / "corpus.h5"
    run("prepare", "data.hospital=mimic3", f"data.root={hospital}",
        f"data.mappings={hospital / 'mappings'}", "data.min_code_rows=0", *settings, "--out", corpus)
    return corpus


def rewritten(hospital, folder, table, change):
    """A copy of the hospital with change(rows) in one table."""
    target = folder / "spoiled"
    target.mkdir()
    for path in hospital.iterdir():
        (target / path.name).symlink_to(path)
    with open(hospital / table, newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    (target / table).unlink()
    with open(target / table, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return target


def leaks(corpus):
    return json.loads(run("inspect", corpus, "--leaks", "--json").stdout)


def test_funnel_ends_in_the_visits(hospital, tmp_path):
    corpus = prepared(tmp_path, hospital)
    summary = json.loads(run("inspect", corpus, "--json").stdout)
    drugs = [step for step in summary["funnel"] if step["table"] == "drugs"]
    with open(hospital / "PRESCRIPTIONS.csv") as file:
        assert drugs[0] == {"table": "drugs", "rule": "rows of PRESCRIPTIONS",
                            "rows": sum(1 for _ in csv.DictReader(file))}
    assert drugs[-1]["visits"] == summary["num_visits"]
    assert drugs[-1]["patients"] == summary["num_patients"]
    shown = run("inspect", corpus).stdout
    assert "DRUG_TYPE other than MAIN" in shown and "drugs with a structure: 58 of 58" in shown


def test_a_hospital_without_a_plant_has_no_leak(hospital, tmp_path):
    found = leaks(prepared(tmp_path, hospital))
    assert found["leaks"] == []
    parts = {part["part"]: part for part in found["parts"]}
    assert parts["Medications on Admission"]["named_true"] > 50
    assert parts["Allergies"]["named"] > 0
    for part in parts.values():
        assert part["named_true"] == sum(m["part"] == part["part"] for m in found["mentions"])


def test_text_written_at_discharge_is_cut_from_tables_and_found_in_records(hospital, tmp_path):
    planted = []

    def plant(rows):
        for row in rows[::9]:
            if row["CATEGORY"] == "Discharge summary" and "Allergies:" in row["TEXT"]:
                row["TEXT"] = row["TEXT"].replace(
                    "Allergies:", "Allergies: discharged on the following: aspirin.", 1)
                planted.append(int(row["HADM_ID"]))

    corpus = prepared(tmp_path, rewritten(hospital, tmp_path, "NOTEEVENTS.csv", plant),
                      "data.min_visits=1")
    assert leaks(corpus)["leaks"] == [] and len(planted) > 5
    assert "discharged on" not in run("inspect", corpus, "--visit", planted[0]).stdout

    run("export", "--records", tmp_path / "records", corpus)
    file = tmp_path / "records" / "records.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines[1:]:
        if line["hadm"] in planted:
            line["note"] = "Allergies: none. Discharged on the following: aspirin."
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    spoiled = tmp_path / "spoiled.h5"
    told = run("prepare", "data.hospital=records", f"data.root={file}", "--out", spoiled).stderr
    assert f"{len(planted)} notes, such as that of hadm" in told
    found = [leak["hadm"] for leak in leaks(spoiled)["leaks"]]
    assert sorted(found) == sorted(planted)
    assert "text written at discharge" in run("inspect", spoiled, "--leaks").stdout


def test_previous_visit_that_goes_on_is_found(hospital, tmp_path):
    def plant(rows):
        for row in rows:
            row["DISCHTIME"] = "2399-01-01 00:00:00"

    spoiled = rewritten(hospital, tmp_path, "ADMISSIONS.csv", plant)
    kinds = {leak["kind"]
             for leak in leaks(prepared(tmp_path, spoiled, "data.visit_order=id"))["leaks"]}
    assert kinds == {"previous visit that goes on"}
    assert leaks(prepared(tmp_path, spoiled))["leaks"] == []


def test_one_visit_with_its_prompts(hospital, tmp_path):
    corpus = prepared(tmp_path, hospital)
    visit = json.loads(run("inspect", corpus, "--visits").stdout.splitlines()[0])
    shown = run("inspect", corpus, "--visit", visit["hadm"]).stdout
    assert f"HADM_ID {visit['hadm']}" in shown and "Candidate drug:" in shown
    for drug in visit["drugs"]:
        assert drug in shown.split("classifier's prompt")[0]
    failed = run("inspect", corpus, "--visit", 5, check=False)
    assert failed.returncode == 2
    assert "no visit of HADM_ID 5" in failed.stderr
