"""Status and report of finished sweeps: statistics against scipy, and the trials left out."""

import json
import random

import numpy
import pytest
import scipy.stats
from conftest import run


def made_up_sweep(folder, alphas=("0", "5", "20"), seeds=5, more=()):
    """Writes a finished sweep with random numbers and returns them by alpha. `more` are further
    keys to set in each trial, to its alpha."""
    draw, figures, trials = random.Random(5), {}, []
    for alpha in alphas:
        for seed in range(seeds):
            row = {"policy": "list-grpo", "jaccard": draw.gauss(0.4, 0.02),
                   "ddi": draw.gauss(0.12, 0.01)}
            figures.setdefault(alpha, []).append(row)
            name = f"{alpha}-{seed}"
            settings = [["reward.alpha", alpha], *([key, alpha] for key in more)]
            trials.append({"id": name, "settings": settings, "seed": seed, "parent": ""})
            for file, content in [
                    (f"attempts/{name}/1.json",
                     {"owner": "host:1", "beat": 2, "end": "done", "status": 0}),
                    (f"trials/{name}/evaluation.json",
                     {"split": "test", "num_visits": 9, "truth": {"ddi": 0.1}, "rows": [row]}),
                    (f"trials/{name}/grpo/metrics.jsonl",
                     {"step": 1, "reward_mean": draw.gauss(0, 1), "reward_std": 0.1})]:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(json.dumps(content))
    (folder / "sweep.json").write_text(json.dumps({
        "criterion": {"policy": "list-grpo", "maximize": "jaccard", "ddi_at_most": 1,
                      "ddi_weight": 0.5},
        "retries": 1, "heartbeat_deadline": 60, "stages": [], "trials": trials}))
    return figures


def test_statistics_agree_with_scipy(tmp_path):
    figures = made_up_sweep(tmp_path)
    result = json.loads(run("sweep", "report", tmp_path, "--json").stdout)
    scores = {}
    for point in result["points"]:
        alpha = point["settings"]["reward.alpha"]
        for column in ("jaccard", "ddi"):
            values = [row[column] for row in figures[alpha]]
            low, high = scipy.stats.t.interval(0.95, len(values) - 1, loc=numpy.mean(values),
                                               scale=scipy.stats.sem(values))
            found = point["columns"][column]
            assert found["count"] == 5
            assert found["mean"] == pytest.approx(numpy.mean(values), rel=1e-12)
            assert found["half_width"] == pytest.approx((high - low) / 2, rel=1e-9)
        scores[alpha] = numpy.mean([r["jaccard"] - 0.5 * r["ddi"] for r in figures[alpha]])
    assert result["best"] == {"reward.alpha": max(scores, key=scores.get)}


def test_plots_of_too_many_values_are_named_as_left_out(tmp_path):
    made_up_sweep(tmp_path, [str(alpha) for alpha in range(13)], seeds=1, more=["credit.lambda"])
    run("sweep", "report", tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Left out: credit.lambda has 13 values and reward.alpha 13; expected at most" in page
    assert "Left out: reward.alpha has 13 values and credit.lambda 13; expected at most 12" in page
    assert "Lines and names are left out" in page
    assert page.count("<svg") == 1  # the trade-off, as one cloud


def test_damaged_trials_are_told_and_the_others_shown(tmp_path):
    made_up_sweep(tmp_path, seeds=3)
    (tmp_path / "trials/0-0/evaluation.json").unlink()
    evaluation = tmp_path / "trials/5-1/evaluation.json"
    evaluation.write_text(evaluation.read_text().replace('"ddi": 0.1}', '"ddi": null}'))
    (tmp_path / "trials/20-2/grpo/metrics.jsonl").write_text('{"step": 1}\n')
    status = run("sweep", "status", tmp_path)
    assert "9 trials: 2 damaged 7 done" in status.stdout
    result = run("sweep", "report", tmp_path)
    assert "9 trials: 3 damaged 6 done" in result.stdout
    page = (tmp_path / "report.html").read_text()
    for damage in (f"0-0 is damaged: {tmp_path}/trials/0-0/evaluation.json",
                   f"5-1 is damaged: {evaluation}: ",
                   f"20-2 is damaged: {tmp_path}/trials/20-2/grpo/metrics.jsonl:1: expected a step"):
        assert damage in result.stdout and damage in page
    assert f"{tmp_path}/attempts/0-0 and {tmp_path}/trials/0-0 are deleted" in page
    assert "Left out: 3 of 9 trials" in page and page.count("<svg") == 1 + 2
    states = {t["id"]: t["state"] for t in
              json.loads(run("sweep", "status", tmp_path, "--json").stdout)["trials"]}
    assert states["0-0"] == states["5-1"] == "damaged" and states["0-1"] == "done"


def test_best_says_that_no_point_meets_the_criterion(tmp_path):
    made_up_sweep(tmp_path, seeds=2)
    record = json.loads((tmp_path / "sweep.json").read_text())
    record["criterion"]["ddi_at_most"] = 0.01
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    assert "best: none, for no point meets" in run("sweep", "status", tmp_path).stdout
