"""flame evaluate --predictions: other systems on the visits of a run."""

import json
import shutil

import pytest
from conftest import TINY, run


@pytest.fixture
def truths(tiny_run):
    """The test visits' own drugs, by HADM_ID."""
    lines = run("inspect", tiny_run / "corpus.h5", "--visits").stdout.splitlines()
    return {v["hadm"]: v["drugs"] for v in map(json.loads, lines) if v["split"] == "test"}


def evaluate(run_dir, *arguments, check=True):
    return run("evaluate", "--config", TINY, f"run.dir={run_dir}", *arguments, check=check)


def write(file, lists, scores=None):
    file.write_text("".join(
        json.dumps({"hadm_id": hadm, "drugs": drugs, **({"scores": scores(hadm)} if scores else {})}) + "\n"
        for hadm, drugs in lists.items()))
    return file


def test_own_lists_have_their_own_row(tiny_run, tmp_path):
    before = (tiny_run / "evaluation.json").read_bytes()
    rows = {row["policy"]: row for row in json.loads(before)["rows"]}
    files = []
    for policy in rows:
        files.append(str(tmp_path / f"as-{policy}.jsonl"))
        shutil.copy(tiny_run / "predictions" / f"{policy}.jsonl", files[-1])
    shown = json.loads(evaluate(tiny_run, "--predictions", ",".join(files), "--json").stdout)
    again = {row["policy"]: row for row in shown["rows"]}
    for policy, row in rows.items():
        for metric in ("jaccard", "jaccard_ci", "precision", "recall", "f1", "ddi", "ddi_pooled", "drugs"):
            assert again[f"as-{policy}"][metric] == row[metric]
        assert again[policy] == row
        if policy in ("logistic", "knn", "classifier"):  # their files have their scores
            for metric in ("prauc", "prauc_ci", "prauc_pooled"):
                assert again[f"as-{policy}"][metric] == row[metric]
    same = [c for c in shown["comparisons"] if c["policy"] == "as-list-grpo" and c["baseline"] == "list-grpo"]
    assert [c["difference"] for c in same] == [0]
    assert (tiny_run / "evaluation.json").read_bytes() == before


def test_truth_is_perfect_and_is_compared(tiny_run, truths, tmp_path):
    file = write(tmp_path / "truth.jsonl", truths, lambda hadm: dict.fromkeys(truths[hadm], 1))
    out = tmp_path / "out.json"
    shown = evaluate(tiny_run, "--predictions", file, "--out", out).stdout
    result = json.loads(out.read_text())
    row = result["rows"][-1]
    assert (row["policy"], row["jaccard"], row["f1"], row["prauc"]) == ("truth", 1, 1, 1)
    compared = {c["baseline"] for c in result["comparisons"]}
    assert {"classifier-calibrated", "list-grpo"} < compared and len(compared) == 3
    assert all(c["difference"] > 0 for c in result["comparisons"])
    assert "truth - list-grpo, jaccard: +" in shown


def test_wrong_files_are_refused_before_anything_is_shown(tiny_run, truths, tmp_path):
    lacking = write(tmp_path / "lacking.jsonl", dict(list(truths.items())[1:]))
    failed = evaluate(tiny_run, "--predictions", lacking, check=False)
    assert failed.returncode == 3 and f"no line of HADM_ID {next(iter(truths))}" in failed.stderr
    named = write(tmp_path / "knn.jsonl", truths)
    failed = evaluate(tiny_run, "--predictions", named, check=False)
    assert failed.returncode == 2 and "has a row knn already" in failed.stderr
    failed = evaluate(tiny_run, "--predictions", "nowhere.jsonl", check=False)
    assert failed.returncode == 2 and "there is no file 'nowhere.jsonl'" in failed.stderr
    for others in (("--out", "x.json"), ("--on", "x.h5", "--predictions", named)):
        assert evaluate(tiny_run, *others, check=False).returncode == 2


