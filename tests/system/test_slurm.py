"""The shipped batch files on a real Slurm of two hosts, each with a network of its own."""

import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

import pytest
from conftest import FLAME, ROOT, TINY, attempts, metrics
from slurm_testbed import TESTBED, Job, locked, wait_for


@pytest.fixture
def before_grpo(testbed, tiny_run):
    """Returns a function that makes a run folder on the shared disk with only GRPO left to do."""
    return lambda name: copy_before_grpo(testbed, tiny_run, name)


def copy_before_grpo(testbed, tiny_run, name):
    target = testbed.folder / name
    shutil.copytree(tiny_run, target)
    shutil.rmtree(target / "grpo")
    (target / ".stages" / "grpo.json").unlink()
    return target


STEPS = 100


def submit_grpo(testbed, folder, *keys):
    """Submits GRPO: three learners on node1, two rollout ranks and a reward rank on node2."""
    return testbed.submit("grpo-nodes.sbatch", folder.name, TINY, f"run.dir={folder}",
                          f"grpo.steps={STEPS}", *keys,
                          options=("--ntasks-per-node=3", "--cpus-per-task=1"))


def weights(folder):
    return {p.name: p.read_bytes() for p in sorted((folder / "grpo" / "model").iterdir())}


@pytest.fixture(scope="module")
def undisturbed(testbed, tiny_run):
    folder = copy_before_grpo(testbed, tiny_run, "undisturbed")
    submit_grpo(testbed, folder).wait("COMPLETED", seconds=300)
    return weights(folder)


def wait_until_trained(job, folder, steps):
    path = folder / "grpo" / "metrics.jsonl"
    wait_for(lambda: path.exists() and len(path.read_text().splitlines()) >= steps,
             f"step {steps} in {path}", seen=job.story)


