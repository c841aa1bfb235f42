"""Golden loss curves: their definition and how to make them. docs/convergence.md explains them.

python3 tests/system/golden.py        trains with build/flame (or $FLAME_BINARY) and writes tests/golden
"""

import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAME = pathlib.Path(os.environ.get("FLAME_BINARY", ROOT / "build" / "flame")).resolve()
FOLDER = ROOT / "tests" / "golden"
STEPS = 50
# File -> the stages whose metrics it holds -> their curves.
FILES = {
    "sft": {"classifier": ["loss", "grad_norm", "validation_loss"],
            "list": ["loss", "grad_norm", "validation_loss"]},
    "grpo": {"grpo": ["reward_mean", "loss", "grad_norm", "entropy", "kl"]},
}
COMMANDS = {"sft": [["prepare"], ["sft", "classifier"], ["tasks"], ["sft", "list"]],
            "grpo": [["grpo"]]}


def train(folder, *overrides, files=FILES):
    """Runs the stages of the golden config in a run folder."""
    for command in sum((COMMANDS[name] for name in files), []):
        subprocess.run(
            [str(FLAME), *command, "--config", str(FOLDER / "config.yaml"), f"run.dir={folder}",
             *overrides],
            check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def read_curves(folder, name):
    """Returns {stage: {curve: its values in the first STEPS steps}} of a run."""
    curves = {}
    for stage, keys in FILES[name].items():
        lines = (pathlib.Path(folder) / stage / "metrics.jsonl").read_text().splitlines()[:STEPS]
        rows = [json.loads(line) for line in lines]
        assert len(rows) == STEPS, f"{stage} has {len(rows)} steps; expected at least {STEPS}"
        curves[stage] = {key: [row[key] for row in rows if key in row] for key in keys}
    return curves


def golden_curves(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def distance(curve, golden):
    """Returns the largest difference of two curves, as a share of the golden curve's maximum."""
    assert len(curve) == len(golden) > 0
    return max(abs(a - b) for a, b in zip(curve, golden)) / max(map(abs, golden))


def main():
    with tempfile.TemporaryDirectory() as folder:
        train(folder)
        for name in FILES:
            text = json.dumps(read_curves(folder, name), indent=1)
            (FOLDER / f"{name}.json").write_text(text + "\n")
            print(f"written: {FOLDER / name}.json")


if __name__ == "__main__":
    main()
