#!/usr/bin/env python3
"""Trains PyHealth's models on a corpus and writes their lists of its test visits for `flame evaluate --predictions`.

    flame export runs/x --pyhealth folder
    HOME=folder bench/peers/pyhealth_models.py folder --out predictions --seed 1
    flame evaluate --config x.yaml --predictions predictions/micron.jsonl,predictions/gamenet.jsonl

Needs PyHealth 1.1.6 (PyPI) in an environment of its own, with torch, rdkit, pandas below 2 and h5py. HOME must be the
folder: PyHealth reads its tables of codes below it. Each model trains with the library's own Trainer on the corpus's
training visits; the epoch and the cut are those with the highest mean Jaccard on the validation visits."""

import argparse
import csv
import json
import os
import pathlib
import random
import sys
import time
from unittest.mock import MagicMock

# The library imports these for signals and images.
for module in ("mne", "torchvision", "torchvision.transforms"):
    sys.modules.setdefault(module, MagicMock())

import numpy as np
import torch
from pyhealth.datasets import MIMIC3Dataset, get_dataloader
from pyhealth.models import MICRON, GAMENet, SafeDrug, Transformer
from pyhealth.tasks import drug_recommendation_mimic3_fn
from pyhealth.trainer import Trainer

MODELS = {"micron": MICRON, "gamenet": GAMENet, "safedrug": SafeDrug,
          "transformer": lambda samples: Transformer(samples, ["conditions", "procedures", "drugs_hist"], "drugs",
                                                     "multilabel")}


def read_visits(folder):
    """Returns {HADM_ID as PyHealth has it: (the corpus's, split)}."""
    with open(folder / "visits.csv", newline="", encoding="utf-8") as file:
        return {row["HADM_ID"]: (int(row["hadm"]), row["split"]) for row in csv.DictReader(file)}


def loaders(samples, visits):
    """A loader for each split. The last visit of a sample is the one that is predicted."""
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


def write(path, samples, visits, drugs, labels, cut, probability):
    """Writes a line for each test visit, in the loader's order."""
    rows = [s for s in samples.samples if visits[s["visit_id"]][1] == "test"]
    with open(path, "w", encoding="utf-8") as file:
        for sample, chances in zip(rows, probability, strict=True):
            codes = [drugs[label] for label in labels]
            file.write(json.dumps({"hadm_id": visits[sample["visit_id"]][0],
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
    if pathlib.Path(os.environ.get("HOME", "")).resolve() != options.folder.resolve():
        raise SystemExit(f"HOME is {os.environ.get('HOME')}; expected {options.folder}, whose tables PyHealth reads")
    torch.set_num_threads(options.threads)
    visits = read_visits(options.folder)
    dataset = MIMIC3Dataset(root=str(options.folder), tables=["DIAGNOSES_ICD", "PROCEDURES_ICD", "PRESCRIPTIONS"],
                            code_mapping={"NDC": ("ATC", {"target_kwargs": {"level": 3}})})
    samples = dataset.set_task(drug_recommendation_mimic3_fn)
    with open(options.folder / ".cache/pyhealth/medcode/ATC.csv", newline="", encoding="utf-8") as file:
        drugs = {int(row["code"][:4]): row["drugbank_id"] for row in csv.DictReader(file) if row["level"] == "5"}
    splits = loaders(samples, visits)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.models:
        start = time.time()
        labels, cut, probability = train(name, samples, splits, options)
        write(options.out / f"{name}.jsonl", samples, visits, drugs, labels, cut, probability)
        print(f"{name}: {time.time() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
