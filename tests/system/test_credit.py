"""The credit options, from the command line to shards and losses: segmentation into steps,
refusals, lambda and gamma."""

import h5py
import numpy as np
import pytest
from conftest import TINY, metrics, run


def grpo(folder, *keys):
    run("grpo", "--config", TINY, f"run.dir={folder}", "grpo.steps=2", "grpo.tasks=8",
        "grpo.learning_rate=1e-3", *keys)
    return metrics(folder / "grpo")


def losses(rows):
    return [row["loss"] for row in rows]


def members(folder):
    """Returns each completion of the first step with its record in the shard."""
    found = []
    for path in sorted((folder / "grpo" / "rollouts").glob("step-000000-*.h5")):
        with h5py.File(path) as file:
            t = {name: data[:] for name, data in file["trajectories"].items()}
        for i in range(len(t["reward"])):
            tokens = slice(t["offsets"][i], t["offsets"][i + 1])
            states = slice(t["step_offsets"][i], t["step_offsets"][i + 1])
            found.append({"task": int(t["task_id"][i]), "tokens": t["tokens"][tokens].tolist(),
                          "step_of_token": t["step_of_token"][tokens], "reward": t["reward"][i],
                          "num_lines": int(t["num_lines"][i]),
                          "num_refused": int(t["num_refused"][i]),
                          **{name: t[name][states] for name in
                             ("phi", "phi_jaccard", "phi_ddi", "phi_refusal")}})
    assert found
    return sorted(found, key=lambda m: (m["task"], m["tokens"]))


@pytest.fixture
def by_lines(run_copy):
    folder = run_copy("grpo", name="drug")
    grpo(folder, "credit.segmentation=drug", "reward.alpha=5", "reward.beta=0.5")
    return members(folder)


def other(run_copy, segmentation):
    folder = run_copy("grpo", name=segmentation.replace(":", "-"))
    grpo(folder, f"credit.segmentation={segmentation}", "reward.alpha=5", "reward.beta=0.5")
    return members(folder)


@pytest.mark.parametrize("segmentation", ["token", "chunk:1", "chunk:2", "chunk:3", "list"])
def test_same_lists_are_cut_into_other_steps_of_the_same_outcome(run_copy, by_lines, segmentation):
    cut = other(run_copy, segmentation)
    assert [m["tokens"] for m in cut] == [m["tokens"] for m in by_lines]
    assert max(m["num_lines"] for m in cut) > 3
    for line, step in zip(by_lines, cut):
        lines = line["num_lines"]
        assert len(line["phi"]) == lines + 1
        if segmentation == "token":
            # The state after a token is the state after the last line that has ended by then.
            last = np.array([np.flatnonzero(line["step_of_token"] == number).max()
                             for number in range(1, lines + 1)], dtype=int)
            steps = len(step["phi"]) - 1
            states = [0] + [int((last <= t).sum()) for t in range(steps)]
            written = int((step["step_of_token"] > 0).sum())
            assert step["step_of_token"][:written].tolist() == list(range(1, written + 1))
        else:
            size = lines if segmentation == "list" else int(segmentation.split(":")[1])
            states = sorted({*range(0, lines, max(size, 1)), lines})
            expected = np.where(line["step_of_token"] > 0,
                                (line["step_of_token"] - 1) // max(size, 1) + 1, -1)
            assert step["step_of_token"].tolist() == expected.tolist()
        for name in ("phi", "phi_jaccard", "phi_ddi", "phi_refusal"):
            assert step[name].tolist() == line[name][states].tolist(), (segmentation, name)
        assert step["reward"] == line["reward"]
        assert np.diff(step["phi"]).sum() == pytest.approx(step["reward"], abs=1e-5)


def test_phi_is_the_formula_of_its_terms(by_lines):
    for m in by_lines:
        assert m["phi"] == pytest.approx(
            m["phi_jaccard"] - 5 * m["phi_ddi"] - 0.5 * m["phi_refusal"], abs=1e-6)
        if m["num_lines"]:
            assert m["phi_refusal"][-1] == pytest.approx(m["num_refused"] / m["num_lines"])


def test_lambda_zero_is_the_standard_preset_whatever_the_steps_are(run_copy):
    rows = [grpo(run_copy("grpo", name=f"zero-{i}"), *keys) for i, keys in enumerate([
        ["grpo.preset=standard"],
        ["credit.lambda=0"],
        ["credit.lambda=0", "credit.segmentation=token", "credit.gamma=0.5"],
        ["credit.lambda=0.5"],
        ["credit.lambda=0.5", "credit.gamma=0.5"],
        ["credit.lambda=0.5", "credit.segmentation=list"],
    ])]
    standard, zero, zero_of_tokens, *shaped = [losses(row) for row in rows]
    assert zero == standard and zero_of_tokens == standard
    assert len({tuple(loss) for loss in [standard, *shaped]}) == 4
