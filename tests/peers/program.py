"""The program under test and the model that the comparisons use."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAME = pathlib.Path(os.environ.get("FLAME_BINARY", ROOT / "build" / "flame")).resolve()
BUILD = FLAME.parents[1]  # FLAME is build/bin/flame
SHARED = ROOT.parent / "shared" / "data"


def run(*arguments, **options):
    """Returns the standard output of a command that must succeed."""
    result = subprocess.run(
        [str(FLAME), *map(str, arguments)], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def answers(*arguments, lines):
    """Returns the answers of a command that reads and writes JSON lines."""
    output = run(*arguments, input="".join(json.dumps(line) + "\n" for line in lines))
    rows = [json.loads(row) for row in output.split("\n") if row]
    assert len(rows) == len(lines)
    return rows


def built_program(name):
    """Returns the path of a program that the tests' build makes."""
    found = [path for path in BUILD.rglob(name) if path.is_file()]
    assert found, f"no {name} below {BUILD}"
    return found[0]


def shared(name):
    """Returns a folder of public data; skips the test if it is absent."""
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"no {name} in ../shared/data")
    return folder
