"""The model of a step in bench/scaling: its parts against closed forms, its counts against `flame
plan`, and the comparison with real runs that bench/scaling/scaling.py recorded."""

import json
import os
import subprocess
import sys

import numpy
import pytest
from conftest import FLAME, ROOT, TINY, run

SCALING = ROOT / "bench" / "scaling"
RESULT = ROOT / "bench" / "results" / "scaling.json"
sys.path.insert(0, str(SCALING))

import rates  # noqa: E402
import step_model  # noqa: E402
from step_model import Layout, Work  # noqa: E402

WEIGHTS = {"frozen": 1e6, "trainable": 1e4, "head": 1e5, "attention": 512}
ONE = rates.Compute(rates.Cost(1e-10, 2e-10, 1e-5, 1e-3), rates.Cost(1e-10, 2e-10, 0, 1e-3),
                    rates.DecodeCost(1e-3, 1e-5, 1e-8, 3e-8))
HOSTS = {"latency": 0.0, "bandwidth": 1e9, "host_bandwidth": 1e9, "sync_bytes": 1e9,
         "shard_seconds": 0.0, "shard_write": 1e9, "shard_read": 1e9, "disk": 1e9, "states": 1e6}
RATES = rates.Rates({(1, 1): ONE}, **HOSTS)
WORK = Work(tasks=16, members=8, max_tokens=33, prompt=100, weights=WEIGHTS, learn_flops=1e10,
            attention_flops=1e9, busiest=1, passes=2, collective_bytes=1e7, adapter_bytes=1e6,
            most_slots=256)


def planned(tmp_path, *keys):
    result = run("plan", "--json", "--stage", "grpo", "--flops", "1e9", "--bandwidth", "1GB",
                 "--config", TINY, f"run.dir={tmp_path / 'none'}", "grpo.kl=0.02", *keys)
    return json.loads(result.stdout)["stages"][0]


def test_flops_are_those_of_the_plan(tmp_path):
    stage = planned(tmp_path, "grpo.tasks=12")
    weights = stage["weights"]
    assert rates.learn_flops(weights, stage["tokens"], stage["asked_for_tokens"]) == pytest.approx(
        stage["model_flops"])
    assert 14 * weights["attention"] * stage["query_key_pairs"] == pytest.approx(
        stage["attention_flops"])
    sampled = stage["sampled_tokens"]
    assert rates.forward_flops(weights, stage["prompt_tokens"] + sampled, sampled) == pytest.approx(
        stage["rollout_flops"])


def test_a_fit_finds_the_costs_that_made_its_points():
    rows = numpy.random.default_rng(1).uniform(1, 10, (8, 3)) * [1e9, 1e8, 1]
    factors, worst = rates.fit(rows, rows @ [1e-10, 3e-10, 2e-3])
    assert factors == pytest.approx([1e-10, 3e-10, 2e-3]) and worst < 1e-9
    factors, _ = rates.fit(rows, rows @ [1e-10, 0, 2e-3] * 1.05)
    assert factors == pytest.approx([1.05e-10, 0, 2.1e-3], abs=1e-12)


def test_parts_are_those_that_workers_are_handed():
    assert step_model.cut(16, 1) == [16]
    assert step_model.cut(16, 2) == [4, 3, 3, 2, 1, 1, 1, 1]
    assert step_model.deal(10, 4) == [3, 3, 2, 2]
    for tasks, ranks in ((7, 3), (64, 4), (3, 8)):
        assert sum(step_model.cut(tasks, ranks)) == sum(step_model.deal(tasks, ranks)) == tasks


