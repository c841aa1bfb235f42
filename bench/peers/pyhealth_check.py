#!/usr/bin/env python3
"""Compares what PyHealth finds in a folder of `flame export --pyhealth` with the corpus.

    flame export --pyhealth folder --mappings mappings corpus.h5
    HOME=folder bench/peers/pyhealth_check.py folder corpus.h5

PyHealth takes the visits with diagnoses, procedures and drugs, of patients with two or more of them. Of these the
drugs, codes and histories must be the corpus's, and the pairs that interact too. Needs the environment of
pyhealth_models.py."""

import collections
import itertools
import pathlib
import sys

import h5py
import numpy as np
from exported_folder import Folder
from pyhealth.medcode import ATC


def ragged(corpus, name):
    ends, values = corpus[f"visits/{name}_offsets"][:], corpus[f"visits/{name}"][:]
    return [values[a:b].tolist() for a, b in itertools.pairwise(ends)]


def require(same, what):
    if not same:
        raise SystemExit(f"PyHealth has other {what}")


def main():
    folder, corpus = Folder(pathlib.Path(sys.argv[1])), h5py.File(sys.argv[2])
    drugs = ragged(corpus, "drugs")
    codes = {kind: [[corpus[f"{kind}/codes"].asstr()[c] for c in visit] for visit in ragged(corpus, kind)]
             for kind in ("diagnoses", "procedures")}
    patient = corpus["visits/patient"][:].tolist()
    whole = [i for i in range(len(drugs)) if drugs[i] and codes["diagnoses"][i] and codes["procedures"][i]]
    visits_of = collections.Counter(patient[i] for i in whole)
    expected = [i for i in whole if visits_of[patient[i]] >= 2]
    require(sorted(int(s["visit_id"]) - 1 for s in folder.samples.samples) == expected, "visits")
    for sample in folder.samples.samples:
        i = int(sample["visit_id"]) - 1
        before = [j for j in expected if j < i and patient[j] == patient[i]]
        require([int(d) for d in sample["drugs"]] == drugs[i], f"drugs of visit {i}")
        require(sample["conditions"][-1] == codes["diagnoses"][i], f"diagnoses of visit {i}")
        require(sample["procedures"][-1] == codes["procedures"][i], f"procedures of visit {i}")
        require([[int(d) for d in visit] for visit in sample["drugs_hist"]] == [drugs[j] for j in before] + [[]],
                f"history of visit {i}")
    pairs = ATC().get_ddi(gamenet_ddi=True)
    graph = np.zeros(corpus["ddi"].shape, int)
    for a, b in pairs:
        a, b = int(ATC.convert(a, level=3)), int(ATC.convert(b, level=3))
        graph[a, b] = graph[b, a] = 1
    require((graph == corpus["ddi"][:]).all(), "interactions")
    print(f"PyHealth agrees: {len(folder.samples.samples)} visits of {len(set(patient))} patients, "
          f"{len(graph)} drugs, {int(graph.sum()) // 2} interacting pairs")


if __name__ == "__main__":
    main()
