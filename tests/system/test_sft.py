"""Validation, early stopping, the calibrated threshold and class balance, by their config keys."""

import json
import os
import subprocess
import time

import h5py
import pytest
from conftest import FLAME, TINY, metrics, mpirun, run

SFT = ["classifier.validate_every=3", "classifier.validate_examples=20",
       "classifier.threshold=calibrated"]


def read_json(path):
    return json.loads(path.read_text())


def test_calibrated_run_decides_by_the_threshold_in_every_later_stage(tiny_run, run_copy):
    folder = run_copy("classifier", "tasks", "list", "grpo", "evaluate")
    run("pipeline", "--config", TINY, f"run.dir={folder}", *SFT, "list.validate_every=4",
        "evaluate.split=validation")
    threshold = read_json(folder / "classifier" / "model" / "threshold.json")
    assert threshold["jaccard"] > threshold["jaccard_paper"] and threshold["num_visits"] > 20
    assert not (tiny_run / "classifier" / "model" / "threshold.json").exists()
    rows = {row["policy"]: row for row in read_json(folder / "evaluation.json")["rows"]}
    assert rows["classifier-calibrated"]["jaccard"] == pytest.approx(threshold["jaccard"], rel=1e-9)
    assert rows["classifier"]["jaccard"] == pytest.approx(threshold["jaccard_paper"], rel=1e-9)

    with h5py.File(folder / "tasks" / "scores.h5") as file:
        yes, visits = file["yes"][:], file["visits"][:]
    with h5py.File(folder / "tasks" / "tasks.h5") as file:
        edges, inputs = file["input_offsets"][:], file["input"][:]
        first = {visit: set(inputs[edges[i]:edges[i + 1]])
                 for i, visit in reversed(list(enumerate(file["visit"][:])))}
    assert (yes > 0.5).any()
    for row, visit in zip(yes, visits):
        assert first[visit] == set((row > 0.5).nonzero()[0])

    for stage, every in (("classifier", 3), ("list", 4)):
        record = read_json(folder / stage / "validation.json")
        steps = metrics(folder / stage)
        found = [(row["step"], row["validation_loss"]) for row in steps if "validation_loss" in row]
        assert found == [(item["step"], item["loss"]) for item in record["evaluations"]]
        assert [step for step, _ in found] == sorted({*range(every, len(steps) + 1, every), len(steps)})
        best = min(found, key=lambda item: item[1])
        assert (record["best_step"], record["best_loss"]) == best
        assert not record["stopped_early"]

    run("export", "--model", folder / "classifier" / "model", "--out", folder / "exported")
    assert read_json(folder / "exported" / "threshold.json") == threshold


def test_validation_on_two_ranks_decides_as_on_one(run_copy):
    alone, pair = run_copy("classifier", name="alone"), run_copy("classifier", name="pair")
    run("sft", "classifier", "--config", TINY, f"run.dir={alone}", *SFT, "classifier.sort_window=3")
    result = subprocess.run(
        mpirun(2, "sft", "classifier", "--config", TINY, f"run.dir={pair}", *SFT,
               "classifier.sort_window=3"),
        capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    one, two = (read_json(folder / "classifier" / "validation.json") for folder in (alone, pair))
    assert one["best_step"] == two["best_step"]
    for a, b in zip(one["evaluations"], two["evaluations"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    for a, b in zip(metrics(alone / "classifier"), metrics(pair / "classifier"), strict=True):
        assert a["tokens_trained"] == b["tokens_trained"]
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    thresholds = [read_json(folder / "classifier" / "model" / "threshold.json")
                  for folder in (alone, pair)]
    assert thresholds[0]["jaccard"] == pytest.approx(thresholds[1]["jaccard"], abs=5e-3)
    assert thresholds[0]["num_visits"] == thresholds[1]["num_visits"]


def test_training_that_gets_worse_stops_early_with_the_best_weights(run_copy):
    folder = run_copy("classifier")
    command = ["sft", "classifier", "--config", TINY, f"run.dir={folder}",
               "classifier.validate_every=1", "classifier.patience=2", "classifier.epochs=50",
               "classifier.learning_rate=0.05", "classifier.warmup=0"]
    result = run(*command)
    record = read_json(folder / "classifier" / "validation.json")
    assert record["stopped_early"] and "stopped early" in result.stderr
    rows = metrics(folder / "classifier")
    assert len(rows) == record["best_step"] + 2 == record["evaluations"][-1]["step"]
    assert "skipped" in run(*command).stderr


@pytest.mark.parametrize("balance", ["weight", "subsample"])
def test_balance_changes_what_yes_and_no_weigh(tiny_run, run_copy, balance):
    folder = run_copy("classifier")
    run("sft", "classifier", "--config", TINY, f"run.dir={folder}", f"classifier.balance={balance}",
        "classifier.balance_ratio=2")
    rows, plain = metrics(folder / "classifier"), metrics(tiny_run / "classifier")
    assert len(rows) == len(plain)
    trained = sum(row["tokens_trained"] for row in rows)
    all_tokens = sum(row["tokens_trained"] for row in plain)
    assert trained == all_tokens if balance == "weight" else trained < all_tokens / 2
    # About three answers in ten are Yes instead of one in ten, so they are harder to predict.
    assert rows[-1]["loss"] > plain[-1]["loss"]


def test_validated_training_killed_and_started_again_decides_the_same(run_copy):
    whole, killed = run_copy("classifier", name="whole"), run_copy("classifier", name="killed")
    options = [*SFT, "classifier.sort_window=2", "classifier.balance=subsample",
               "classifier.epochs=4"]
    run("sft", "classifier", "--config", TINY, f"run.dir={whole}", *options)
    process = subprocess.Popen(
        [str(FLAME), "sft", "classifier", "--config", str(TINY), f"run.dir={killed}", *options],
        stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while not (killed / "classifier" / "checkpoints" / "LATEST").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate()
    result = run("sft", "classifier", "--config", TINY, f"run.dir={killed}", *options)
    assert "resumed at step" in result.stderr
    for name in ("validation.json", "model/threshold.json", "model/model.safetensors"):
        assert (whole / "classifier" / name).read_bytes() == (killed / "classifier" / name).read_bytes()
