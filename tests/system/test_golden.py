"""Training follows the golden curves. After a change that is meant to move the curves, make them
anew (docs/convergence.md)."""

import pytest
from golden import FILES, distance, golden_curves, read_curves, train

TOLERANCE = 1e-5  # share of a curve's largest value


@pytest.fixture(scope="module")
def float64_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden") / "run"
    train(folder)
    return folder


def assert_follows(folder, name):
    for stage, curves in golden_curves(name).items():
        found = read_curves(folder, name)[stage]
        assert set(found) == set(curves)
        for key, golden in curves.items():
            assert distance(found[key], golden) < TOLERANCE, f"{stage} {key}"


@pytest.mark.parametrize("name", FILES)
def test_float64_run_follows_golden_curves(float64_run, name):
    assert_follows(float64_run, name)


def test_float32_sft_follows_golden_curves(tmp_path):
    train(tmp_path / "run", "model.dtype=float32", files=["sft"])
    assert_follows(tmp_path / "run", "sft")


def test_golden_sft_curves_learn():
    for stage, curves in golden_curves("sft").items():
        first, last = curves["validation_loss"][0], curves["validation_loss"][-1]
        assert last < 0.9 * first, stage
