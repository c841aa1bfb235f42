#!/usr/bin/env python3
"""Compares the points of a finished sweep, seed by seed, with its first one.

    python3 experiments/compare_points.py runs/sweep-credit credit.scheme credit.lambda

The keys after the folder name the points. A cell is the mean over seeds and half the width of its 95 % t-interval.
A difference pairs the trials of one seed, which share their hospital and all stages before GRPO."""

import json
import pathlib
import statistics
import sys

# Two-sided 97.5 % quantiles of Student's t by degrees of freedom (R: qt(0.975, df)).
T_QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
WINDOW = 10  # steps over which a reward is averaged


def mean_and_half_width(values):
    half = float("nan")
    if len(values) > 1:
        half = T_QUANTILES[len(values) - 1] * statistics.stdev(values) / len(values) ** 0.5
    return statistics.fmean(values), half


def steps_to(rewards, level):
    """The first step after which the mean of the last WINDOW rewards is at least `level`; None: never."""
    for end in range(WINDOW, len(rewards) + 1):
        if statistics.fmean(rewards[end - WINDOW:end]) >= level:
            return end
    return None


def read_trial(folder):
    rows = {row["policy"]: row for row in json.loads((folder / "evaluation.json").read_text())["rows"]}
    steps = [json.loads(line) for line in (folder / "grpo" / "metrics.jsonl").read_text().splitlines()]
    rewards = [step["reward_mean"] for step in steps]
    last = steps[-max(1, len(steps) // 5):]
    return {"rewards": rewards,
            "figures": {"jaccard": rows["list-grpo"]["jaccard"],
                        "sampled": rows["list-grpo"]["jaccard_sampled"],
                        "less list-sft": rows["list-grpo"]["jaccard"] - rows["list-sft"]["jaccard"],
                        "ddi": rows["list-grpo"]["ddi"],
                        "edits": rows["list-grpo"]["edits"],
                        "last reward": statistics.fmean(step["reward_mean"] for step in last),
                        "reward std": statistics.fmean(step["reward_std"] for step in steps)}}


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    sweep = pathlib.Path(arguments[0])
    points = {}
    for trial in json.loads((sweep / "sweep.json").read_text())["trials"]:
        settings = dict(trial["settings"])
        name = " ".join(str(settings.get(key, "as the base")) for key in arguments[1:])
        points.setdefault(name, {})[trial["seed"]] = read_trial(sweep / "trials" / trial["id"])
    first = next(iter(points.values()))
    # A level that every trial of a seed has reached by its end.
    levels = {seed: min(max(statistics.fmean(point[seed]["rewards"][e - WINDOW:e])
                            for e in range(WINDOW, len(point[seed]["rewards"]) + 1))
                        for point in points.values()) for seed in first}
    for point in points.values():
        for seed, trial in point.items():
            trial["figures"]["steps to the level"] = steps_to(trial["rewards"], levels[seed])
    names = list(next(iter(first.values()))["figures"])
    print("| point | " + " | ".join(names) + " |\n" + "| --- " * (len(names) + 1) + "|")
    for label, shown in (("", lambda point, seed, name: point[seed]["figures"][name]),
                         (" - first", lambda point, seed, name: point[seed]["figures"][name]
                          - first[seed]["figures"][name])):
        for name, point in points.items():
            if label and point is first:
                continue
            cells = [mean_and_half_width([shown(point, seed, figure) for seed in first]) for figure in names]
            print(f"| {name}{label} | " + " | ".join(f"{mean:.4f} ± {half:.4f}" for mean, half in cells) + " |")
    print("levels of reward, by seed:", {seed: round(level, 4) for seed, level in levels.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
