#!/usr/bin/env python3
"""Trains PyHealth's models on a corpus and writes their lists of its test visits for `flame evaluate --predictions`.

    flame export runs/x --pyhealth folder
    HOME=folder bench/peers/pyhealth_models.py folder --out predictions --seed 1
    flame evaluate --config x.yaml --predictions predictions/micron.jsonl,predictions/gamenet.jsonl

Needs PyHealth 1.1.6 (PyPI) in an environment of its own, with torch, rdkit, pandas below 2 and h5py. HOME must be the
folder: PyHealth reads its tables of codes below it. Each model trains with the library's own Trainer on the corpus's
training visits; the epoch and the cut are those with the highest mean Jaccard on the validation visits."""

import argparse
import json
import pathlib
import random
import sys
import time

import numpy as np
import torch
from exported_folder import Folder
from pyhealth.datasets import get_dataloader
from pyhealth.models import MICRON, GAMENet, SafeDrug, Transformer
from pyhealth.trainer import Trainer

MODELS = {"micron": MICRON, "gamenet": GAMENet, "safedrug": SafeDrug,
          "transformer": lambda samples: Transformer(samples, ["conditions", "procedures", "drugs_hist"], "drugs",
                                                     "multilabel")}


def loaders(folder):
    """A loader for each split. The last visit of a sample is the one that is predicted."""
    samples, visits = folder.samples, folder.visits

    def loader(split, shuffle):
        rows = [i for i, s in enumerate(samples.samples) if visits[s["visit_id"]][1] == split]
        return get_dataloader(torch.utils.data.Subset(samples, rows), batch_size=64, shuffle=shuffle)

    lacking = {visit for visit, (_, split) in visits.items() if split == "test"}
    lacking -= {sample["visit_id"] for sample in samples.samples}
    if lacking:
        raise SystemExit(f"PyHealth drops {len(lacking)} test visits, such as {min(lacking)}: it takes patients with "
                         "two visits or more that each have diagnoses, procedures and drugs")
    return loader("train", True), loader("validation", False), loader("test", False)


def jaccards(truth, lists):
    union = np.maximum(np.logical_or(truth, lists).sum(1), 1)
    return np.logical_and(truth, lists).sum(1) / union


def best_cut(truth, probability):
    return max(np.arange(0.05, 0.95, 0.01), key=lambda cut: jaccards(truth, probability > cut).mean())


def predict(trainer, loader):
    truth, probability, _ = trainer.inference(loader)
    return truth > 0.5, probability


def train(name, samples, splits, options):
    """Trains a model, an epoch at a time; returns its label codes, cut and probabilities of the test visits."""
    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    model = MODELS[name](samples)
    trainer = Trainer(model, enable_logging=False)
    best = (-1,)
    for epoch in range(options.epochs):
        trainer.train(splits[0], epochs=1, load_best_model_at_last=False)
        truth, probability = predict(trainer, splits[1])
        cut = best_cut(truth, probability)
        jaccard = jaccards(truth, probability > cut).mean()
        if jaccard > best[0]:
            best = (jaccard, epoch, cut, predict(trainer, splits[2]))
        elif epoch - best[1] >= options.patience:
            break
    words = model.label_tokenizer.vocabulary.idx2token
    print(json.dumps({"model": name, "validation": best[0], "epoch": best[1] + 1, "cut": float(best[2]),
                      "parameters": sum(p.numel() for p in model.parameters()),
                      "test": jaccards(best[3][0], best[3][1] > best[2]).mean()}), flush=True)
    return [int(words[i]) for i in range(len(words))], best[2], best[3][1]


def write(path, folder, labels, cut, probability):
    """Writes a line for each test visit, in the loader's order."""
    rows = [s for s in folder.samples.samples if folder.visits[s["visit_id"]][1] == "test"]
    codes = [folder.drugs[label] for label in labels]
    with open(path, "w", encoding="utf-8") as file:
        for sample, chances in zip(rows, probability, strict=True):
            file.write(json.dumps({"hadm_id": folder.visits[sample["visit_id"]][0],
                                   "drugs": [c for c, p in zip(codes, chances) if p > cut],
                                   "scores": {c: float(p) for c, p in zip(codes, chances)}}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--patience", type=int, default=6, help="epochs without a better validation Jaccard")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = Folder(options.folder)
    splits = loaders(folder)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.models:
        start = time.time()
        labels, cut, probability = train(name, folder.samples, splits, options)
        write(options.out / f"{name}.jsonl", folder, labels, cut, probability)
        print(f"{name}: {time.time() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
