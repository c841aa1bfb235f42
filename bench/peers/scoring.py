"""Times scoring 151 candidates of 12 tokens after a prompt of 1,024 against transformers, as JSON.

    ninja -C build score_bench
    PYTHON bench/peers/scoring.py build/bench/score_bench > bench/results/scoring.json

A score is the log-probability of a candidate's last token; every side computes the head for that
one position only. The peers are transformers on batches of 16 whole sequences, and on a cache that
is filled with the prompt once and repeated for all candidates. Weights are random, in float32.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

THREADS = 2
os.environ["OMP_NUM_THREADS"] = str(THREADS)  # read by torch when it is loaded, and by the child

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM  # noqa: E402

TRUNK, CANDIDATES, LENGTH, BATCH, REPEATS = 1024, 151, 12, 16, 3


def make_model():
    """Returns a Llama of 27 M parameters."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=2048, hidden_size=512, num_hidden_layers=8, intermediate_size=1536,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=2048,
        tie_word_embeddings=True)  # fmt: skip
    return LlamaForCausalLM(config).eval()


def last_logprobs(logits, branches):
    return logits[:, -1].log_softmax(-1).gather(1, branches[:, -1:]).squeeze(1)


def whole_sequences(model, trunk, branches):
    parts = []
    for chunk in branches.split(BATCH):
        ids = torch.cat([trunk.expand(len(chunk), -1), chunk[:, :-1]], 1)
        parts.append(last_logprobs(model(ids, use_cache=False, logits_to_keep=1).logits, chunk))
    return torch.cat(parts)


def expanded_cache(model, trunk, branches):
    cache = DynamicCache(config=model.config)
    model(trunk, past_key_values=cache, logits_to_keep=1)
    cache.batch_repeat_interleave(len(branches))
    logits = model(branches[:, :-1], past_key_values=cache, logits_to_keep=1).logits
    return last_logprobs(logits, branches)


class Flame:
    """A running score_bench."""

    def __init__(self, binary, folder, trunk, branches):
        self.child = subprocess.Popen(
            [binary, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        family = {"trunk": trunk[0].tolist(), "branches": branches.tolist()}
        self.line = json.dumps(family) + "\n"

    def score(self):
        self.child.stdin.write(self.line)
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        return answer["seconds"], torch.tensor(answer["logprobs"])

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def timed(action, *arguments):
    start = time.perf_counter()
    result = action(*arguments)
    return time.perf_counter() - start, result


def measure(binary, folder):
    torch.set_num_threads(THREADS)
    model = make_model()
    model.save_pretrained(folder)
    trunk = torch.randint(2048, (1, TRUNK))
    branches = torch.randint(2048, (CANDIDATES, LENGTH))
    flame = Flame(binary, folder, trunk, branches)
    flame.score(), expanded_cache(model, trunk, branches[:BATCH])  # warm-up, not counted
    seconds, scores = {"flame": [], "expanded_cache": [], "whole_sequences": []}, {}
    for _ in range(REPEATS):
        for name, (passed, result) in {
            "flame": flame.score(),
            "expanded_cache": timed(expanded_cache, model, trunk, branches),
        }.items():
            seconds[name].append(passed)
            scores[name] = result
    passed, scores["whole_sequences"] = timed(whole_sequences, model, trunk, branches)
    seconds["whole_sequences"].append(passed)
    passed, scores["flame"] = flame.score()
    seconds["flame"].append(passed)
    flame.close()
    return seconds, scores


def main():
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        seconds, scores = measure(sys.argv[1], folder)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    difference = max(
        (scores["flame"] - scores[name]).abs().max().item()
        for name in ("whole_sequences", "expanded_cache")
    )
    assert difference < 1e-4, f"log-probabilities differ by {difference}"
    report = {
        "what": f"{CANDIDATES} candidates of {LENGTH} tokens behind {TRUNK}; Llama of 27 M, float32",
        "threads": THREADS,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "seconds": seconds,
        "faster_than_whole_sequences": medians["whole_sequences"] / medians["flame"],
        "faster_than_expanded_cache": medians["expanded_cache"] / medians["flame"],
        "largest_difference": difference,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
