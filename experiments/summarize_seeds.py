"""Figures of several runs side by side: python3 experiments/summarize_seeds.py RUN_DIR ..."""

import json
import pathlib
import statistics
import sys


def figures(run):
    evaluation = json.loads((run / "evaluation.json").read_text())
    rows = {row["policy"]: row for row in evaluation["rows"]}
    rewards = [json.loads(line)["reward_mean"]
               for line in (run / "grpo" / "metrics.jsonl").read_text().splitlines()]
    fifth = max(1, len(rewards) // 5)
    found = {f"{name} greedy": row["jaccard"] for name, row in rows.items()}
    found |= {f"{name} sampled": row["jaccard_sampled"] for name, row in rows.items()
              if row["jaccard_sampled"] is not None}
    found["reward, first fifth"] = statistics.fmean(rewards[:fifth])
    found["reward, last fifth"] = statistics.fmean(rewards[-fifth:])
    return found


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    columns = [figures(pathlib.Path(name)) for name in arguments]
    print(f"{'':30}" + "".join(f"{pathlib.Path(name).name:>10}" for name in arguments)
          + f"{'mean':>10}")
    for name in columns[0]:
        values = [column[name] for column in columns]
        print(f"{name:30}" + "".join(f"{value:10.4f}" for value in values)
              + f"{statistics.fmean(values):10.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