def test_killed_run_of_the_tests_leaves_no_testbed(tmp_path):
    stub, folder = tmp_path / "testbed", tmp_path / "folder"
    stub.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/words\n')
    stub.chmod(0o755)
    folder.mkdir()
    run = subprocess.Popen(
        [sys.executable, "-c",
         "import slurm_testbed\n"
         f"lock = open('{tmp_path}/lock', 'w')\n"
         "assert slurm_testbed.locked(lock)\n"
         f"keeper = slurm_testbed.start_keeper('{stub}', '{folder}', lock)\n"
         "print(keeper.stdout.readline(), flush=True)\n"
         "keeper.wait()"],
        cwd=pathlib.Path(__file__).parent, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "up\n"
    with open(tmp_path / "lock", "w") as lock:
        assert (tmp_path / "words").read_text() == "up 2\n" and not locked(lock)
        run.kill()
        run.communicate()
        wait_for(lambda: locked(lock), "end of the keeper")
    assert (tmp_path / "words").read_text() == "up 2\ndown\n"
    assert not folder.exists()


def test_batch_files_and_testbed_pass_shellcheck():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is missing: scripts/setup --tests installs it")
    files = [TESTBED, *sorted((ROOT / "slurm").glob("*.sbatch"))]
    assert len(files) == 5
    result = subprocess.run(["shellcheck", *map(str, files)], capture_output=True, text=True,
                            check=False)
    assert result.returncode == 0, result.stdout


def test_grpo_signalled_is_requeued_and_ends_in_the_same_weights(
        testbed, before_grpo, undisturbed):
    folder = before_grpo("signalled")
    job = submit_grpo(testbed, folder)
    wait_until_trained(job, folder, 1)
    time.sleep(random.Random(1).uniform(0, 2))
    # Like Slurm before the time limit, signals the steps, not the batch file's shell.
    testbed.run("scancel", "--signal=USR1", job.number)
    job.goes_on()
    assert weights(folder) == undisturbed


def test_grpo_whose_time_is_almost_up_is_requeued_and_goes_on(testbed, before_grpo):
    folder = before_grpo("time")
    job = testbed.submit("grpo.sbatch", folder.name, TINY, f"run.dir={folder}",
                         "grpo.steps=100000", options=("--cpus-per-task=1", "--time=30"))
    wait_until_trained(job, folder, 1)
    # Slurm sends its signal five minutes before the limit, so the new limit is due at once: at its
    # next check, every half minute. Any earlier, there might be no step yet to resume from.
    testbed.run("scontrol", "update", f"JobId={job.number}", "TimeLimit=5")
    job.restart()
    testbed.run("scontrol", "update", f"JobId={job.number}", "TimeLimit=30")
    assert "stopped on a signal after step" in job.log() and "resumed at step" not in job.log()
    wait_for(lambda: "resumed at step" in job.log(), "second start", 300, job.story)
    testbed.run("scancel", job.number)
    job.wait("CANCELLED")


def test_grpo_host_cut_off_ends_names_the_host_and_goes_on_once_healed(
        testbed, before_grpo, undisturbed):
    folder = before_grpo("cut")
    job = submit_grpo(testbed, folder, "cluster.timeout=30")
    wait_until_trained(job, folder, 5)
    testbed.verb("cut", "node2")
    try:
        # The ranks' deadline comes first; Slurm ends a job only once it has given up the host.
        wait_for(lambda: re.search(r"rank \d+ \(node1\): .*\(node2\)", job.log()),
                 "rank that names the host", 60, job.story)
        job.wait("FAILED", seconds=240)
        testbed.wait_given_up("node2")
    finally:
        testbed.verb("heal", "node2")
    assert job.field("ExitCode") == "4:0"
    # A requeued job keeps its number and would meet its own old processes on the healed host.
    wait_for(lambda: not testbed.steps_on("node2"), "end of the steps on node2")
    testbed.wait_idle()
    testbed.run("scontrol", "requeue", job.number)
    job.goes_on(hurry=False)
    assert weights(folder) == undisturbed


def test_launch_submits_cancels_and_goes_on(testbed, before_grpo):
    folder = before_grpo("launched")
    words = (FLAME, "launch", "grpo", "--config", TINY, "--nodes", "2", "--time", "30",
             f"run.dir={folder}", "grpo.steps=300", "run.threads=1")
    printed = testbed.run(*words, "--dry-run")
    assert not (folder / "launch").exists()

    first = launched(testbed, folder, testbed.run(*words))
    assert (folder / "launch" / "job.sbatch").read_text() == printed
    again = testbed.attempt(*words)
    assert again.returncode == 2 and f"a job at work, {first.number}" in again.stderr
    wait_until_trained(first, folder, 1)
    assert "JobState=RUNNING" in testbed.run(FLAME, "launch", "--status", folder)
    testbed.run(FLAME, "launch", "--cancel", folder)
    first.wait("CANCELLED")
    assert testbed.attempt(FLAME, "launch", "--cancel", folder).returncode == 2

    second = launched(testbed, folder, testbed.run(*words))
    second.wait("COMPLETED", seconds=300)
    log = testbed.run(FLAME, "launch", "--logs", folder)
    assert "3 ranks: node1 x 1, node2 x 2" in log and "resumed at step" in log
    assert "JobState=COMPLETED" in testbed.run(FLAME, "launch", "--status", folder)
    status = json.loads(testbed.run(FLAME, "launch", "--status", folder, "--json"))
    assert status["slurm"]["JobState"] == "COMPLETED" and not status["at_work"]
    assert status["job"] == second.number and status["last_line"] == log.splitlines()[-1]
    assert metrics(folder / "grpo")[-1]["step"] == 300


def launched(testbed, folder, printed):
    number = re.fullmatch(r"job (\d+)\n", printed)[1]
    return Job(testbed, number, folder / "launch" / f"job-{number}.log")


def write_sweep(folder):
    """Writes a sweep of four alphas, two lambdas and two seeds; its trainings take seconds."""
    file = folder / "sweep.yaml"
    file.write_text(f"base: {TINY}\ndir: {folder / 'out'}\nseeds: [3, 4]\n"
                    "heartbeat_deadline: 5\nretries: 2\n"
                    "grid:\n  reward.alpha: [0, 5, 20, 50]\n  credit.lambda: [0, 0.5]\n")
    return file


def ends_of_attempts(out):
    return {job.name: [attempt["end"] for attempt in attempts(out, job.name)]
            for job in (out / "attempts").iterdir()}


def trials_done(out):
    if not (out / "trials").exists():
        return 0
    return sum(ends[-1:] == ["done"] for name, ends in ends_of_attempts(out).items()
               if (out / "trials" / name).exists())


def test_sweep_as_an_array_outlives_a_killed_task_and_a_cut_host(testbed):
    """A task takes a whole host, so two tasks run at a time and two wait."""
    folder = testbed.folder / "sweep"
    folder.mkdir()
    file, out = write_sweep(folder), folder / "out"
    number = re.search(r"\d+", testbed.run(FLAME, "sweep", file, "--jobs", "4", "--slurm"))[0]
    wait_for(lambda: trials_done(out) >= 1, "first trial", 300)
    testbed.run("scancel", "--signal=KILL", f"{number}_0")
    wait_for(lambda: trials_done(out) >= 4, "fourth trial", 300)
    host = testbed.run("squeue", "-h", "-t", "running", "-j", number, "-o", "%N").split()[0]
    testbed.verb("cut", host)
    try:
        testbed.wait_given_up(host)
    finally:
        testbed.verb("heal", host)
    wait_for(lambda: trials_done(out) == 16, "end of all trials", 600)
    wait_for(lambda: not testbed.run("squeue", "-h", "-j", number).strip(), "end of the array", 300,
             lambda: testbed.run("squeue", "-l") + testbed.run("sinfo", "-N", "-l"))

    for name, ends in ends_of_attempts(out).items():
        assert ends.count("done") == 1 and ends[-1] == "done", (name, ends)
    # At least the trial of the killed task had a second attempt.
    assert sum(len(ends) > 1 for ends in ends_of_attempts(out).values()) >= 1
    for trial in (out / "trials").iterdir():
        steps = [row["step"] for row in metrics(trial / "grpo")]
        assert steps == list(range(1, 7)), trial
    before = ends_of_attempts(out)
    assert "16 trials: 16 done" in testbed.run(FLAME, "sweep", file)
    assert ends_of_attempts(out) == before
    testbed.run(FLAME, "sweep", "report", out)
    rows = (out / "report.csv").read_text().splitlines()[1:]
    assert len(rows) == 16
    assert (out / "report.html").read_text().count("<svg") == 1 + 2 * 4 + 2


def test_launch_refuses_what_would_fail_in_the_queue(testbed, before_grpo):
    folder = before_grpo("refused")
    words = (FLAME, "launch", "grpo", "--config", TINY, f"run.dir={folder}")
    shutil.rmtree(folder / "list")
    (folder / ".stages" / "list.json").unlink()
    for extra, status, named in ((("--time", "30"), 3, "stage list is not done"),
                                 ((), 2, "--time is missing"),
                                 (("--time", "soon"), 2, "--time is 'soon'"),
                                 (("--time", "30", "cluster.learners=3"), 2, "cluster.learners"),
                                 (("--time", "30", "--gpu-memory", "1kB"), 2, "--gpu-memory is"),
                                 (("--time", "30", "--nodes", "0"), 2, "--nodes is '0'")):
        result = testbed.attempt(*words, *extra)
        assert result.returncode == status and named in result.stderr, (extra, result.stderr)
    assert not (folder / "launch").exists()


def test_testbed_words_that_mean_nothing_are_refused(testbed):
    for words in (["cut", "node3"], ["heal"], ["up", "0"], ["up"], ["fell"], ["run"]):
        result = subprocess.run([str(TESTBED), *words], capture_output=True, text=True, check=False)
        assert result.returncode == 2 and result.stderr.startswith("testbed: "), words
