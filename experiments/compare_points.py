#!/usr/bin/env python3
"""Compares the points of a finished sweep, seed by seed, with its first one.

    python3 experiments/compare_points.py runs/sweep-credit credit.scheme credit.lambda

The keys after the folder name the points. A cell is the mean over seeds and half the width of its 95 % t-interval.
A difference pairs the trials of one seed, which share their hospital and all stages before GRPO."""

import json
import math
import pathlib
import statistics
import sys

WINDOW = 10  # steps over which a reward is averaged


def t_quantile(freedom):
    """The two-sided 95 % quantile of Student's t, by bisection on its distribution function."""
    def above(x):  # P(|T| > x), by the midpoint rule on the density after t = sqrt(freedom) tan(angle)
        low, count = math.atan(x / math.sqrt(freedom)), 2000
        width = (math.pi / 2 - low) / count
        tail = sum(math.cos(low + (k + 0.5) * width) ** (freedom - 1) for k in range(count)) * width
        whole = math.sqrt(math.pi) * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
        return 2 * tail / whole
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) > 0.05 else (low, middle)
    return low


def cell(values):
    if len(values) == 1:
        return f"{values[0]:.4f}"
    half = t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.fmean(values):.4f} ± {half:.4f}"


def window_means(rewards):
    size = min(WINDOW, len(rewards))
    return [statistics.fmean(rewards[end - size:end]) for end in range(size, len(rewards) + 1)]


def read_trial(folder):
    rows = {row["policy"]: row for row in json.loads((folder / "evaluation.json").read_text())["rows"]}
    steps = [json.loads(line) for line in (folder / "grpo" / "metrics.jsonl").read_text().splitlines()]
    last = steps[-max(1, len(steps) // 5):]
    return {"means": window_means([step["reward_mean"] for step in steps]),
            "figures": {"jaccard": rows["list-grpo"]["jaccard"],
                        "sampled": rows["list-grpo"]["jaccard_sampled"],
                        "less list-sft": rows["list-grpo"]["jaccard"] - rows["list-sft"]["jaccard"],
                        "ddi": rows["list-grpo"]["ddi"],
                        "edits": rows["list-grpo"]["edits"],
                        "last reward": statistics.fmean(step["reward_mean"] for step in last),
                        "reward std": statistics.fmean(step["reward_std"] for step in steps)}}


def read_points(sweep, keys):
    """The trials that are done, by point and seed."""
    points, missing = {}, []
    for trial in json.loads((sweep / "sweep.json").read_text())["trials"]:
        name = " ".join(str(dict(trial["settings"])[key]) for key in keys)
        if trial["seed"] in points.setdefault(name, {}):
            sys.exit(f"two trials are called '{name}' with seed {trial['seed']}; name more keys that differ")
        folder = sweep / "trials" / trial["id"]
        if (folder / "evaluation.json").exists():
            points[name][trial["seed"]] = read_trial(folder)
        else:
            missing.append(f"{name} with seed {trial['seed']}")
    seeds = sorted(set.intersection(*(set(point) for point in points.values())))
    if missing:
        print(f"not done: {', '.join(missing)}; only seeds {seeds} are compared", file=sys.stderr)
    if not seeds:
        sys.exit("no seed is done for all points")
    return points, seeds


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    points, seeds = read_points(pathlib.Path(arguments[0]), arguments[1:])
    levels = {}
    for seed in seeds:
        # The best mean of ten steps of the point that comes least far: every point has reached it.
        level = levels[seed] = min(max(point[seed]["means"]) for point in points.values())
        for point in points.values():
            means = point[seed]["means"]
            point[seed]["figures"]["steps to level"] = WINDOW + next(
                k for k, mean in enumerate(means) if mean >= level)
    first_name, first = next(iter(points.items()))
    names = list(first[seeds[0]]["figures"])
    print("| point | " + " | ".join(names) + " |\n" + "| --- " * (len(names) + 1) + "|")
    for name, point in points.items():
        cells = [cell([point[seed]["figures"][figure] for seed in seeds]) for figure in names]
        print(f"| {name} | " + " | ".join(cells) + " |")
    for name, point in points.items():
        if point is first:
            continue
        cells = [cell([point[seed]["figures"][figure] - first[seed]["figures"][figure] for seed in seeds])
                 for figure in names]
        print(f"| {name} less {first_name} | " + " | ".join(cells) + " |")
    print("level of reward, by seed:", {seed: round(level, 4) for seed, level in levels.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
