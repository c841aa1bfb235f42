"""Several ranks with split roles do what one process does."""

import os
import pathlib
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest
from conftest import FLAME, TINY, metrics, mpirun, run

ROLES = ["cluster.learners=2", "cluster.rollouts=1", "cluster.rewards=1"]


def trajectories(folder, step):
    """{(task_id, member): tokens} over the shards of one step."""
    found = {}
    for path in sorted((folder / "grpo" / "rollouts").glob(f"step-{step:06d}-rank-*.h5")):
        with h5py.File(path) as shard:
            group = shard["trajectories"]
            offsets = group["offsets"][:]
            for i, key in enumerate(zip(group["task_id"][:], group["member"][:])):
                assert group["policy_version"][i] == step
                found[tuple(map(int, key))] = group["tokens"][offsets[i]:offsets[i + 1]]
    return found


def test_grpo_four_ranks_samples_and_learns_as_one_process(run_copy):
    alone, split = run_copy("grpo", name="alone"), run_copy("grpo", name="split")
    run("grpo", "--config", TINY, f"run.dir={alone}")
    result = subprocess.run(mpirun(4, "grpo", "--config", TINY, f"run.dir={split}", *ROLES),
                            capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    one, four = trajectories(alone, 0), trajectories(split, 0)
    assert one.keys() == four.keys() and len(one) == 8 * 4
    for key, tokens in one.items():
        np.testing.assert_array_equal(tokens, four[key], err_msg=str(key))
    first, other = metrics(alone / "grpo")[0], metrics(split / "grpo")[0]
    assert other["loss"] == pytest.approx(first["loss"], rel=1e-5, abs=1e-7)
    assert other["grad_norm"] == pytest.approx(first["grad_norm"], rel=1e-4)


def test_grpo_two_rollout_ranks_sample_the_same(run_copy):
    alone, split = run_copy("grpo", name="alone"), run_copy("grpo", name="split")
    run("grpo", "--config", TINY, f"run.dir={alone}", "grpo.steps=1")
    result = subprocess.run(
        mpirun(4, "grpo", "--config", TINY, f"run.dir={split}", "grpo.steps=1",
               "cluster.learners=1", "cluster.rollouts=2", "cluster.rewards=1"),
        capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    one, other = trajectories(alone, 0), trajectories(split, 0)
    assert one.keys() == other.keys()
    for key, tokens in one.items():
        np.testing.assert_array_equal(tokens, other[key], err_msg=str(key))


def ranks_below(launcher):
    """{rank: pid} of the program's processes under mpirun."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = dict(item.split("=", 1) for item in path.read_text().split("\0") if "=" in item)
            parent = int((path.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (path.parent / "cmdline").read_text().split("\0")[0]
        except (OSError, UnicodeDecodeError):
            continue
        if parent == launcher and command == str(FLAME):
            found[int(variables["OMPI_COMM_WORLD_RANK"])] = int(path.parent.name)
    return found


def wait_for_shard(folder, process):
    deadline = time.monotonic() + 120
    while not list((folder / "grpo" / "rollouts").glob("step-000001-*.h5")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


# The last case: no other learner waits for the coordinator, only those that serve it.
@pytest.mark.parametrize("rank,learners", [(0, 2), (1, 2), (2, 2), (3, 2), (0, 1)])
def test_grpo_rank_that_stops_answering_ends_the_job_and_is_named(run_copy, rank, learners):
    folder = run_copy("grpo")
    process = subprocess.Popen(
        mpirun(learners + 2, "grpo", "--config", TINY, f"run.dir={folder}", "grpo.steps=100000",
               "cluster.timeout=5", f"cluster.learners={learners}", "cluster.rollouts=1",
               "cluster.rewards=1"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_shard(folder, process)
        os.kill(ranks_below(process.pid)[rank], signal.SIGSTOP)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 4, errors
    assert f"rank {rank}" in errors
    assert not (folder / ".stages" / "grpo.json").exists()


def test_grpo_counts_that_do_not_sum_to_the_ranks_are_refused(run_copy):
    folder = run_copy("grpo")
    result = subprocess.run(
        mpirun(4, "grpo", "--config", TINY, f"run.dir={folder}", "cluster.learners=3",
               "cluster.rollouts=3", "cluster.rewards=1"),
        capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2
    assert "4" in result.stderr and "cluster" in result.stderr
