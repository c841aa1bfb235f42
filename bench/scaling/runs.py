"""Compares real runs of 1, 2 and 4 ranks on this machine with the model's predictions."""

import json
import shutil
import statistics

from programs import FLAME, ROOT, mpirun, output
from rates import Rates, mean_compute, measure_compute
from step_model import Layout, step, work_of

# A policy that has not learnt to end its lists writes until max_tokens, as the model assumes.
KEYS = ["--config", ROOT / "tests" / "system" / "tiny.yaml", "model.preset=small",
        "tasks.per_visit=4", "list.learning_rate=1e-7", "grpo.checkpoint_every=1000",
        "grpo.token_budget=2048"]
STEPS, WARM_UP = 6, 2
SMALL, LARGE = (16, 8, 32), (24, 4, 48)  # tasks, members, max_tokens
COLOCATED = ["cluster.placement=colocated"]


def split(learners, rollouts, rewards):
    return [f"cluster.learners={learners}", f"cluster.rollouts={rollouts}",
            f"cluster.rewards={rewards}"]


CASES = [
    ("one process", Layout(1), SMALL, []),
    ("one process", Layout(1), LARGE, []),
    ("2 ranks, colocated", Layout(2), SMALL, COLOCATED),
    ("4 ranks, colocated, optimizer split", Layout(4), SMALL,
     [*COLOCATED, "cluster.sharding=optimizer"]),
    ("4 ranks: 1 learner, 2 rollouts, 1 reward", Layout(1, 2, 1), LARGE, split(1, 2, 1)),
    ("4 ranks: 2 learners (full), 1 rollout, 1 reward", Layout(2, 1, 1), SMALL,
     [*split(2, 1, 1), "cluster.sharding=full"]),
]


def prepare(folder):
    for command in ("prepare", "sft classifier", "tasks", "sft list"):
        output([FLAME, *command.split(), *KEYS, f"run.dir={folder}"])


def keys_of(shape):
    return [f"grpo.tasks={shape[0]}", f"grpo.group_size={shape[1]}", f"grpo.max_tokens={shape[2]}",
            f"grpo.steps={STEPS}"]


def planned_work(folder, layout, shape, keys):
    text = output([FLAME, "plan", "--json", "--gpus", layout.ranks, "--stage", "grpo",
                   "--flops", "1e9", "--bandwidth", "1GB", *KEYS, f"run.dir={folder}",
                   *keys_of(shape), *keys])
    stage = json.loads(text)["stages"][0]
    return work_of(stage, *shape)


def measured(folder, ranks, shape, keys):
    """Runs a case. Returns means over its steps: seconds of a step and of its phases."""
    shutil.rmtree(folder / "grpo", ignore_errors=True)
    (folder / ".stages" / "grpo.json").unlink(missing_ok=True)
    command = ["grpo", *KEYS, f"run.dir={folder}", *keys_of(shape), *keys]
    output([FLAME, *command]) if ranks == 1 else mpirun(ranks, FLAME, *command)
    lines = (folder / "grpo" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines][WARM_UP:]
    result = {key: statistics.fmean(r[key] for r in rows)
              for key in ("seconds", "seconds_learn", "seconds_sync", "tokens_sampled")}
    # All time that is neither learning nor sync is rollouts, or waiting for them.
    rest = [r["seconds"] - r["seconds_learn"] - r["seconds_sync"] for r in rows]
    result["seconds_rollout"] = statistics.fmean(rest)
    return result


def needed(layout):
    """Returns (ranks that compute, all ranks) for each of the layout's phases."""
    return {layout.busy(layout.samplers), layout.busy(layout.learners)}


def compare(folder, case, rest, repeats):
    """Runs a case `repeats` times, each time between two measurements of the rates, because the
    machine's speed changes from minute to minute. Compares the model's prediction from the mean
    rates with the mean of the runs."""
    name, layout, shape, keys = case
    benches, taken = [], []
    for repeat in range(repeats + 1):
        benches.append({key: measure_compute(*key) for key in needed(layout)})
        if repeat < repeats:
            taken.append(measured(folder, layout.ranks, shape, keys))
    computes = {key: mean_compute([each[key] for each in benches]) for key in benches[0]}
    rates = Rates({key: compute for key, (compute, _) in computes.items()}, **rest)
    said = step(planned_work(folder, layout, shape, keys), layout, rates)
    real = {key: statistics.fmean(each[key] for each in taken) for key in taken[0]}
    tasks, members, tokens = shape
    groups = ("rollout", "learn", "sync")
    return {
        "case": name, "ranks": layout.ranks,
        "step": f"{tasks} tasks of {members} completions of {tokens} tokens",
        "error": said["seconds"] / real["seconds"] - 1,
        "measured": {"step": real["seconds"], **{g: real[f"seconds_{g}"] for g in groups}},
        "model": {"step": said["seconds"], **{g: said["groups"][g] for g in groups}},
        "model_phases": said["phases"], "runs": [each["seconds"] for each in taken],
        "sampled_of_assumed_tokens": real["tokens_sampled"] / (tasks * members * tokens),
        "worst_error_of_the_fits": {part: max(errors[part] for _, errors in computes.values())
                                    for part in ("learn", "complete")}}
