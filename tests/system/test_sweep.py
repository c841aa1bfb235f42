"""Sweeps: workers share a folder, and die or stop while they work in it."""

import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from conftest import FLAME, ROOT, TINY, attempts, run

TRIALS = 4
DEADLINE = 120  # seconds for every wait


def write_sweep(folder, more=""):
    """Writes a sweep file for folder/out over a config whose trainings take seconds."""
    base = folder / "base.yaml"
    text = TINY.read_text().replace("  steps: 6\n", "  steps: 30\n")
    assert "steps: 30" in text
    base.write_text(text.replace("bootstrap: 200", "bootstrap: 100"))
    file = folder / "sweep.yaml"
    file.write_text(f"base: {base}\ndir: {folder / 'out'}\nseeds: [3]\nheartbeat_deadline: 2\n"
                    "grid:\n  reward.alpha: [0, 5]\n  credit.lambda: [0, 0.5]\n" + more)
    return file


def start(file, *more):
    return subprocess.Popen(
        [str(FLAME), "sweep", str(file), *more], cwd=ROOT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(what, process):
    """Returns the first true value of what(); the process must run until then."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("waited too long")


def training_of(out, process):
    """Returns the trial that the process is training and has saved a checkpoint of, or None."""
    for latest in (out / "trials").glob("*/grpo/checkpoints/LATEST"):
        trial = latest.parents[2].name
        last = attempts(out, trial)[-1]
        if last["end"] == "" and last["owner"].endswith(f":{process.pid}"):
            return trial
    return None


def status(out):
    return json.loads(run("sweep", "status", out, "--json", cwd=ROOT).stdout)


def contents(out):
    return {str(p.relative_to(out)): p.stat().st_mtime_ns
            for p in out.rglob("*") if p.is_file() and p.name != "sweep.json"}


@pytest.fixture(scope="module")
def killed_sweep(tmp_path_factory):
    """Runs a sweep with two workers and kills one in a trial. Returns its file, its folder and that
    trial."""
    folder = tmp_path_factory.mktemp("sweep")
    file, out = write_sweep(folder), folder / "out"
    victim, heir = start(file), start(file)
    trial = wait_for(lambda: training_of(out, victim), victim)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    _, errors = heir.communicate(timeout=DEADLINE)
    assert heir.returncode == 0, errors
    return file, out, trial


def test_worker_killed_in_a_trial_another_resumes_it(killed_sweep):
    _, out, killed = killed_sweep
    trials = sorted(p.name for p in (out / "trials").iterdir())
    assert len(trials) == TRIALS
    for trial in trials:
        ends = [attempt["end"] for attempt in attempts(out, trial)]
        assert ends == (["failed", "done"] if trial == killed else ["done"])
        log = (out / "trials" / trial / "log.txt").read_text()
        assert log.count("stage grpo: done") == log.count("stage evaluate: done") == 1
        assert log.count("stage grpo: started") == len(ends)
    steps = [json.loads(line)["step"] for line in
             (out / "trials" / killed / "grpo" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 31))


def test_shared_stages_made_once_and_linked(killed_sweep):
    _, out, _ = killed_sweep
    stages = sorted(p.name for p in (out / "stages").iterdir())
    assert [name.split("-")[0] for name in stages] == ["classifier", "list", "prepare", "tasks"]
    for stage in stages:
        assert [attempt["end"] for attempt in attempts(out, stage)] == ["done"]
        log = (out / "stages" / stage / "log.txt").read_text()
        assert log.count(f"stage {stage.split('-')[0]}: done") == 1
    for log in (out / "trials").glob("*/log.txt"):
        assert "stage list: started" not in log.read_text()
    models = list(out.glob("*/*/list/model/model.safetensors"))
    assert len(models) == TRIALS + 1
    assert len({m.stat().st_ino for m in models}) == 1


def test_second_call_does_nothing(killed_sweep):
    file, out, _ = killed_sweep
    before = contents(out)
    result = run("sweep", file, cwd=ROOT)
    assert "4 trials: 4 done" in result.stdout
    assert "started" not in result.stderr
    assert contents(out) == before


def test_report_shows_every_trial(killed_sweep, tmp_path):
    _, out, _ = killed_sweep
    run("sweep", "report", out, cwd=ROOT)
    rows = list(csv.DictReader((out / "report.csv").open()))
    for row in rows:
        evaluation = json.loads((out / "trials" / row["id"] / "evaluation.json").read_text())
        expected = next(r for r in evaluation["rows"] if r["policy"] == "list-grpo")
        assert float(row["jaccard_sampled"]) == expected["jaccard_sampled"]
        assert float(row["ddi"]) == expected["ddi"]
    points = {(row["reward.alpha"], row["credit.lambda"]) for row in rows}
    assert points == {("0", "0"), ("0", "0.5"), ("5", "0"), ("5", "0.5")}
    page = (out / "report.html").read_text()
    assert "Research software" in page and "://" not in page and "src=" not in page
    # The plots are the trade-off, reward and variance of each alpha, and two heat maps.
    assert page.count("<svg") == page.count("</svg>") == 1 + 2 * 2 + 2


@pytest.fixture
def copied(killed_sweep, tmp_path):
    """Returns a function that copies the finished sweep without one of its trials."""
    _, out, killed = killed_sweep

    def reopen(more=""):
        file = write_sweep(tmp_path, more)
        shutil.copytree(out, tmp_path / "out")
        shutil.rmtree(tmp_path / "out" / "attempts" / killed)
        shutil.rmtree(tmp_path / "out" / "trials" / killed)
        return file, tmp_path / "out", killed

    return reopen


def test_stop_signal_reaches_the_trial_and_the_sweep_goes_on(copied):
    file, out, trial = copied()
    worker = start(file)
    wait_for(lambda: training_of(out, worker), worker)
    worker.send_signal(signal.SIGUSR1)
    _, errors = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == 75, errors
    assert [a["end"] for a in attempts(out, trial)] == ["stopped"]
    assert status(out)["trials"] and any(t["state"] == "waiting" for t in status(out)["trials"])
    run("sweep", file, cwd=ROOT)
    assert [a["end"] for a in attempts(out, trial)] == ["stopped", "done"]


def test_worker_that_hangs_its_trial_is_not_run_twice(copied):
    file, out, trial = copied()
    hanging = start(file)
    wait_for(lambda: training_of(out, hanging), hanging)
    hanging.send_signal(signal.SIGSTOP)  # the process of its trial goes on
    heir = start(file)
    _, errors = heir.communicate(timeout=DEADLINE)
    assert heir.returncode == 0, errors
    assert [a["end"] for a in attempts(out, trial)] == ["failed", "done"]
    log = (out / "trials" / trial / "log.txt").read_text()
    assert log.count("stage grpo: started") == 1
    assert "in use" not in log
    hanging.send_signal(signal.SIGCONT)
    _, errors = hanging.communicate(timeout=DEADLINE)
    assert hanging.returncode == 0, errors
    assert "another worker took it over" in errors


def test_trial_killed_by_a_signal_is_retried_and_one_with_bad_data_fails(copied, tmp_path):
    decisions = tmp_path / "decisions.jsonl"
    file, out, trial = copied(f"list:\n  broken: {{tasks.feedback: {decisions}}}\n")
    refused = run("sweep", file, check=False, cwd=ROOT)
    assert refused.returncode == 3 and f"there is no file {decisions}" in refused.stderr
    decisions.write_text("no decision\n")
    worker = start(file)
    wait_for(lambda: training_of(out, worker), worker)
    children = subprocess.run(["pgrep", "-P", str(worker.pid)], capture_output=True, text=True,
                              check=True).stdout.split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    _, errors = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == 4
    assert [(a["end"], a["status"]) for a in attempts(out, trial)] == [("failed", 137), ("done", 0)]
    # Failed are the stage without its file, tried once, and the jobs that would start from it.
    assert "3 of 11 jobs failed" in errors
    result = status(out)
    assert sorted(t["state"] for t in result["trials"]) == ["done"] * TRIALS + ["failed"]
    broken = [s for s in result["stages"] if s["state"] == "failed" and s["attempts"] == 1]
    assert [s["name"].split("-")[0] for s in broken] == ["tasks"]


def test_worker_that_dies_counts_as_a_failure_and_the_report_tells_what_it_leaves_out(copied):
    file, out, trial = copied("retries: 0\n")
    victim = start(file)
    wait_for(lambda: training_of(out, victim), victim)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    heir = run("sweep", file, check=False, cwd=ROOT)
    assert heir.returncode == 4
    assert "attempt 1 of at most 1 failed" in heir.stderr and "1 of 8 jobs failed" in heir.stderr
    assert [(a["end"], a["status"]) for a in attempts(out, trial)] == [("failed", 4)]
    table = run("sweep", "report", out, cwd=ROOT).stdout
    assert "left out: 1 of 4 points, whose trials are not all done and whole" in table
    page = (out / "report.html").read_text()
    assert "Left out: 1 of 4 trials are not done or damaged, and in no mean or plot; 1 of 4" in page
    rows = list(csv.DictReader((out / "report.csv").open()))
    assert [row["state"] for row in rows if row["id"] == trial] == ["failed"]


def test_fault_in_the_file_nothing_is_run(tmp_path):
    file = write_sweep(tmp_path, "  reward.betta: [0, 1]\n")
    result = run("sweep", file, check=False, cwd=ROOT)
    assert result.returncode == 2
    assert f"{file}:8: unknown key 'reward.betta'; nearest is 'reward.beta'" in result.stderr
    assert not (tmp_path / "out").exists()


SBATCH = ROOT / "slurm" / "sweep.sbatch"


def test_slurm_submits_an_array_of_workers(tmp_path):
    stub = tmp_path / "sbatch"
    stub.write_text('#!/bin/sh\necho "$@"\n')
    stub.chmod(0o755)
    file = write_sweep(tmp_path)
    result = run("sweep", file, "--jobs", 3, "--slurm", cwd=ROOT,
                 env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    array, batch, *rest = result.stdout.split()
    assert array == "--array=0-2" and rest == [str(file), str(FLAME.resolve())]
    assert pathlib.Path(batch).resolve() == SBATCH.resolve()
    result = run("sweep", file, "--slurm", "--log-level", "warning", cwd=ROOT,
                 env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert result.stdout.split()[-2:] == ["--log-level", "warning"] and result.stderr == ""
    assert not (tmp_path / "out").exists()


def test_trials_at_once_have_places_of_their_own(copied):
    file, _, _ = copied("  grpo.steps: [31]\n")
    worker = start(file, "--jobs", "2", "--log-level", "warning")

    def places():
        children = subprocess.run(["pgrep", "-P", str(worker.pid)], capture_output=True, text=True,
                                  check=False).stdout.split()
        found = [place_of(child) for child in children]
        return len(found) == 2 and all(found) and sorted(found)

    assert wait_for(places, worker) == ["0", "1"]
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == 75 and "started" not in errors


def place_of(process):
    try:
        entries = pathlib.Path(f"/proc/{process}/environ").read_text().split("\0")
    except OSError:
        return ""
    return next((e.split("=")[1] for e in entries if e.startswith("FLAME_PLACE=")), "")


def test_interrupt_from_the_terminal_fails_no_trial(copied):
    file, out, trial = copied()
    log = out / "trials" / trial / "log.txt"
    for start_number in (1, 2):
        worker = subprocess.Popen([str(FLAME), "sweep", str(file)], cwd=ROOT, text=True,
                                  start_new_session=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        wait_for(lambda process=worker, count=start_number: training_of(out, process) and
                 log.read_text().count("stage grpo: started") == count, worker)
        os.killpg(worker.pid, signal.SIGINT)
        _, errors = worker.communicate(timeout=DEADLINE)
        assert worker.returncode == 75, errors
    run("sweep", file, cwd=ROOT)
    assert [a["end"] for a in attempts(out, trial)] == ["stopped", "stopped", "done"]


def test_shared_stage_that_is_gone_fails_its_trial_alone(copied):
    file, out, trial = copied()
    (stage,) = (out / "stages").glob("list-*")
    shutil.rmtree(stage)
    result = run("sweep", file, check=False, cwd=ROOT)
    assert result.returncode == 4 and "1 of 8 jobs failed" in result.stderr, result.stderr
    log = (out / "trials" / trial / "log.txt").read_text()
    assert f"{stage}/.stages is missing" in log
    assert f"made again once {out}/attempts/{stage.name} is deleted" in log
    for name in (stage.name, trial):
        shutil.rmtree(out / "attempts" / name)
    assert "4 trials: 4 done" in run("sweep", file, cwd=ROOT).stdout


def test_damaged_trial_is_made_again_as_the_report_says(copied):
    file, out, _ = copied()
    run("sweep", file, cwd=ROOT)
    trial = next((out / "trials").iterdir())
    evaluation = trial / "evaluation.json"
    evaluation.write_bytes(bytes(evaluation.stat().st_size))
    said = run("sweep", "status", out, cwd=ROOT).stdout
    folders = [out / "attempts" / trial.name, trial]
    assert f"made again once {folders[0]} and {folders[1]} are deleted" in said
    for folder in folders:
        shutil.rmtree(folder)
    assert "4 trials: 4 done" in run("sweep", file, cwd=ROOT).stdout
    done = run("sweep", file, "--slurm", cwd=ROOT, env={"PATH": "/nonexistent"})
    assert "nothing is submitted" in done.stderr and "4 trials: 4 done" in done.stdout
