"""Learners on real MPI ranks that split the policy give the results of one process."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from conftest import TINY, copy_run, kill_launcher, metrics, mpirun, ranks_below, run
from safetensors.numpy import load_file, save_file

POLICIES = ["none", "optimizer", "full", "hybrid"]


def losses(folder):
    return [row["loss"] for row in metrics(folder)]


def job(ranks, *arguments):
    """Runs a command on some ranks of this machine; it must succeed."""
    result = subprocess.run(mpirun(ranks, *arguments), capture_output=True, text=True, timeout=300,
                            check=False)
    assert result.returncode == 0, result.stderr
    return result


def deepen(model, deep, layers):
    """Copies a model folder with its first block repeated in all layers."""
    shutil.copytree(model, deep)
    config = json.loads((deep / "config.json").read_text())
    config["num_hidden_layers"] = layers
    (deep / "config.json").write_text(json.dumps(config))
    weights = load_file(model / "model.safetensors")
    blocks = {name: tensor for name, tensor in weights.items() if ".layers.0." in name}
    for layer in range(layers):
        for name, tensor in blocks.items():
            weights[name.replace(".layers.0.", f".layers.{layer}.")] = tensor.copy()
    save_file(weights, deep / "model.safetensors")


def sharding(policy, ranks):
    group = [f"cluster.shard_group={ranks // 2}"] if policy == "hybrid" else []
    return [f"cluster.sharding={policy}", *group]


def test_no_learner_ever_holds_the_whole_model(tmp_path):
    """The limit holds through loading, training and saving in all three stages."""
    config = ["--config", TINY, f"run.dir={tmp_path / 'run'}", "model.trainable=lora",
              "model.recompute=true", "encoders.drug=none", "data.synth_patients=30"]
    run("prepare", "--config", TINY, f"run.dir={tmp_path / 'base'}", "model.preset=small",
        "encoders.drug=none", "data.synth_patients=30")
    deepen(tmp_path / "base" / "base", tmp_path / "deep", layers=32)
    config += [f"model.path={tmp_path / 'deep'}", "cluster.sharding=full", "grpo.steps=2",
               "classifier.token_budget=700", "list.token_budget=700", "grpo.token_budget=700",
               "classifier.batch=16", "list.batch=16"]
    run("prepare", *config)
    whole = (tmp_path / "run" / "base" / "model.safetensors").stat().st_size
    job(4, "sft", "classifier", *config)
    run("tasks", *config)
    job(4, "sft", "list", *config)
    job(6, "grpo", *config, "cluster.learners=4", "cluster.rollouts=1", "cluster.rewards=1")
    for stage in ("classifier", "list", "grpo"):
        record = json.loads((tmp_path / "run" / ".stages" / f"{stage}.json").read_text())
        learners = record["peak_bytes"][:4]
        print(f"{stage}: {[round(peak / whole, 2) for peak in learners]} of {whole / 1e6:.1f} MB")
        assert max(learners) < 0.8 * whole
        assert (tmp_path / "run" / stage / "model" / "model.safetensors").stat().st_size >= whole


# With warm-up and this rate, AdamW's division does not amplify rounding.
FIFTY = {"classifier": ["sft", "classifier", "--config", TINY, "classifier.epochs=8",
                        "classifier.batch=8", "classifier.token_budget=4000",
                        "classifier.checkpoint_every=100"],
         # In float32 the order of a sum over learners sooner or later decides which token is sampled.
         "grpo": ["grpo", "--config", TINY, "grpo.steps=50", "grpo.tasks=4",
                  "grpo.checkpoint_every=100", "grpo.max_tokens=12", "model.dtype=float64"]}
TOLERANCE = {"classifier": {"rel": 1e-5, "abs": 1e-6}, "grpo": {"rel": 1e-9, "abs": 1e-12}}


@pytest.fixture(scope="module", params=FIFTY)
def alone(request, tiny_run, tmp_path_factory):
    """Trains fifty steps of a stage on one rank; returns the stage, the run it is made from and its losses."""
    stage = request.param
    made = tiny_run
    if stage == "grpo":
        made = tmp_path_factory.mktemp("float64") / "run"
        run("pipeline", "--config", TINY, f"run.dir={made}", "model.dtype=float64")
    folder = copy_run(made, tmp_path_factory.mktemp("alone") / "run", stage)
    run(*FIFTY[stage], f"run.dir={folder}")
    found = losses(folder / stage)[:50]
    assert len(found) == 50
    return stage, made, found


@pytest.mark.parametrize("learners", [2, 4])
@pytest.mark.parametrize("policy", POLICIES)
def test_fifty_steps_follow_one_rank(tmp_path, alone, policy, learners):
    stage, made, one = alone
    split = copy_run(made, tmp_path / "split", stage)
    # GRPO has a rollout rank and a reward rank besides.
    roles = [f"cluster.learners={learners}", "cluster.rollouts=1", "cluster.rewards=1"]
    ranks, roles = (learners + 2, roles) if stage == "grpo" else (learners, [])
    job(ranks, *FIFTY[stage], f"run.dir={split}", *roles, *sharding(policy, learners))
    assert losses(split / stage)[:50] == pytest.approx(one, **TOLERANCE[stage])


def test_resumed_on_one_four_two_ranks_stays_on_the_curve(run_copy):
    keys = ["classifier.epochs=3", "classifier.checkpoint_every=1"]
    alone, split = run_copy("classifier", name="alone"), run_copy("classifier", name="split")
    run("sft", "classifier", "--config", TINY, f"run.dir={alone}", *keys)
    expected = losses(alone / "classifier")
    command = ["sft", "classifier", "--config", TINY, f"run.dir={split}", *keys,
               "cluster.sharding=full"]
    for ranks in (1, 4):
        begun = len(losses(split / "classifier")) if ranks > 1 else 0
        child = subprocess.Popen(mpirun(ranks, *command), stderr=subprocess.PIPE)
        while not (split / "classifier" / "metrics.jsonl").exists() or \
                len(losses(split / "classifier")) < begun + 4:
            assert child.poll() is None, child.stderr.read().decode()
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) != 0
        assert begun < len(losses(split / "classifier")) < len(expected)
    job(2, *command)
    assert losses(split / "classifier") == pytest.approx(expected, rel=1e-5)
    report = json.loads(run("inspect", "--json", split / "classifier").stdout)
    assert report["checkpoints"][0]["ranks"] == 2
    assert all(entry["fault"] is None for entry in report["checkpoints"])


def test_killed_at_random_moments_ends_bit_for_bit(run_copy):
    """Kills one of two ranks with SIGKILL twenty times. Every step is saved, so some kills fall
    into a save."""
    keys = ["classifier.epochs=10", "classifier.checkpoint_every=1", "cluster.sharding=full"]
    calm, killed = run_copy("classifier", name="calm"), run_copy("classifier", name="killed")
    job(2, "sft", "classifier", "--config", TINY, f"run.dir={calm}", *keys)
    command = mpirun(2, "sft", "classifier", "--config", TINY, f"run.dir={killed}", *keys)
    rows, latest = (killed / "classifier" / name for name in ("metrics.jsonl", "checkpoints/LATEST"))
    dice = random.Random(5)

    def steps():
        return rows.read_text().count("\n") if rows.exists() else 0

    for kill in range(20):
        begun, had_saved = steps(), latest.exists()
        child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        # One kill in four comes during the start, the others some steps later.
        target, pause = (begun, 0.6) if kill % 4 == 0 else (begun + dice.randrange(1, 8), 0.1)
        deadline = time.monotonic() + 60
        ranks = {}
        while len(ranks) < 2 or steps() < target:
            assert child.poll() is None and time.monotonic() < deadline
            ranks = ranks_below(child.pid) if len(ranks) < 2 else ranks
            time.sleep(0.005)
        time.sleep(dice.uniform(0, pause))
        os.kill(ranks[dice.randrange(2)], signal.SIGKILL)
        stderr = child.communicate(timeout=60)[1].decode()
        assert child.returncode != 0
        # After a kill between the first checkpoint and LATEST, the program misses LATEST.
        assert "damaged" not in stderr and ("missing" not in stderr or not had_saved), stderr
    print("killed 20 times, at step", steps())
    job(2, "sft", "classifier", "--config", TINY, f"run.dir={killed}", *keys)
    for name in ("model.safetensors", "entities.safetensors"):
        there = killed / "classifier" / "model" / name
        if there.exists():
            assert there.read_bytes() == (calm / "classifier" / "model" / name).read_bytes(), name
    report = json.loads(run("inspect", "--json", killed / "classifier").stdout)
    assert all(entry["fault"] is None for entry in report["checkpoints"])


def test_other_settings_are_refused_by_key(run_copy):
    folder = run_copy("classifier")
    keys = ["classifier.epochs=3", "classifier.checkpoint_every=1"]
    child = subprocess.Popen(mpirun(1, "sft", "classifier", "--config", TINY, f"run.dir={folder}",
                                    *keys), stderr=subprocess.DEVNULL)
    while not (folder / "classifier" / "checkpoints" / "LATEST").exists():
        assert child.poll() is None
        time.sleep(0.01)
    kill_launcher(child)
    result = run("sft", "classifier", "--config", TINY, f"run.dir={folder}", *keys,
                 "classifier.learning_rate=0.002", check=False)
    assert result.returncode == 3
    assert "classifier.learning_rate" in result.stderr and "0.002" in result.stderr


def test_trace_shows_both_ranks_and_gathers_beside_blocks(run_copy):
    folder = run_copy("classifier")
    job(2, "sft", "classifier", "--config", TINY, f"run.dir={folder}", "--trace",
        "cluster.sharding=full")
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    names = {(event["pid"], event["name"].split(" #")[0]) for event in events}
    for rank in (0, 1):
        for name in ("forward of block 1", "backward of block 0", "all-gather", "reduce-scatter"):
            assert (rank, name) in names
        assert gathers_behind_a_wait([e for e in events if e["pid"] == rank]) > 0


def gathers_behind_a_wait(events):
    """Counts the gathers that began in a block and went on after the block's own wait ended."""
    def named(start):
        return [(e["ts"], e["ts"] + e["dur"]) for e in events if e["name"].startswith(start)]

    waits = named("wait for unit-")
    count = 0
    for begin, end in named("forward of block"):
        own = [stop for start, stop in waits if begin <= start and stop <= end]
        count += sum(begin <= start <= end and stop > max(own)
                     for start, stop in named("all-gather") if own)
    return count
