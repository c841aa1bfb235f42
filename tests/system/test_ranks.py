"""Several ranks with split roles give the results of one process."""

import os
import random
import re
import shutil
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest
from conftest import FLAME, TINY, copy_run, kill_launcher, metrics, mpirun, ranks_below, run

ROLES = ["cluster.learners=2", "cluster.rollouts=1", "cluster.rewards=1"]


def in_folders(command, *places):
    """Returns an mpirun of the command. `places` are (number of ranks, their working folder)."""
    launch = mpirun(1)[:-1]
    at = launch.index("-np")
    parts = [["-np", str(count), "-wdir", str(folder), *command] for count, folder in places]
    return launch[:at] + launch[at + 2:] + parts[0] + [":"] + parts[1]


def trajectories(folder, step):
    """Returns {(task_id, member): tokens} over the shards of one step."""
    found = {}
    for path in sorted((folder / "grpo" / "rollouts").glob(f"step-{step:06d}-part-*.h5")):
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


def shards_of(folder, ranks, *keys):
    command = ["grpo", "--config", TINY, f"run.dir={folder}", *keys]
    if ranks == 1:
        run(*command)
    else:
        result = subprocess.run(mpirun(ranks, *command), capture_output=True, text=True,
                                timeout=300, check=False)
        assert result.returncode == 0, result.stderr
    return trajectories(folder, 0)


@pytest.mark.parametrize("ranks, keys", [
    (3, ("cluster.learners=1", "cluster.rollouts=1", "cluster.rewards=1")),
    (5, ("cluster.learners=1", "cluster.rollouts=2", "cluster.rewards=2")),
    (6, ("cluster.learners=1", "cluster.rollouts=4", "cluster.rewards=1")),
    (10, ("cluster.learners=1", "cluster.rollouts=8", "cluster.rewards=1")),
    (2, ("cluster.placement=colocated",)),
    (4, ("cluster.placement=colocated",)),
    (8, ("cluster.placement=colocated", "cluster.sharding=optimizer")),
])
def test_sampled_tokens_do_not_depend_on_ranks_and_placement(run_copy, ranks, keys):
    """Every number of ranks cuts the decoder's batches differently."""
    one = shards_of(run_copy("grpo", name="one"), 1, "grpo.steps=2", "grpo.tasks=13")
    folder = run_copy("grpo", name="other")
    other = shards_of(folder, ranks, "grpo.steps=2", "grpo.tasks=13", *keys)
    assert one.keys() == other.keys() and len(one) == 13 * 4
    for key, tokens in one.items():
        np.testing.assert_array_equal(tokens, other[key], err_msg=str(key))
    assert all(row["sample_mismatch_max"] < 1e-4 for row in metrics(folder / "grpo"))


@pytest.mark.parametrize("ranks, keys", [
    (5, ("cluster.learners=2", "cluster.rollouts=2", "cluster.rewards=1")),
    (3, ("cluster.placement=colocated",)),
])
def test_ranks_without_a_common_disk_carry_shards_in_messages(run_copy, ranks, keys):
    """Rank 0 has a run folder that the other ranks do not see, and they have another."""
    here, there = run_copy("grpo", name="here/run"), run_copy("grpo", name="there/run")
    alone = run_copy("grpo", name="alone")
    settings = ["grpo.steps=30", "grpo.checkpoint_every=50"]
    run("grpo", "--config", TINY, f"run.dir={alone}", *settings)
    command = [str(FLAME), "grpo", "--config", str(TINY), "run.dir=run", "cluster.carrier=mpi",
               *settings, *keys]

    command = in_folders(command, (1, here.parent), (ranks - 1, there.parent))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for_shard(here, process)
    kill_launcher(process)
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert not list((there / "grpo").glob("rollouts/*"))
    one, other = trajectories(alone, 0), trajectories(here, 0)
    assert one.keys() == other.keys()
    for key, tokens in one.items():
        np.testing.assert_array_equal(tokens, other[key], err_msg=str(key))
    rows = metrics(here / "grpo")
    first = metrics(alone / "grpo")[0]
    assert rows[0]["loss"] == pytest.approx(first["loss"], rel=1e-4, abs=1e-6)
    # The shards that the killed run sampled are in rank 0's folder and are used again.
    assert rows[0]["parts_reused"] == rows[0]["parts"] > 1
    assert rows[-1]["parts_reused"] == 0


