"""Reads a folder of `flame export --pyhealth` with PyHealth 1.1.6. HOME must be that folder."""

import csv
import os
import pathlib
import sys
from unittest.mock import MagicMock

# PyHealth imports these for signals and images. Whoever imports it imports this module first.
for module in ("mne", "torchvision", "torchvision.transforms"):
    sys.modules.setdefault(module, MagicMock())


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Folder:
    def __init__(self, folder):
        if pathlib.Path(os.environ.get("HOME", "")).resolve() != folder.resolve():
            raise SystemExit(f"HOME is {os.environ.get('HOME')}; expected {folder}, whose tables PyHealth reads")
        from pyhealth.datasets import MIMIC3Dataset
        from pyhealth.tasks import drug_recommendation_mimic3_fn

        dataset = MIMIC3Dataset(root=str(folder), tables=["DIAGNOSES_ICD", "PROCEDURES_ICD", "PRESCRIPTIONS"],
                                code_mapping={"NDC": ("ATC", {"target_kwargs": {"level": 3}})})
        self.samples = dataset.set_task(drug_recommendation_mimic3_fn)
        # HADM_ID as PyHealth has it: the corpus's, split.
        self.visits = {row["HADM_ID"]: (int(row["hadm"]), row["split"]) for row in rows(folder / "visits.csv")}
        # The corpus's number of a drug, which is its label: its code.
        self.drugs = {int(row["code"][:4]): row["drugbank_id"]
                      for row in rows(folder / ".cache/pyhealth/medcode/ATC.csv") if row["level"] == "5"}