def test_a_step_of_one_rank_is_the_sum_of_its_parts():
    said = step_model.step(WORK, Layout(1), RATES)
    forward = rates.forward_flops(WEIGHTS, 1600, 16)
    prefill = forward * 1e-10 + 4 * 512 * 16 * 5050 * 2e-10 + 1e-3
    decode = 32 * (1e-3 + 128 * (1e-5 + 100 * 1e-8 + 16.5 * 3e-8))
    shard = WORK.shard_bytes / 1e9
    assert said["phases"]["prefill"] == pytest.approx(prefill)
    assert said["phases"]["decode"] == pytest.approx(decode)
    assert said["phases"]["reward"] == pytest.approx(16 * 8 * 20 / 1e6)
    learn = 1e10 * 1e-10 + 1e9 * 2e-10 + 16 * 8 * 33 * 1e-5 + 2e-3
    assert said["phases"]["learn"] == pytest.approx(learn)
    canary = 2 * (rates.forward_flops(WEIGHTS, 40, 16) * 1e-10 + 1e-3)
    assert said["seconds"] == pytest.approx(
        prefill + decode + 2560e-6 + shard + learn + shard + 1e6 / 1e9 + canary)
    assert said["bottleneck"] == "learn"


def test_what_runs_ahead_is_hidden():
    on_policy = step_model.step(WORK, Layout(1, 1, 1), RATES)
    ahead = step_model.step(WORK, Layout(1, 1, 1, staleness=1), RATES)
    groups = on_policy["groups"]
    assert on_policy["seconds"] == pytest.approx(sum(groups.values()))
    assert ahead["seconds"] == pytest.approx(
        max(groups["rollout"], groups["learn"] + groups["sync"]))


def test_rates_that_were_not_measured_are_not_made_up():
    shared = rates.Rates({(1, 4): ONE, (2, 4): ONE}, **HOSTS)
    step_model.step(WORK, Layout(1, 2, 1), shared)
    with pytest.raises(KeyError):
        step_model.step(WORK, Layout(4), shared)


def test_collectives_that_outlast_the_arithmetic_show():
    slow = rates.Rates({(1, 1): ONE}, **{**HOSTS, "bandwidth": 1e6})
    phases = step_model.step(WORK, Layout(2), slow)["phases"]
    assert phases["collectives"] == pytest.approx(10 - phases["learn"])
    assert step_model.step(WORK, Layout(2), RATES)["phases"]["collectives"] == 0


def test_the_recorded_comparison_is_within_15_percent():
    rows = json.loads(RESULT.read_text())["check"]
    assert {row["ranks"] for row in rows} == {1, 2, 4}
    for row in rows:
        said, real = row["model"], row["measured"]
        assert said["step"] == pytest.approx(said["rollout"] + said["learn"] + said["sync"])
        assert real["step"] == pytest.approx(numpy.mean(row["runs"]))
        assert said["step"] == pytest.approx(real["step"], rel=0.15), row["case"]
        assert row["error"] == pytest.approx(said["step"] / real["step"] - 1)
        # The model assumes that every completion has max_tokens tokens.
        assert row["sampled_of_assumed_tokens"] == pytest.approx(1)


def test_the_recorded_extrapolation_is_what_the_model_says():
    """The test uses the recorded rates of the hosts and measures nothing."""
    result = subprocess.run([sys.executable, SCALING / "scaling.py", "--extrapolate", RESULT],
                            capture_output=True, text=True, check=False, timeout=300,
                            env={**os.environ, "FLAME_BUILD": str(FLAME.parents[1])})
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)["extrapolation"]
    assert sorted({row["gpus"] for row in rows}) == [8, 64, 512] and len(rows) == 12
    recorded = json.loads(RESULT.read_text())["extrapolation"]
    for row, before in zip(rows, recorded, strict=True):
        assert row["seconds"] == pytest.approx(before["seconds"])
        for key in ("gpus", "step", "kind", "layout", "bottleneck"):
            assert row[key] == before[key]
        assert row["bottleneck"] in row["phases"] and 0 < row["bottleneck_share"] <= 1
    # A step that does not grow cannot go on getting faster.
    fixed = {row["gpus"]: row["seconds"] for row in rows
             if row["step"] == "64 tasks" and row["kind"] == "on-policy"}
    assert fixed[64] < fixed[8] and fixed[512] > fixed[64] / 2
