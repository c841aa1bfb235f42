"""External programs that compute phi, and the handling of those that fail."""

import subprocess
import time

import pytest
from conftest import FLAME, ROOT, TINY, lives, metrics, mpirun, run

EXAMPLE = f"python3 {ROOT / 'examples' / 'external_reward.py'}"
SPLIT = ["cluster.learners=1", "cluster.rollouts=1", "cluster.rewards=2"]

# Answers with the formula's phi. The first process does `fault` at question `at`; with `always`, it
# does so at every later question, and later processes at every question.
FAULTY = """
import json, os, sys, time
first = not os.path.exists({mark!r})
open({mark!r}, "a").close()
for number, line in enumerate(sys.stdin):
    state = json.loads(line)
    if (number == {at} and first) or ({always} and (number >= {at} or not first)):
        {fault}
    print(json.dumps({{"id": state["id"], "phi": state["jaccard"] - 0.5 * state["refusal"]}}), flush=True)
"""


def faulty(folder, fault, at=20, always=False):
    path = folder / "faulty.py"
    path.write_text(FAULTY.format(mark=str(folder / "started"), fault=fault, at=at, always=always))
    return f"python3 {path}"


def grpo(folder, *keys, check=True):
    return run("grpo", "--config", TINY, f"run.dir={folder}", "grpo.steps=2", *keys, check=check)


def losses(folder):
    return [row["loss"] for row in metrics(folder / "grpo")]


def test_program_with_the_formula_gives_what_the_formula_gives(run_copy, tmp_path):
    formula, program = run_copy("grpo", name="formula"), run_copy("grpo", name="program")
    grpo(formula)
    grpo(program, f"reward.external={faulty(tmp_path, 'pass')}")
    assert losses(program) == pytest.approx(losses(formula), rel=1e-5)


def test_example_runs_alone_and_on_reward_ranks_alike(run_copy):
    alone, split = run_copy("grpo", name="alone"), run_copy("grpo", name="split")
    grpo(alone, f"reward.external={EXAMPLE}")
    result = subprocess.run(
        mpirun(4, "grpo", "--config", TINY, f"run.dir={split}", "grpo.steps=2",
               f"reward.external={EXAMPLE}", *SPLIT),
        capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert losses(split) == pytest.approx(losses(alone), rel=1e-5)
    assert all(row["reward_retries"] == 0 for row in metrics(alone / "grpo"))


@pytest.mark.parametrize("fault", [
    "sys.exit(7)", "os.kill(os.getpid(), 9)", "print('phi is 3', flush=True); continue",
    "print(json.dumps({'id': state['id'], 'phi': float('nan')}), flush=True); continue",
    "print(json.dumps({'id': state['id'], 'phi': 1e300}), flush=True); continue",
    "print(json.dumps({'id': 99999, 'phi': 0}), flush=True); continue",
    "print('x' * 1000000, end='', flush=True)",
    "time.sleep(60)",
], ids=["exits", "killed", "garbage", "nan", "huge", "wrong id", "endless line", "never answers"])
def test_program_that_fails_once_is_started_anew_and_nothing_changes(run_copy, tmp_path, fault):
    whole, failing = run_copy("grpo", name="whole"), run_copy("grpo", name="failing")
    grpo(whole)
    result = grpo(failing, f"reward.external={faulty(tmp_path, fault)}", "reward.external_timeout=10")
    assert "started anew" in result.stderr
    assert sum(row["reward_retries"] for row in metrics(failing / "grpo")) == 1
    assert losses(failing) == pytest.approx(losses(whole), rel=1e-5)


@pytest.mark.parametrize("fault, words", [
    ("sys.exit('the drug table is empty')", "the end of its stderr: the drug table is empty"),
    ("print('phi is 3', flush=True); continue", "phi is 3"),
    ("time.sleep(60)", "answers in 5 s"),
])
def test_program_that_goes_on_failing_ends_the_run_which_can_be_resumed(run_copy, tmp_path, fault,
                                                                        words):
    folder = run_copy("grpo")
    command = faulty(tmp_path, fault, at=400, always=True)
    result = grpo(folder, f"reward.external={command}", "reward.external_timeout=5", "grpo.steps=20",
                  "grpo.checkpoint_every=1", check=False)
    assert result.returncode == 4, result.stderr
    assert words in result.stderr and "failed 3 times in a row" in result.stderr
    assert not (folder / ".stages" / "grpo.json").exists()
    done = len(metrics(folder / "grpo"))
    assert done > 0
    faulty(tmp_path, "pass")
    grpo(folder, f"reward.external={command}", "reward.external_timeout=5", "grpo.steps=20",
         "grpo.checkpoint_every=1")
    assert [row["step"] for row in metrics(folder / "grpo")] == list(range(1, 21))


@pytest.mark.parametrize("command, words", [
    ("no-such-program-anywhere", "ended with status 127"), ("true", "ended with status 0"),
    ("cat", "it answered"),
])
def test_command_that_does_not_answer_is_refused_before_work_starts(run_copy, command, words):
    folder = run_copy("grpo")
    result = grpo(folder, f"reward.external={command}", check=False)
    assert result.returncode == 4
    assert words in result.stderr and command in result.stderr
    assert not (folder / "grpo" / "rollouts").exists()


def test_program_that_reads_nothing_dies_with_a_killed_run(run_copy, tmp_path):
    mark = tmp_path / "pid"
    stuck = f"if os.fork() == 0: open({str(mark)!r}, 'w').write(str(os.getpid()))\n        time.sleep(600)"
    command = faulty(tmp_path, stuck, at=20, always=True)
    process = subprocess.Popen(
        [str(FLAME), "grpo", "--config", str(TINY), f"run.dir={run_copy('grpo')}",
         f"reward.external={command}", "reward.external_timeout=600"], stderr=subprocess.DEVNULL)
    deadline = time.time() + 60
    while time.time() < deadline and not (mark.exists() and mark.read_text()):
        time.sleep(0.05)
    child = int(mark.read_text())
    process.kill()
    process.wait(timeout=10)
    deadline = time.time() + 10
    while time.time() < deadline and lives(child):
        time.sleep(0.05)
    assert not lives(child)


def test_metrics_tell_how_phi_moves_and_what_was_not_matched(run_copy):
    folder = run_copy("grpo")
    grpo(folder)
    row = metrics(folder / "grpo")[0]
    shares = [row[f"step_{term}_share"] for term in ("jaccard", "ddi", "refusal")]
    assert sum(shares) == pytest.approx(1)
    assert row["term_jaccard_mean"] == pytest.approx(row["phi_jaccard"])
    assert row["term_refusal_mean"] == pytest.approx(-0.5 * row["phi_refusal"])
    assert 0 <= row["unmatched_share"] <= 1
    assert (row["unmatched_share"] > 0) == bool(row["unmatched_texts"])
