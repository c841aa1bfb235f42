"""A training killed at any moment and started again ends in the same weights, bit for bit."""

import json
import random
import re
import signal
import subprocess
import time

import pytest
from conftest import FLAME, TINY, metrics, run

COMMANDS = {"classifier": ["sft", "classifier"], "list": ["sft", "list"], "grpo": ["grpo"]}


def weights(folder, stage):
    return {p.name: p.read_bytes() for p in sorted((folder / stage / "model").iterdir())}


@pytest.mark.parametrize("stage", COMMANDS)
@pytest.mark.parametrize("kill_seed", [1, 2])
def test_training_killed_twice_ends_in_the_same_weights(tiny_run, run_copy, stage, kill_seed):
    folder = run_copy(stage)
    command = [str(FLAME), *COMMANDS[stage], "--config", str(TINY), f"run.dir={folder}"]
    moments = random.Random(f"{stage} {kill_seed}")
    for _ in range(2):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        checkpoints = folder / stage / "checkpoints"
        deadline = time.monotonic() + 60
        seen = {p.name for p in checkpoints.glob("step-*")} if checkpoints.exists() else set()
        # Kills at a random moment after a new checkpoint.
        while process.poll() is None and time.monotonic() < deadline:
            if {p.name for p in checkpoints.glob("step-*")} - seen:
                break
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.communicate()
    run(*COMMANDS[stage], "--config", TINY, f"run.dir={folder}")
    assert weights(folder, stage) == weights(tiny_run, stage)


def test_training_stop_signal_saves_and_exits_75(run_copy):
    whole, folder = run_copy("grpo", name="whole"), run_copy("grpo")
    keys = ["grpo.steps=40"]
    run("grpo", "--config", TINY, f"run.dir={whole}", *keys)
    process = subprocess.Popen(
        [str(FLAME), "grpo", "--config", str(TINY), f"run.dir={folder}", *keys],
        stderr=subprocess.PIPE, text=True)
    rollouts = folder / "grpo" / "rollouts"
    while not list(rollouts.glob("step-000000-*")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGUSR1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert (folder / "grpo" / "checkpoints" / "LATEST").exists()
    # Pretends that this process took an hour: the summary covers all processes of the training.
    rows = metrics(folder / "grpo")
    rows[0]["seconds"] += 3600
    rows[0]["seconds_wait"] += 3600
    (folder / "grpo" / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    said = run("grpo", "--config", TINY, f"run.dir={folder}", *keys).stderr
    assert re.search(r"grpo: 1 h 00 min, waiting for rollouts and rewards 100 %", said)
    assert json.loads((folder / ".stages" / "grpo.json").read_text())["seconds"] > 3600
    assert weights(folder, "grpo") == weights(whole, "grpo")


def test_stop_signal_in_a_stage_that_cannot_stop_midway_is_not_lost(tmp_path):
    """The stage is completed; a program that runs the stages one by one learns of the signal."""
    folder = tmp_path / "run"
    words = ["prepare", "--config", str(TINY), f"run.dir={folder}", "data.synth_patients=1000"]
    process = subprocess.Popen([str(FLAME), *words],
                               stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "stage prepare: started" in line:
            break
    process.send_signal(signal.SIGUSR1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert "skipped" in run(*words).stderr
