"""The messages of a run, and where they go."""

import json
import re
import subprocess

from conftest import TINY, mpirun, run


def test_every_rank_has_a_log_of_its_own_and_the_end_tells_where_time_went(run_copy):
    folder = run_copy("grpo")
    result = subprocess.run(
        mpirun(3, "grpo", "--config", TINY, f"run.dir={folder}", "cluster.learners=1",
               "cluster.rollouts=1", "cluster.rewards=1"),
        capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    logs = [(folder / "logs" / f"rank-{rank}.log").read_text() for rank in range(3)]
    assert re.search(r"grpo: .*, waiting for rollouts and rewards \d+ %, learning "
                     r"\d+ %, sync \d+ %, other \d+ %", result.stderr)
    assert "waiting for rollouts" in logs[0]
    # Only rank 0 writes a line per step. The log continues that of the copied run.
    steps = [int(step) for step in re.findall(r"grpo: (\d+)/6 step, .* left, reward", logs[0])]
    assert steps == 2 * [1, 2, 3, 4, 5, 6] and "grpo: 1/6 step" in result.stderr
    assert not any("/6 step" in log for log in logs[1:])
    assert re.search(r"idle: learners \d+ %, rollout ranks \d+ %, reward ranks \d+ %",
                     result.stderr)
    # Lines of level info from rank 1 go only to its file.
    assert "[info rank 1]" not in result.stderr
    assert all(f"rank {rank}]" in log for rank, log in enumerate(logs) if log)


def test_log_level_chooses_what_stderr_shows(run_copy):
    folder = run_copy("evaluate")
    quiet = run("evaluate", "--config", TINY, f"run.dir={folder}", "--log-level", "warning")
    assert quiet.stderr == ""
    assert "stage evaluate: done" in (folder / "logs" / "rank-0.log").read_text()
    refused = run("evaluate", "--config", TINY, f"run.dir={folder}", "--log-level", "loud",
                  check=False)
    assert refused.returncode == 2
    assert "--log-level is 'loud'; expected debug, info, warning or error" in refused.stderr


def test_pipeline_tells_the_time_of_each_stage(tiny_run):
    log = (tiny_run / "logs" / "rank-0.log").read_text()
    assert re.search(r"made in .*: prepare .*, classifier .*, tasks .*, list .*, grpo .*, "
                     r"evaluate ", log)


def test_ranks_that_do_everything_tell_how_long_they_waited(run_copy):
    result = subprocess.run(
        mpirun(2, "grpo", "--config", TINY, f"run.dir={run_copy('grpo')}",
               "cluster.placement=colocated", "grpo.tasks=1"),
        capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    idle = re.search(r"idle: ranks (\d+) % of their time, waiting for other ranks' rollouts",
                     result.stderr)
    assert int(idle[1]) >= 5, result.stderr  # the second rank has nothing to sample


def test_progress_for_programs_is_lines_of_json(run_copy):
    folder = run_copy("list")
    told = run("sft", "list", "--config", TINY, f"run.dir={folder}", "--progress", "json").stderr.splitlines()
    lines = [json.loads(line) for line in told if line.startswith("{")]
    assert [line["done"] == line["total"] for line in lines if line["progress"] == "list"][-1]
    assert lines[-1]["ended"] and all(0 <= line["done"] <= line["total"] for line in lines)
    assert all(line.startswith(("{", "[")) for line in told)
