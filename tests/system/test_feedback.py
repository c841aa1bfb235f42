"""Physicians' decisions become the truth of the list tasks and of phi."""

import json

import h5py
from conftest import TINY, metrics, run


def visits_of(folder):
    lines = run("inspect", folder / "corpus.h5", "--visits").stdout.splitlines()
    return [json.loads(line) for line in lines]


def tasks_of(folder):
    with h5py.File(folder / "tasks" / "tasks.h5") as file:
        group = file[next(iter(file))] if "visit" not in file else file
        return {name: group[name][:] for name in group}


def test_decisions_change_tasks_and_rewards_of_their_visits(run_copy, tmp_path):
    folder = run_copy("tasks", "list", "grpo", "evaluate")
    visits = visits_of(folder)
    plain = tasks_of(run_copy(name="plain"))
    chosen = sorted({int(v) for v in plain["visit"]})[:20]
    drugs = sorted({code for visit in visits for code in visit["drugs"]})
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text("".join(
        json.dumps({"hadm": visits[v]["hadm"], "removed": visits[v]["drugs"],
                    "added": [code for code in drugs if code not in visits[v]["drugs"]][:3]}) + "\n"
        for v in chosen))
    key = f"tasks.feedback={decisions}"
    result = run("tasks", "--config", TINY, f"run.dir={folder}", "--feedback", decisions)
    assert "decisions on 20 visits, 20 of which" in result.stderr
    assert (folder / "tasks" / "feedback.jsonl").read_bytes() == decisions.read_bytes()
    corrected = tasks_of(folder)
    assert corrected["visit"].tolist() != [] and not all(
        (corrected[name].tolist() == plain[name].tolist()) for name in plain)
    run("sft", "list", "--config", TINY, f"run.dir={folder}", key)
    run("grpo", "--config", TINY, f"run.dir={folder}", key)
    assert metrics(folder / "grpo")
    # The file's content counts, not its name: the stage is skipped if it is unchanged.
    again = run("tasks", "--config", TINY, f"run.dir={folder}", "--feedback", decisions)
    assert "inputs unchanged, skipped" in again.stderr


def test_faults_name_the_line_and_leave_the_tasks(run_copy, tmp_path):
    folder = run_copy()
    before = tasks_of(folder)
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text('{"hadm": 1, "added": ["DB"]}\n')
    result = run("tasks", "--config", TINY, f"run.dir={folder}", "--feedback", decisions, check=False)
    assert result.returncode == 3 and f"{decisions}: line 1: hadm 1" in result.stderr
    assert all((tasks_of(folder)[name] == before[name]).all() for name in before)
    missing = run("tasks", "--config", TINY, f"run.dir={folder}", "--feedback", tmp_path / "none",
                  check=False)
    assert missing.returncode == 3 and "there is no file" in missing.stderr
