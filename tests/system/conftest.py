"""Runs the built program as a user does, through commands, files and messages."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAME = pathlib.Path(os.environ.get("FLAME_BINARY", ROOT / "build" / "flame")).resolve()
TINY = ROOT / "tests" / "system" / "tiny.yaml"
SHARED = ROOT.parent / "shared" / "data"


def run(*arguments, check=True, env=None, timeout=300, cwd=None):
    """Runs one command. With `check`, fails with the command's stderr unless it exits with 0."""
    result = subprocess.run(
        [str(FLAME), *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}, cwd=cwd, check=False)
    if check:
        assert result.returncode == 0, result.stderr
    return result


def mpirun(ranks, *arguments):
    """Returns the argument list that runs the command on several ranks of this machine."""
    return ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", str(ranks),
            "--mca", "mpi_yield_when_idle", "1", "--mca", "btl", "self,vader",
            str(FLAME), *map(str, arguments)]


def ranks_below(launcher):
    """Returns {rank: pid} of the program's processes under mpirun."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            parent = int((path.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (path.parent / "cmdline").read_text().split("\0")[0]
            if parent != launcher or command != str(FLAME):
                continue
            variables = dict(item.split("=", 1) for item in path.read_text().split("\0") if "=" in item)
        except (OSError, UnicodeDecodeError):
            continue
        if "OMPI_COMM_WORLD_RANK" in variables:
            found[int(variables["OMPI_COMM_WORLD_RANK"])] = int(path.parent.name)
    return found


def lives(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def kill_launcher(process):
    """Kills an mpirun with SIGKILL; returns once its ranks, which end after it, are gone."""
    ranks = ranks_below(process.pid).values()
    assert ranks
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(map(lives, ranks)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def attempts(out, job):
    """Returns a sweep's attempts at one of its jobs, the latest last. A claim's file is created
    empty and filled at once, so it may be empty here."""
    def read(file):
        text = file.read_text()
        return json.loads(text) if text else {"owner": "", "beat": 0, "end": "", "status": 0}

    files = (out / "attempts" / job).glob("*.json")
    return [read(file) for file in sorted(files, key=lambda file: int(file.stem))]


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Makes a finished run of the tiny config; tests copy it before they change anything."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    result = run("pipeline", "--config", TINY, f"run.dir={folder}")
    (folder / "table.txt").write_text(result.stdout)
    return folder


def copy_run(run_dir, target, *without):
    """Copies a finished run; `without` names stages to remove, so that they are made again."""
    shutil.copytree(run_dir, target)
    for stage in without:
        shutil.rmtree(target / stage, ignore_errors=True)
        for suffix in ("json", "begun"):
            (target / ".stages" / f"{stage}.{suffix}").unlink(missing_ok=True)
    return target


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    """Returns copy_run for the finished tiny run."""
    return lambda *without, name="copy": copy_run(tiny_run, tmp_path / name, *without)


@pytest.fixture(scope="module")
def testbed():
    # Imported here, because slurm_testbed imports this module.
    from slurm_testbed import two_hosts
    yield from two_hosts()
