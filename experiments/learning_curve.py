#!/usr/bin/env python3
"""Draws the reward of GRPO runs over their steps as one SVG.

    python3 experiments/learning_curve.py runs/quickstart > docs/learning_curve.svg

Each run folder gives one line: `reward_mean` of grpo/metrics.jsonl, averaged over windows of steps."""

import argparse
import json
import math
import pathlib

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 24, 48
COLORS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea")


def curve(run, window):
    rows = [json.loads(line) for line in (pathlib.Path(run) / "grpo" / "metrics.jsonl").read_text().splitlines()]
    points = []
    for begin in range(0, len(rows) - window + 1, window):
        part = rows[begin:begin + window]
        points.append((sum(row["step"] for row in part) / window, sum(row["reward_mean"] for row in part) / window))
    return points


def ticks(low, high, count=5):
    """Round numbers from low to high, about `count` of them."""
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * count >= high - low)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def svg(curves):
    steps = [x for points in curves.values() for x, _ in points]
    rewards = [y for points in curves.values() for _, y in points]
    low, high = min(0, *rewards), max(rewards)
    margin = 0.05 * (high - low)
    low, high, last = low - margin, high + margin, max(steps) * 1.02

    def x(step):
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(reward):
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - reward) / (high - low)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12" fill="#6b7280" stroke="none">',
             "<title>Mean reward of sampled lists over the steps of GRPO</title>"]
    for value in ticks(low, high):
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#9ca3af" stroke-opacity="0.35"/>'
                     f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in ticks(0, last):
        parts.append(f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">GRPO step</text>'
                 f'<text x="{LEFT}" y="14">mean reward of sampled lists, phi(last) - phi(0)</text>')
    for color, (name, points) in zip(COLORS, curves.items()):
        line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        if len(curves) > 1:
            parts.append(f'<text x="{x(points[-1][0]) - 4:.1f}" y="{y(points[-1][1]) - 6:.1f}" text-anchor="end" '
                         f'fill="{color}">{name}</text>')
    return "\n".join([*parts, "</svg>"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--window", type=int, default=5, help="steps that a point averages, 5 by default")
    arguments = parser.parse_args()
    print(svg({pathlib.Path(run).name: curve(run, arguments.window) for run in arguments.runs}))


if __name__ == "__main__":
    main()
