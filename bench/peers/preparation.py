#!/usr/bin/env python3
"""Prepares a hospital of MIMIC-III's size with `flame prepare` and with pandas, on the same files; one of MIMIC-IV's
size with `flame prepare` alone.

    bench/peers/preparation.py --demo mimic-iii-demo --mappings mappings --out bench/results/preparation.json
    bench/peers/preparation.py --like mimic4 --demo mimic-iv-demo --mappings mappings \\
        --out bench/results/preparation_mimic4.json

The tables are made from the rows of a public demo, drawn again with other ids until they have the counts of
MIMIC-III v1.4 (46,520 patients, 58,976 admissions, 4,156,450 prescriptions, 651,047 diagnoses, 240,095 procedures,
2,083,180 notes of 2 GB) or of MIMIC-IV 3.1 (364,627 patients, 546,028 admissions, 20,292,611 prescriptions, 6,364,488
diagnoses, 859,655 procedures, and the 331,793 discharge summaries of MIMIC-IV-Note 2.2). The pandas script follows
docs/method.md; both read the same columns and give the same visits. Each is run --repeats times, in turn; the figures
are wall seconds, processor seconds and resident memory."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[2]
COUNTS = {"PATIENTS": 46520, "ADMISSIONS": 58976, "PRESCRIPTIONS": 4156450, "DIAGNOSES_ICD": 651047,
          "PROCEDURES_ICD": 240095, "NOTEEVENTS": 2083180}
COUNTS_MIMIC4 = {"patients": 364627, "admissions": 546028, "prescriptions": 20292611, "diagnoses_icd": 6364488,
                 "procedures_icd": 859655, "discharge": 331793}
NOTE_BYTES = 2_000_000_000
ROWS_AT_ONCE = 1_000_000
SUMMARY = ("Admission Date: [**2118-6-2**]\n\nAllergies:\nPenicillins\n\nHistory of Present Illness:\n"
           "81 yo F with COPD.\n\nMedications on Admission:\n1. Aspirin 81 mg\n\nBrief Hospital Course:\n")
FILLER = "Pt. denies chest pain; BP 120/80, \"stable\", afebrile.\n"


def demo_table(folder, stem):
    path = next(p for p in folder.iterdir() if p.name.lower().removesuffix(".gz") == f"{stem.lower()}.csv")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.rename(columns=str.upper)


def make_tables(demo, out, scale, seed):
    """Writes the tables, at `scale` of MIMIC-III's counts."""
    rng = np.random.default_rng(seed)
    size = {stem: max(int(count * scale), 50) for stem, count in COUNTS.items()}
    subjects = np.arange(1, size["PATIENTS"] + 1)
    # Every patient has an admission; the others go to patients at random.
    more = rng.integers(0, len(subjects), size["ADMISSIONS"] - len(subjects))
    subject = np.concatenate([subjects, subjects[more]])
    hadm = rng.permutation(len(subject)) + 100001
    year = 2100 + rng.integers(0, 100, len(subject))
    day = [f"-{m:02d}-{d:02d}" for m, d in zip(rng.integers(1, 13, len(subject)),
                                               rng.integers(1, 27, len(subject)))]
    pd.DataFrame({"SUBJECT_ID": subjects, "GENDER": rng.choice(["F", "M"], len(subjects)),
                  "DOB": [f"{y}-01-01 00:00:00" for y in rng.integers(2020, 2080, len(subjects))]}
                 ).to_csv(out / "PATIENTS.csv", index=False)
    pd.DataFrame({"SUBJECT_ID": subject, "HADM_ID": hadm,
                  "ADMITTIME": [f"{y}{d} 10:00:00" for y, d in zip(year, day)],
                  "DISCHTIME": [f"{y}{d} 23:00:00" for y, d in zip(year, day)]}
                 ).to_csv(out / "ADMISSIONS.csv", index=False)
    for stem in ("PRESCRIPTIONS", "DIAGNOSES_ICD", "PROCEDURES_ICD"):
        rows = demo_table(demo, stem)
        drawn = rows.iloc[rng.integers(0, len(rows), size[stem])].reset_index(drop=True)
        # The rows of an admission stand together, as in the demo.
        of = np.sort(np.concatenate([np.arange(len(hadm)), rng.integers(0, len(hadm), size[stem])])[:size[stem]])
        drawn["SUBJECT_ID"], drawn["HADM_ID"] = subject[of], hadm[of]
        drawn.to_csv(out / f"{stem}.csv", index=False)
    write_notes(out / "NOTEEVENTS.csv", subject, hadm, size["NOTEEVENTS"], int(NOTE_BYTES * scale))


