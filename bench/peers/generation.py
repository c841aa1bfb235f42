"""Times `flame generate` against transformers on the CPU, in one run.

    PYTHON bench/peers/generation.py > bench/results/generation.json

A Llama of 27 M parameters in float32 writes 32 completions of 32 tokens for 4 prompts of 512 tokens
(8 a prompt), at temperature 1 without early stop. Both sides are warm and take turns; a time runs
from the prompts' ids to the completions' ids. Before that, greedy continuations must be equal.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPTS, PROMPT_TOKENS, SAMPLES, TOKENS, VOCABULARY = 4, 512, 8, 32, 2048


def make_model():
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=512, num_hidden_layers=8, intermediate_size=1536,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=1024,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, pad_token_id=None)
    # Weights larger than at the start of training make the likeliest token clearly the likeliest.
    config.initializer_range = 0.05
    return LlamaForCausalLM(config).eval()


class Flame:
    """A running `flame generate`, which reads prompts from its standard input."""

    def __init__(self, binary, folder, threads, *arguments):
        self.process = subprocess.Popen(
            [str(binary), "generate", "--model", str(folder), "--max-tokens", str(TOKENS),
             *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)})

    def ask(self, prompts, samples):
        self.process.stdin.write("".join(json.dumps({"ids": ids}) + "\n" for ids in prompts))
        self.process.stdin.flush()
        return [json.loads(self.process.stdout.readline())["ids"]
                for _ in range(len(prompts) * samples)]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


@torch.no_grad()
def ask_transformers(model, prompts, samples, **options):
    tokens = torch.tensor(prompts)
    out = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=TOKENS,
                         use_cache=True, num_return_sequences=samples, pad_token_id=0, **options)
    return out[:, tokens.shape[1]:].tolist()


def timed(function, *arguments, **options):
    begin = time.perf_counter()
    rows = function(*arguments, **options)
    seconds = time.perf_counter() - begin
    assert [len(row) for row in rows] == [TOKENS] * (PROMPTS * SAMPLES)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flame", default=ROOT / "build" / "flame")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = random.Random(7)
    prompts = [[rng.randrange(VOCABULARY) for _ in range(PROMPT_TOKENS)] for _ in range(PROMPTS)]
    model = make_model()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        greedy = Flame(options.flame, folder, options.threads, "--greedy")
        ours = greedy.ask(prompts, 1)
        greedy.close()
        assert ours == ask_transformers(model, prompts, 1, do_sample=False), "greedy text differs"

        flame = Flame(options.flame, folder, options.threads, "--samples", str(SAMPLES))
        sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        flame.ask(prompts, SAMPLES)
        ask_transformers(model, prompts, SAMPLES, **sampling)
        seconds = {"flame": [], "transformers": []}
        for _ in range(options.rounds):
            seconds["flame"].append(timed(flame.ask, prompts, SAMPLES))
            seconds["transformers"].append(
                timed(ask_transformers, model, prompts, SAMPLES, **sampling))
            print({name: round(times[-1], 2) for name, times in seconds.items()}, file=sys.stderr,
                  flush=True)
        flame.close()

    median = {name: statistics.median(times) for name, times in seconds.items()}
    json.dump({
        "task": {"prompts": PROMPTS, "prompt_tokens": PROMPT_TOKENS, "samples": SAMPLES,
                 "tokens": TOKENS, "parameters": model.num_parameters(), "dtype": "float32",
                 "temperature": 1},
        "threads": options.threads,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "greedy_equal": True,
        "seconds": {name: [round(s, 3) for s in times] for name, times in seconds.items()},
        "median_seconds": {name: round(s, 3) for name, s in median.items()},
        "speedup": round(median["transformers"] / median["flame"], 2),
    }, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
