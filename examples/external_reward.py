#!/usr/bin/env python3
"""phi of a list of drugs, for `reward.external`: Jaccard, less the DDI rate, less a penalty for lists
that are much longer than the patient's was at first.

    flame grpo --config configs/quickstart.yaml reward.external="python3 examples/external_reward.py"

Research software: not for treating patients."""

import json
import sys

ALPHA, PENALTY = 2.0, 0.02

for line in sys.stdin:
    state = json.loads(line)
    excess = max(0, len(state["list"]) - len(state["input"]) - 5)
    phi = state["jaccard"] - ALPHA * state["ddi"] - 0.5 * state["refusal"] - PENALTY * excess
    print(json.dumps({"id": state["id"], "phi": phi}), flush=True)