def write_notes(path, subject, hadm, count, size):
    """One long discharge summary an admission; the other notes are short."""
    long_text = SUMMARY + FILLER * 160
    short = max((size - len(hadm) * len(long_text)) // max(count - len(hadm), 1), 60)
    short_text = FILLER * (short // len(FILLER) + 1)
    long_text, short_text = (text.replace('"', '""') for text in (long_text, short_text))
    with open(path, "w", buffering=1 << 20, encoding="utf-8") as file:
        file.write("ROW_ID,SUBJECT_ID,HADM_ID,CATEGORY,DESCRIPTION,ISERROR,TEXT\n")
        for i in range(count):
            of = i % len(hadm)
            summary = i < len(hadm)
            category, text = ("Discharge summary", long_text) if summary else ("Nursing", short_text)
            file.write(f'{i},{subject[of]},{hadm[of]},{category},Report,,"{text}"\n')


def make_mimic4(demo, out, scale, seed):
    """Writes tables in MIMIC-IV's layout, at `scale` of its counts. Identifiers are random, as there."""
    rng = np.random.default_rng(seed)
    size = {stem: max(int(count * scale), 50) for stem, count in COUNTS_MIMIC4.items()}
    hosp, note = out / "hosp", out / "note"
    hosp.mkdir(exist_ok=True)
    note.mkdir(exist_ok=True)
    subjects = 10_000_000 + np.arange(size["patients"])
    anchor = rng.integers(2110, 2200, len(subjects))
    pd.DataFrame({"subject_id": subjects, "gender": rng.choice(["F", "M"], len(subjects)),
                  "anchor_age": rng.integers(18, 91, len(subjects)), "anchor_year": anchor,
                  "anchor_year_group": rng.choice(["2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019"],
                                                  len(subjects))}).to_csv(hosp / "patients.csv", index=False)
    who = np.sort(rng.integers(0, len(subjects), size["admissions"]))
    hadm = rng.choice(9_999_999, len(who), replace=False) + 20_000_000
    day = [f"{y}-{m:02d}-{d:02d}" for y, m, d in zip(anchor[who] + rng.integers(0, 5, len(who)),
                                                     rng.integers(1, 13, len(who)), rng.integers(1, 27, len(who)))]
    pd.DataFrame({"subject_id": subjects[who], "hadm_id": hadm, "admittime": [f"{d} 10:00:00" for d in day],
                  "dischtime": [f"{d} 23:00:00" for d in day]}).to_csv(hosp / "admissions.csv", index=False)
    for stem in ("prescriptions", "diagnoses_icd", "procedures_icd"):
        rows = demo_table(demo / "hosp", stem).rename(columns=str.lower)
        of = np.sort(rng.integers(0, len(hadm), size[stem]))
        with open(hosp / f"{stem}.csv", "w", encoding="utf-8") as file:
            for begin in range(0, len(of), ROWS_AT_ONCE):
                part = of[begin:begin + ROWS_AT_ONCE]
                drawn = rows.iloc[rng.integers(0, len(rows), len(part))].reset_index(drop=True)
                drawn["subject_id"], drawn["hadm_id"] = subjects[who[part]], hadm[part]
                drawn.to_csv(file, index=False, header=begin == 0)
    text = (SUMMARY + FILLER * 160).replace('"', '""')
    with open(note / "discharge.csv", "w", buffering=1 << 20, encoding="utf-8") as file:
        file.write("note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n")
        for i in rng.choice(len(hadm), size["discharge"], replace=False):
            file.write(f'{subjects[who[i]]}-DS-1,{subjects[who[i]]},{hadm[i]},DS,1,,,"{text}"\n')


# ---- the pandas script -------------------------------------------------------------------------

def pandas_visits(root, mappings, min_visits=2, top=201, min_rows=5):
    def read(stem, columns, **more):
        return pd.read_csv(root / f"{stem}.csv", usecols=columns, dtype=str, **more)

    drugs = read("PRESCRIPTIONS", ["SUBJECT_ID", "HADM_ID", "DRUG_TYPE", "DRUG", "NDC"])
    drugs = drugs[drugs.DRUG_TYPE == "MAIN"].drop(columns="DRUG_TYPE")
    drugs = drugs[drugs.NDC != "0"].dropna().drop_duplicates()
    admissions = drugs[["SUBJECT_ID", "HADM_ID"]].drop_duplicates().groupby("SUBJECT_ID").size()
    drugs = drugs[drugs.SUBJECT_ID.isin(admissions[admissions >= min_visits].index)].copy()
    ndc = pd.read_csv(mappings / "ndc9_to_drugbank.csv", dtype=str)
    drugs["NDC"] = drugs.NDC.str[:-2]
    drugs = drugs.merge(ndc, on="NDC").drop(columns="NDC").drop_duplicates()
    counts = drugs.drugbank_id.value_counts().reset_index()
    counts.columns = ["drugbank_id", "rows"]
    kept = set(counts.sort_values(["rows", "drugbank_id"], ascending=[False, True]).drugbank_id[:top])
    kept &= set(pd.read_csv(mappings / "drugbank_to_smiles.csv", dtype=str).dropna().drug_id)
    drugs = drugs[drugs.drugbank_id.isin(kept)]
    diagnoses = read("DIAGNOSES_ICD", ["SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"]).dropna()
    diagnoses = diagnoses.drop(columns="SEQ_NUM").drop_duplicates()
    procedures = read("PROCEDURES_ICD", ["SUBJECT_ID", "HADM_ID", "ICD9_CODE"]).dropna().drop_duplicates()
    while True:
        before = len(drugs), len(diagnoses), len(procedures)
        common = set(drugs.HADM_ID) & set(diagnoses.HADM_ID) & set(procedures.HADM_ID)
        drugs, diagnoses, procedures = (t[t.HADM_ID.isin(common)] for t in (drugs, diagnoses, procedures))
        diagnoses = diagnoses[diagnoses.groupby("ICD9_CODE").ICD9_CODE.transform("size") > min_rows]
        procedures = procedures[procedures.groupby("ICD9_CODE").ICD9_CODE.transform("size") > min_rows]
        if before == (len(drugs), len(diagnoses), len(procedures)):
            break
    lists = [t.groupby(["SUBJECT_ID", "HADM_ID"])[column].unique()
             for t, column in ((diagnoses, "ICD9_CODE"), (procedures, "ICD9_CODE"), (drugs, "drugbank_id"))]
    visits = pd.concat(lists, axis=1, join="inner").reset_index()
    admissions = read("ADMISSIONS", ["HADM_ID", "ADMITTIME"])
    visits = visits.merge(admissions, on="HADM_ID")
    notes = read("NOTEEVENTS", ["HADM_ID", "CATEGORY", "ISERROR", "TEXT"])
    notes = notes[(notes.CATEGORY == "Discharge summary") & notes.HADM_ID.isin(common)]
    notes = notes.drop_duplicates("HADM_ID")
    notes["TEXT"] = notes.TEXT.str.extract(r"(?s)Medications on Admission:(.*?)\n\n", expand=False)
    return visits.merge(notes, on="HADM_ID", how="left")


# ---- measuring ---------------------------------------------------------------------------------

def measured(command):
    """Runs a command; returns wall seconds, processor seconds and most resident MB of it alone."""
    begin = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command[0]} failed with status {status}")
    return {"seconds": time.monotonic() - begin, "processor_seconds": usage.ru_utime + usage.ru_stime,
            "resident_mb": usage.ru_maxrss / 1024}, output


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", choices=["mimic3", "mimic4"], default="mimic3")
    parser.add_argument("--demo", type=pathlib.Path, required=True, help="folder of the demo's tables")
    parser.add_argument("--mappings", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/preparation"))
    parser.add_argument("--scale", type=float, default=1.0, help="of the hospital's counts")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--flame", type=pathlib.Path, default=ROOT / "build" / "flame")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--make-alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--pandas-alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pandas_alone:
        print(len(pandas_visits(options.work, options.mappings)))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    mimic4 = options.like == "mimic4"
    if options.make_alone:
        (make_mimic4 if mimic4 else make_tables)(options.demo, options.work, options.scale, seed=1)
        (options.work / "made").touch()
        return
    if not (options.work / "made").exists():
        # By a process of its own: what this one holds would count as the memory of those it starts.
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--make-alone"], check=True)
    corpus = options.work / "corpus.h5"
    ours, theirs = [], []
    for _ in range(options.repeats):
        run, _ = measured([options.flame, "prepare", f"data.hospital={options.like}", f"data.root={options.work}",
                           f"data.mappings={options.mappings}", "--out", corpus])
        ours.append(run)
        if mimic4:
            continue
        run, visits = measured([sys.executable, __file__, "--demo", options.demo, "--work", options.work,
                                "--mappings", options.mappings, "--pandas-alone"])
        theirs.append(run)
    summary = json.loads(subprocess.run([options.flame, "inspect", corpus, "--json"], check=True,
                                        capture_output=True).stdout)
    result = {"scale": options.scale, "bytes": sum(p.stat().st_size for p in options.work.rglob("*.csv")),
              "visits": summary["num_visits"], "flame": medians(ours)}
    if not mimic4:
        if summary["num_visits"] != int(visits):
            raise SystemExit(f"flame has {summary['num_visits']} visits, pandas {int(visits)}")
        result |= {"pandas": medians(theirs), "ratio": medians(theirs)["seconds"] / medians(ours)["seconds"]}
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
