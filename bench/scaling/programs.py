"""Runs the programs that measure, with one arithmetic thread for each rank."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FLAME_BUILD", ROOT / "build")).resolve()
FLAME = BUILD / "flame"
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1",
          "--mca", "btl", "self,vader", "-np"]
DEADLINE = 600  # seconds for one program


def output(command):
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=DEADLINE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not there: build it with ninja -C {BUILD} "
                 f"{pathlib.Path(command[0]).name}")
    except subprocess.TimeoutExpired:
        sys.exit(f"{' '.join(command)}: no end within {DEADLINE} s")
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def mpirun(ranks, *command):
    return output([*MPIRUN, ranks, *command])


def row(text):
    """Returns the last line of JSON."""
    return json.loads([line for line in text.splitlines() if line.startswith("{")][-1])
