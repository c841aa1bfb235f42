"""Measures memory and accuracy of quantised frozen weights against bfloat16:

    python bench/peers/quantized.py build/flame ../shared/data/tinystories-656k

The two models are two layers of Llama-3.1-8B's widths with random weights, and a small pretrained
one. The text is the bfloat16 model's own: greedy text for perplexity, and text sampled at
temperature 1, over which the mean of log p - log q is an unbiased estimate of KL(p || q). Peak
memory is VmHWM after the answers. Writes bench/results/quantized.json.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "peers"))
from test_real_size import write_weights  # noqa: E402

KINDS = {"float32": ("--dtype", "float32"), "bfloat16": ("--dtype", "bfloat16"),
         "int8": ("--dtype", "bfloat16", "--quantize", "int8"),
         "nf4": ("--dtype", "bfloat16", "--quantize", "nf4")}


def ask(flame, command, folder, options, lines):
    """Returns the answers to JSON lines, and the peak resident bytes after them."""
    process = subprocess.Popen([flame, command, "--model", folder, *map(str, options)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    answers = []
    for line in lines:
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        answers.append(json.loads(process.stdout.readline()))
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    process.stdin.close()
    process.wait()
    return answers, int(status.split("VmHWM:")[1].split()[0]) * 1024


def logprobs(answers):
    return torch.tensor([x for answer in answers for row in answer["logprobs"] for x in row],
                        dtype=torch.float64)


def measure(flame, folder, prompts, max_tokens):
    def families(options):
        written, _ = ask(flame, "generate", folder,
                         [*KINDS["bfloat16"], "--max-tokens", max_tokens, *options],
                         [{"ids": prompt} for prompt in prompts])
        return [{"trunk": prompt, "branches": [row["ids"]]}
                for prompt, row in zip(prompts, written)]

    texts = {"greedy": families(["--greedy"]), "sampled": families(["--seed", 5])}
    values, rows = {}, {}
    for kind, options in KINDS.items():
        answers, peak = ask(flame, "score", folder, options, texts["greedy"] + texts["sampled"])
        values[kind] = logprobs(answers[len(prompts):])
        perplexity = (-logprobs(answers[:len(prompts)]).mean()).exp().item()
        rows[kind] = {"peak_mib": round(peak / 2**20, 1), "perplexity_of_greedy_text": perplexity}
    for kind, row in rows.items():
        difference = values["bfloat16"] - values[kind]
        row["mean_abs_logprob_difference"] = difference.abs().mean().item()
        row["kl_from_bfloat16"] = difference.mean().item()
        row["kl_standard_error"] = (difference.std() / len(difference) ** 0.5).item()
    return {"tokens": len(values["bfloat16"]), "kinds": rows}


def record(name, result):
    out = ROOT / "bench" / "results" / "quantized.json"
    out.parent.mkdir(exist_ok=True)
    results = json.loads(out.read_text()) if out.exists() else {}
    out.write_text(json.dumps({**results, name: result}, indent=1) + "\n")
    print(name, json.dumps(result, indent=1))


def main():
    flame, stories = sys.argv[1:3]
    generator = torch.Generator().manual_seed(4)
    prompts = [[1, token] for token in torch.randint(3, 2048, (40,), generator=generator).tolist()]
    record("tinystories-656k", measure(flame, stories, prompts, 100))
    with tempfile.TemporaryDirectory() as folder:
        write_weights(pathlib.Path(folder))
        prompts = torch.randint(0, 128000, (2, 32), generator=generator).tolist()
        record("random_2_layers_of_llama_3.1_8b_widths", measure(flame, folder, prompts, 32))


if __name__ == "__main__":
    main()
