#!/usr/bin/env python3
"""Times a training step of RAREMed here and in PyTorch: the same sizes, visits, batch and threads, in one run.

    bench/peers/encoders.py --out bench/results/encoders.json

The visits are those of a synthetic hospital. The model in PyTorch is torch.nn.TransformerEncoder over padded batches,
trained by torch.optim.AdamW with the same losses. Both take the median of the steps behind the first ten. Also times
the encoding of every molecule of --smiles, from SMILES to vectors, by build/bench/molecule_bench."""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import torch
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIM, LAYERS, HEADS, HIDDEN, DROPOUT = 512, 3, 4, 2048, 0.3


class Raremed(nn.Module):
    def __init__(self, diagnoses, procedures, drugs):
        super().__init__()
        self.codes = nn.Embedding(diagnoses + procedures + 5, DIM, padding_idx=0)
        self.places, self.segments = nn.Embedding(2000, DIM), nn.Embedding(2, DIM)
        layer = nn.TransformerEncoderLayer(DIM, HEADS, HIDDEN, DROPOUT, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.drugs = nn.Linear(DIM, drugs)

    def forward(self, tokens, places, segments):
        x = self.codes(tokens) + self.places(places) + self.segments(segments)
        return self.drugs(self.layers(x, src_key_padding_mask=tokens == 0)[:, 0])


def batch_of(visits, num_drugs, ids):
    """Returns padded tensors of some visits, and their targets."""
    length = max(len(v["diagnoses"]) + len(v["procedures"]) + 2 for v in visits)
    tokens, places, segments = (torch.zeros(len(visits), length, dtype=torch.long) for _ in range(3))
    given, lists = torch.zeros(len(visits), num_drugs), torch.full((len(visits), num_drugs), -1)
    for row, visit in enumerate(visits):
        d, p = ([ids[kind][code] for code in visit[kind]] for kind in ("diagnoses", "procedures"))
        first, length = 4 + len(ids["diagnoses"]), len(d) + len(p) + 2
        tokens[row, :length] = torch.tensor([1, *(3 + i for i in d), 2, *(first + i for i in p)])
        places[row, :length] = torch.tensor([*range(len(d) + 1), *(1000 + i for i in range(len(p) + 1))])
        segments[row, len(d) + 2:length] = 1
        drugs = [ids["drugs"][drug] for drug in visit["drugs"]]
        given[row, drugs] = 1
        lists[row, :len(drugs)] = torch.tensor(drugs)
    return tokens, places, segments, given, lists


def their_seconds(visits, batch, steps, threads):
    torch.set_num_threads(threads)
    ids = {kind: {code: i for i, code in enumerate(sorted({c for v in visits for c in v[kind]}))}
           for kind in ("diagnoses", "procedures", "drugs")}
    model = Raremed(len(ids["diagnoses"]), len(ids["procedures"]), len(ids["drugs"]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.1)
    ddi = (torch.rand(len(ids["drugs"]), len(ids["drugs"])) < 0.15).float()
    seconds = []
    for step in range(steps):
        start = time.monotonic()
        some = visits[step * batch:(step + 1) * batch]
        tokens, places, segments, given, lists = batch_of(some, len(ids["drugs"]), ids)
        logits = model(tokens, places, segments)
        p = torch.sigmoid(logits)
        loss = (0.995 * nn.functional.binary_cross_entropy_with_logits(logits, given)
                + 0.005 * nn.functional.multilabel_margin_loss(p, lists)
                + 0.1 * 0.0005 * (p @ ddi * p).sum(1).mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.monotonic() - start)
    return seconds


def flame(options, *words, **more):
    result = subprocess.run([options.flame, *map(str, words)], capture_output=True, text=True, check=False, **more)
    if result.returncode != 0:
        raise SystemExit(result.stderr)
    return result


def our_seconds(options, run):
    flame(options, "encode", f"run.dir={run}", "data.hospital=synth", f"data.synth_patients={options.patients}",
          f"run.threads={options.threads}", "encoders.train=[raremed]", f"raremed.batch={options.batch}",
          "raremed.epochs=1", "raremed.pretrain_epochs=0")
    metrics = (run / "encode" / "raremed" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["seconds"] for line in metrics]


def molecule_seconds(options):
    """Returns the seconds from a table of SMILES to vectors, and the number of molecules."""
    bench = options.flame.resolve().parents[1] / "bench" / "molecule_bench"
    if not bench.exists():
        raise SystemExit(f"no {bench}; expected the benchmark: ninja -C build molecule_bench")
    output = subprocess.run([bench, options.smiles], capture_output=True, text=True, check=True,
                            env={**os.environ, "OMP_NUM_THREADS": str(options.threads)}).stdout
    return json.loads(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smiles", type=pathlib.Path, help="drugbank_to_smiles.csv")
    parser.add_argument("--flame", type=pathlib.Path, default=ROOT / "build" / "flame")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        flame(options, "prepare", f"run.dir={run}", "data.hospital=synth", f"data.synth_patients={options.patients}")
        told = flame(options, "inspect", run / "corpus.h5", "--visits").stdout
        visits = [v for v in map(json.loads, told.splitlines()) if v["split"] == "train"]
        ours = our_seconds(options, run)
        theirs = their_seconds(visits, options.batch, len(ours) - 1, options.threads)
    result = {"visits": len(visits), "batch": options.batch, "threads": options.threads,
              "flame_step_seconds": statistics.median(ours[10:-1]),
              "pytorch_step_seconds": statistics.median(theirs[10:]),
              "pytorch": re.sub(r"\+.*", "", torch.__version__)}
    result["ratio"] = result["pytorch_step_seconds"] / result["flame_step_seconds"]
    if options.smiles:
        result |= molecule_seconds(options)
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
