#!/usr/bin/env python3
"""Measures how long commands take that compute nothing: help, version, completion, status, reports.

    python3 bench/startup.py build/flame [--sweep runs/sweep] > bench/results/startup.json

Prints JSON: for each command the least and the median of wall and processor seconds over 20 runs."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import time

RUNS = 20


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(words):
    wall, processor = [], []
    for _ in range(RUNS):
        before, start = processor_seconds(), time.perf_counter()
        result = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        wall.append(time.perf_counter() - start)
        processor.append(processor_seconds() - before)
        if result.returncode != 0:
            return {"error": result.stderr.strip().splitlines()[0]}
    return {"wall_seconds": {"least": min(wall), "median": statistics.median(wall)},
            "processor_seconds": {"least": min(processor), "median": statistics.median(processor)}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("flame")
    parser.add_argument("--sweep", help="the folder of a sweep, for its status and report")
    arguments = parser.parse_args()
    commands = {"--help": ["--help"], "--version": ["--version"], "grpo --help": ["grpo", "--help"],
                "config": ["config", "--config", "configs/quickstart.yaml"],
                "completion bash": ["completion", "bash"]}
    if arguments.sweep:
        commands |= {f"sweep {word}": ["sweep", word, arguments.sweep] for word in ("status", "report")}
    print(json.dumps({"cores": os.cpu_count(), "runs": RUNS,
                      "commands": {name: measure([arguments.flame, *words]) for name, words in commands.items()}},
                     indent=1))


if __name__ == "__main__":
    main()