def test_ranks_with_different_configs_are_refused(run_copy):
    folder = run_copy("grpo")
    command = [str(FLAME), "sft", "list", "--config", str(TINY), f"run.dir={folder}"]
    launch = in_folders(command, (1, folder), (1, folder))
    result = subprocess.run([*launch, "list.learning_rate=3e-4"], capture_output=True, text=True,
                            timeout=60, check=False)
    assert result.returncode == 2, result.stderr
    assert "rank 1 has" in result.stderr and "learning_rate" in result.stderr


@pytest.mark.parametrize("stage, keys", [
    ("list", ["list.epochs=3", "list.checkpoint_every=3"]),
    ("grpo", ["grpo.steps=40", "grpo.checkpoint_every=3", "cluster.carrier=mpi",
              "cluster.learners=2", "cluster.rollouts=1", "cluster.rewards=1"]),
])
def test_learners_without_a_common_disk_go_on_from_the_first_one_s_checkpoint(run_copy, stage, keys):
    ranks = 2 if stage == "list" else 4
    command = [str(FLAME), *(["sft"] if stage == "list" else []), stage, "--config", str(TINY),
               "run.dir=run", *keys]
    ends = []
    for name, kill in (("whole", False), ("killed", True)):
        here = run_copy(stage, "grpo", name=f"{name}/here/run")
        there = run_copy(stage, "grpo", name=f"{name}/there/run")
        launch = in_folders(command, (1, here.parent), (ranks - 1, there.parent))
        if kill:
            process = subprocess.Popen(launch, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 60
            while not (here / stage / "checkpoints" / "LATEST").exists():
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.02)
            kill_launcher(process)
        result = subprocess.run(launch, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, result.stderr
        assert ("resumed at step" in result.stderr) == kill
        assert not (there / stage / "checkpoints").exists()
        ends.append({path.name: path.read_bytes()
                     for path in (here / stage / "model").glob("*.safetensors")})
    assert ends[0] and ends[0] == ends[1]


def weights(folder):
    return (folder / "grpo" / "model" / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("staleness", [1, 3])
def test_rollouts_that_run_ahead_sample_under_the_version_that_they_say(run_copy, staleness):
    key = f"grpo.staleness={staleness}"
    alone, split = run_copy("grpo", name="alone"), run_copy("grpo", name="split")
    run("grpo", "--config", TINY, f"run.dir={alone}", key)
    result = subprocess.run(
        mpirun(4, "grpo", "--config", TINY, f"run.dir={split}", key, "cluster.learners=1",
               "cluster.rollouts=2", "cluster.rewards=1"),
        capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    for step, (row, other) in enumerate(zip(metrics(alone / "grpo"), metrics(split / "grpo"))):
        assert row["policy_version"] == max(0, step - staleness)
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert row["importance_mean"] == pytest.approx(1, abs=0.05)
        assert (row["importance_mean"] == 1) == (step == 0)


def test_rollouts_ahead_go_on_bit_for_bit_after_a_stop(run_copy):
    whole, stopped = run_copy("grpo", name="whole"), run_copy("grpo", name="stopped")
    keys = ["grpo.staleness=2", "grpo.steps=40", "grpo.checkpoint_every=50"]
    run("grpo", "--config", TINY, f"run.dir={whole}", *keys)
    process = subprocess.Popen([str(FLAME), "grpo", "--config", str(TINY), f"run.dir={stopped}",
                                *keys], stderr=subprocess.PIPE, text=True)
    wait_for_shard(stopped, process)
    process.send_signal(signal.SIGUSR1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert 0 < len(metrics(stopped / "grpo")) < 40
    # Removes the shards, so that they have to be made anew.
    for path in (stopped / "grpo" / "rollouts").glob("step-*.h5"):
        path.unlink()
    run("grpo", "--config", TINY, f"run.dir={stopped}", *keys)
    assert weights(whole) == weights(stopped)


def test_shards_behind_a_checkpoint_are_used_again(run_copy):
    whole, killed = run_copy("grpo", name="whole"), run_copy("grpo", name="killed")
    keys = ["grpo.steps=60", "grpo.checkpoint_every=50"]
    run("grpo", "--config", TINY, f"run.dir={whole}", *keys)
    process = subprocess.Popen([str(FLAME), "grpo", "--config", str(TINY), f"run.dir={killed}",
                                *keys], stderr=subprocess.DEVNULL)
    wait_for_shard(killed, process)
    process.kill()
    process.wait()
    run("grpo", "--config", TINY, f"run.dir={killed}", *keys)
    assert weights(whole) == weights(killed)
    assert metrics(killed / "grpo")[0]["parts_reused"] == 1
    assert metrics(killed / "grpo")[-1]["parts_reused"] == 0


def test_shards_of_older_steps_go_where_few_are_kept(run_copy):
    folder, all_kept = run_copy("grpo", name="few"), run_copy("grpo", name="all")
    run("grpo", "--config", TINY, f"run.dir={all_kept}")
    run("grpo", "--config", TINY, f"run.dir={folder}", "grpo.keep_shards=2")
    kept = sorted(path.name for path in (folder / "grpo" / "rollouts").iterdir())
    assert kept == ["step-000004-part-000.h5", "step-000005-part-000.h5"]
    assert weights(folder) == weights(all_kept)


def test_colocated_refuses_ranks_of_roles_and_split_weights(run_copy):
    folder = run_copy("grpo")
    for key, words in [("cluster.rollouts=1", "each rank does everything"),
                       ("cluster.sharding=full", "a rank that samples holds all weights")]:
        result = subprocess.run(
            mpirun(2, "grpo", "--config", TINY, f"run.dir={folder}",
                   "cluster.placement=colocated", key),
            capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 2
        assert words in result.stderr


def test_two_hundred_steps_under_random_delays_end_as_without(run_copy):
    """Again and again, one of the eight ranks stands still for up to two seconds."""
    quiet, shaken = run_copy("grpo", name="quiet"), run_copy("grpo", name="shaken")
    keys = ["grpo.steps=200", "grpo.tasks=6", "grpo.checkpoint_every=1000", "cluster.learners=2",
            "cluster.rollouts=4", "cluster.rewards=2"]
    results = []
    for folder, delays in ((quiet, False), (shaken, True)):
        process = subprocess.Popen(mpirun(8, "grpo", "--config", TINY, f"run.dir={folder}", *keys),
                                   stderr=subprocess.PIPE, text=True)
        try:
            wait_for_shard(folder, process)
            draw, pids, until = random.Random(7), ranks_below(process.pid), time.monotonic() + 60
            while delays and process.poll() is None and time.monotonic() < until:
                pid = pids[draw.randrange(8)]
                try:
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(draw.uniform(0, 2))
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:  # this rank has ended
                    break
                time.sleep(draw.uniform(0, 0.3))
            _, errors = process.communicate(timeout=300)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        results.append(weights(folder))
        assert [row["step"] for row in metrics(folder / "grpo")] == list(range(1, 201))
        for step in (0, 100, 199):
            assert len(trajectories(folder, step)) == 6 * 4
        assert max(row["sample_mismatch_max"] for row in metrics(folder / "grpo")) < 1e-4
    assert results[0] == results[1]


def popen(folder, *keys):
    return subprocess.Popen(mpirun(4, "grpo", "--config", TINY, f"run.dir={folder}", *keys),
                            stderr=subprocess.PIPE, text=True)


FORTY = ["grpo.steps=40", "grpo.checkpoint_every=10", "cluster.learners=1", "cluster.rollouts=2",
         "cluster.rewards=1"]


@pytest.fixture(scope="module")
def undisturbed(tiny_run, tmp_path_factory):
    """Returns the weights after forty steps in which no rank was killed."""
    folder = copy_run(tiny_run, tmp_path_factory.mktemp("undisturbed") / "run", "grpo")
    process = popen(folder, *FORTY)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return weights(folder)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_killed_rollout_or_reward_rank_ends_the_job_which_goes_on_bit_for_bit(
        run_copy, undisturbed, rank):
    killed = run_copy("grpo")
    process = popen(killed, *FORTY)
    wait_for_shard(killed, process)
    os.kill(ranks_below(process.pid)[rank], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0, errors
    kept = {path: path.stat().st_mtime_ns for path in (killed / "grpo" / "rollouts").iterdir()}
    process = popen(killed, *FORTY)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert weights(killed) == undisturbed
    # Complete shards still exist: they are read again, not made again.
    whole_before = [path for path, time in kept.items()
                    if path.suffix == ".h5" and path.exists() and path.stat().st_mtime_ns == time]
    assert len(whole_before) >= len(kept) - 2


@pytest.fixture
def small_disk(tmp_path):
    """Moves a folder's content to a disk of its own with room for `spare` KiB more."""
    mounted = []

    def move(folder, spare):
        copy = tmp_path / "content"
        shutil.copytree(folder, copy)
        used = sum((path.stat().st_size + 4095) // 4096 * 4 for path in copy.iterdir())
        result = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={used + spare}k", "tmpfs", str(folder)],
            check=False, capture_output=True)
        if result.returncode != 0:
            pytest.skip("mounting a small tmpfs needs root")
        mounted.append(folder)
        shutil.copytree(copy, folder, dirs_exist_ok=True)

    yield move
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_disk_that_fills_up_under_a_shard_ends_the_job_which_goes_on_bit_for_bit(
        run_copy, small_disk):
    whole, full = run_copy("grpo", name="whole"), run_copy("grpo", name="full")
    keys = ["grpo.steps=40", "grpo.checkpoint_every=2", "cluster.learners=1",
            "cluster.rollouts=2", "cluster.rewards=1"]
    _, errors = popen(whole, *keys).communicate(timeout=120)
    process = popen(full, *keys)
    wait_for_shard(full, process)
    process.send_signal(signal.SIGUSR1)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    rollouts = full / "grpo" / "rollouts"
    small_disk(rollouts, spare=64)
    process = popen(full, *keys)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 4, errors
    assert "rollouts/.step-" in errors and "No space left" in errors, errors
    recorded = {path: path.read_bytes() for path in rollouts.glob("*.h5")}
    for path in recorded:
        run("inspect", path)
    subprocess.run(["mount", "-o", "remount,size=64m", str(rollouts)], check=True)
    process = popen(full, *keys)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert weights(full) == weights(whole)
    assert all(path.read_bytes() == content for path, content in recorded.items())


def test_reward_rank_that_stalls_is_replaced_and_counted(run_copy):
    quiet, stalled = run_copy("grpo", name="quiet"), run_copy("grpo", name="stalled")
    keys = ["grpo.steps=60", "cluster.timeout=15", "cluster.learners=1", "cluster.rollouts=1",
            "cluster.rewards=2"]
    for folder, stall in ((quiet, False), (stalled, True)):
        process = popen(folder, *keys)
        if stall:
            wait_for_shard(folder, process)
            pid = ranks_below(process.pid)[3]
            rows, until = stalled / "grpo" / "metrics.jsonl", time.monotonic() + 60
            os.kill(pid, signal.SIGSTOP)
            while not re.search(r'"reward_retries": ?[1-9]', rows.read_text()):
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.02)
            os.kill(pid, signal.SIGCONT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert weights(quiet) == weights(stalled)
    assert sum(row["reward_retries"] for row in metrics(stalled / "grpo")) > 0
    assert sum(row["reward_retries"] for row in metrics(quiet / "grpo")) == 0


def wait_for_shard(folder, process):
    deadline = time.monotonic() + 120
    while not list((folder / "grpo" / "rollouts").glob("step-000001-*.h5")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


# In the last case no other learner waits for the coordinator, only the ranks that serve it.
@pytest.mark.parametrize("rank,learners", [(0, 2), (1, 2), (2, 2), (3, 2), (0, 1)])
def test_grpo_rank_that_stops_answering_ends_the_job_and_is_named(run_copy, rank, learners):
    folder = run_copy("grpo")
    process = subprocess.Popen(
        mpirun(learners + 2, "grpo", "--config", TINY, f"run.dir={folder}", "grpo.steps=100000",
               "cluster.timeout=15", f"cluster.learners={learners}", "cluster.rollouts=1",
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