def test_any_two_rows_are_compared(tiny_run):
    evaluation = json.loads((tiny_run / "evaluation.json").read_text())
    shown = json.loads(evaluate(tiny_run, "--compare", "list-grpo,list-sft", "--json").stdout)
    again = {c["metric"]: c for c in shown}
    assert list(again) == ["ddi", "drugs", "f1", "jaccard", "prauc", "precision", "recall"]
    assert again["prauc"]["difference"] == 0  # both rank by the classifier's scores
    known = [c for c in evaluation["comparisons"]
             if (c["policy"], c["baseline"], c["metric"]) == ("list-grpo", "list-sft", "jaccard")]
    assert [again["jaccard"]] == known
    text = evaluate(tiny_run, "--compare", "logistic,knn").stdout
    assert "logistic - knn, prauc: " in text and ", p " in text
    failed = evaluate(tiny_run, "--compare", "list-grpo,nobody", check=False)
    assert failed.returncode == 2 and "has no row 'nobody'; expected two of popularity" in failed.stderr
    failed = evaluate(tiny_run, "--compare", "list-grpo", check=False)
    assert failed.returncode == 2 and "expected two rows such as" in failed.stderr


def test_details_agree_with_the_lists(tiny_run, truths):
    evaluation = json.loads((tiny_run / "evaluation.json").read_text())
    rows = {row["policy"]: row for row in evaluation["rows"]}
    for by in {group["by"] for group in evaluation["groups"]}:
        groups = [group for group in evaluation["groups"] if group["by"] == by]
        assert sum(group["num_visits"] for group in groups) == evaluation["num_visits"] == len(truths)
        for policy, row in rows.items():  # groups divide the visits, so their means give the whole
            parts = [(group["num_visits"], r["jaccard"]) for group in groups
                     for r in group["rows"] if r["policy"] == policy]
            whole = sum(n * jaccard for n, jaccard in parts) / len(truths)
            assert whole == pytest.approx(row["jaccard"], abs=1e-12)
    for curve in evaluation["abstention"]:
        assert curve["levels"][0]["jaccard"] == pytest.approx(rows[curve["policy"]]["jaccard"], abs=1e-12)
    assert [c["policy"] for c in evaluation["calibration"]] == ["logistic", "knn", "classifier"]
    for curve in evaluation["phi"]:
        lists = [step["lists"] for step in curve["steps"]]
        assert lists[0] == len(truths) and lists == sorted(lists, reverse=True)
    for errors in evaluation["errors"]:
        lines = (tiny_run / "predictions" / f"{errors['policy']}.jsonl").read_text().splitlines()
        lists = {line["hadm_id"]: set(line["drugs"]) for line in map(json.loads, lines)}
        for entry in errors["wrong"]:
            assert entry["count"] == sum(entry["drug"] in lists[h] - set(truths[h]) for h in lists)
        for entry in errors["missed"]:
            assert entry["count"] == sum(entry["drug"] in set(truths[h]) - lists[h] for h in lists)


def test_damaged_or_missing_files_are_named(tiny_run, tmp_path):
    damaged = tmp_path / "run"
    shutil.copytree(tiny_run, damaged)
    (damaged / "predictions/list-sft.jsonl").unlink()
    record = json.loads((damaged / ".stages/evaluate.json").read_text())
    del record["outputs"]["predictions/list-sft.jsonl"]
    (damaged / ".stages/evaluate.json").write_text(json.dumps(record))
    failed = evaluate(damaged, "--compare", "list-grpo,list-sft", check=False)
    assert failed.returncode == 3
    assert f"{damaged}/predictions/list-sft.jsonl is missing; delete {damaged}/evaluation.json" in failed.stderr
    evaluation = json.loads((damaged / "evaluation.json").read_text())
    for change, words in ((lambda e: e.pop("truth"), "expected truth with ddi and drugs"),
                          (lambda e: e.update(rows=[]), "expected rows"),
                          (lambda e: e["rows"][0].pop("policy"), "expected rows with a policy each")):
        changed = json.loads(json.dumps(evaluation))
        change(changed)
        text = json.dumps(changed)
        (damaged / "evaluation.json").write_text(text)
        record["outputs"]["evaluation.json"]["bytes"] = len(text)
        (damaged / ".stages/evaluate.json").write_text(json.dumps(record))
        failed = evaluate(damaged, check=False)
        assert failed.returncode == 3 and f"{damaged}/evaluation.json: {words}" in failed.stderr
