"""`flame prepare` gives the same visits of the demos of MIMIC-III and MIMIC-IV as a second
implementation of the preprocessing, written from docs/method.md alone with Python's csv module."""

import collections
import csv
import gzip
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAME = pathlib.Path(os.environ.get("FLAME_BINARY", ROOT / "build" / "flame")).resolve()
SHARED = ROOT.parent / "shared" / "data"


def read(folder, stem):
    """Returns the rows of a table as dicts with upper-case keys."""
    path = next(p for p in folder.iterdir() if p.name.lower().removesuffix(".gz") ==
                f"{stem.lower()}.csv")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="", encoding="utf-8") as file:
        return [{k.upper(): v for k, v in row.items()} for row in csv.DictReader(file)]


def unique(rows):
    return list(dict.fromkeys(rows))


def by_visit(rows):
    """Maps (subject, hadm) to the distinct codes of its rows, in order of the rows."""
    visits = collections.defaultdict(list)
    for row in rows:
        if row[-1] not in visits[row[:2]]:
            visits[row[:2]].append(row[-1])
    return dict(visits)


def drug_rows(root, mappings, min_visits, top):
    rows = [(int(r["SUBJECT_ID"]), int(r["HADM_ID"]), r["DRUG"], r["NDC"])
            for r in read(root, "PRESCRIPTIONS")
            if r["DRUG_TYPE"] == "MAIN" and r["NDC"] not in ("", "0")
            and r["DRUG"] and r["HADM_ID"] and r["SUBJECT_ID"]]
    rows = unique(rows)
    admissions = collections.defaultdict(set)
    for row in rows:
        admissions[row[0]].add(row[1])
    rows = [row for row in rows if len(admissions[row[0]]) >= min_visits]
    drugbank = collections.defaultdict(list)
    for row in read(mappings, "ndc9_to_drugbank"):
        drugbank[row["NDC"]].append(row["DRUGBANK_ID"])
    rows = unique([(s, h, name, drug) for s, h, name, ndc in rows for drug in drugbank[ndc[:-2]]])
    counts = collections.Counter(row[3] for row in rows)
    kept = set(sorted(counts, key=lambda drug: (-counts[drug], drug))[:top])
    kept &= {row["DRUG_ID"] for row in read(mappings, "drugbank_to_smiles") if row["SMILES"]}
    return [row for row in rows if row[3] in kept]


def code_of(row):
    """A code's version is a part of it."""
    if "ICD9_CODE" in row:
        return row["ICD9_CODE"]
    return {"9": "", "10": "ICD10:"}[row["ICD_VERSION"]] + row["ICD_CODE"].strip()


def code_rows(root, stem):
    rows = [r for r in read(root, stem) if code_of(r)]
    if stem == "DIAGNOSES_ICD":
        rows = [r for r in rows if all(r.values())]
    return unique([(int(r["SUBJECT_ID"]), int(r["HADM_ID"]), code_of(r)) for r in rows])


def select(tables, min_rows):
    """Selects common visits, then frequent diagnoses and procedures, until nothing changes."""
    while True:
        before = [len(table) for table in tables]
        common = set.intersection(*({row[1] for row in table} for table in tables))
        tables = [[row for row in table if row[1] in common] for table in tables]
        for i in (0, 1):
            counts = collections.Counter(row[-1] for row in tables[i])
            tables[i] = [row for row in tables[i] if counts[row[-1]] > min_rows]
        if before == [len(table) for table in tables]:
            return tables


def prepare(root, mappings, min_visits, top, min_rows, order):
    tables = select([code_rows(root, "DIAGNOSES_ICD"), code_rows(root, "PROCEDURES_ICD"),
                     drug_rows(root, mappings, min_visits, top)], min_rows)
    diagnoses, procedures, drugs = map(by_visit, tables)
    times = {int(r["HADM_ID"]): r["ADMITTIME"] for r in read(root, "ADMISSIONS")}
    keys = sorted(drugs, key=lambda k: (k[0], times[k[1]] if order == "time" else k[1], k[1]))
    ends = [len(keys) * 4 // 6, len(keys) * 5 // 6]
    return [{"subject": key[0], "hadm": key[1],
             "split": "train" if i < ends[0] else "validation" if i < ends[1] else "test",
             "diagnoses": diagnoses[key], "procedures": procedures[key], "drugs": drugs[key]}
            for i, key in enumerate(keys)]


def by_flame(folder, root, mappings, hospital="mimic3", **options):
    corpus = folder / "corpus.h5"
    settings = [f"data.{key}={value}" for key, value in options.items()]
    subprocess.run([FLAME, "prepare", f"data.hospital={hospital}", f"data.root={root}",
                    f"data.mappings={mappings}", *settings, "--out", corpus], check=True)
    lines = subprocess.run([FLAME, "inspect", corpus, "--json", "--visits"], check=True,
                           capture_output=True, text=True).stdout
    visits = [json.loads(line) for line in lines.splitlines()]
    for visit in visits:
        del visit["year"]  # compared below, for the layout that tells it
    return corpus, visits


@pytest.fixture(scope="module")
def demo():
    root = SHARED / "mimic-iii-demo"
    if not root.is_dir():
        pytest.skip(f"the MIMIC-III demo is not in {root}")
    return root, SHARED / "mappings"


@pytest.mark.parametrize("min_visits, top, min_rows, order", [
    (1, 201, 5, "time"), (1, 60, 5, "id"), (2, 201, 5, "time"), (1, 100000, 0, "time"),
    (2, 30, 2, "id")])
def test_every_visit(demo, tmp_path, min_visits, top, min_rows, order):
    root, mappings = demo
    expected = prepare(root, mappings, min_visits, top, min_rows, order)
    _, found = by_flame(tmp_path, root, mappings, min_visits=min_visits, top_drugs=top,
                        min_code_rows=min_rows, visit_order=order)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected):
        assert one == other


@pytest.fixture(scope="module")
def demo4():
    root = SHARED / "mimic-iv-demo"
    if not root.is_dir():
        pytest.skip(f"the MIMIC-IV demo is not in {root}")
    return root, SHARED / "mappings"


@pytest.mark.parametrize("min_visits, top, min_rows", [
    (1, 201, 5), (2, 201, 5), (1, 60, 2), (1, 100000, 0), (2, 30, 0)])
def test_every_visit_of_mimic4(demo4, tmp_path, min_visits, top, min_rows):
    root, mappings = demo4
    expected = prepare(root / "hosp", mappings, min_visits, top, min_rows, "time")
    _, found = by_flame(tmp_path, root, mappings, hospital="mimic4", min_visits=min_visits,
                        top_drugs=top, min_code_rows=min_rows)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected):
        assert one == other


def test_ages_years_and_titles_of_mimic4(demo4, tmp_path):
    h5py = pytest.importorskip("h5py")
    root, mappings = demo4
    corpus, visits = by_flame(tmp_path, root, mappings, hospital="mimic4", min_visits=1)
    people = {int(r["SUBJECT_ID"]): r for r in read(root / "hosp", "PATIENTS")}
    times = {int(r["HADM_ID"]): r["ADMITTIME"] for r in read(root / "hosp", "ADMISSIONS")}
    with h5py.File(corpus) as file:
        facts = zip(visits, file["visits/age"][:], file["visits/gender"][:], file["visits/year"][:])
        for visit, age, gender, year in facts:
            person = people[visit["subject"]]
            later = int(times[visit["hadm"]][:4]) - int(person["ANCHOR_YEAR"])
            assert age == min(int(person["ANCHOR_AGE"]) + later, 90)
            assert chr(gender) == person["GENDER"]
            assert year == int(person["ANCHOR_YEAR_GROUP"][:4]) + later
        for kind in ("diagnoses", "procedures"):
            long = {code_of(r): r["LONG_TITLE"] for r in read(root / "hosp", f"D_ICD_{kind}")}
            short = {r["ICD9_CODE"]: r["SHORT_TITLE"] for r in read(mappings, f"icd9_{kind}")}
            versions = collections.Counter()
            for code, title in zip(file[f"{kind}/codes"].asstr(), file[f"{kind}/titles"].asstr()):
                versions[code.startswith("ICD10:")] += 1
                if kind == "procedures" and code not in short:
                    continue  # its mapping has lost zeros
                assert title == short.get(code, long[code])
            assert versions[True] > 5 and versions[False] > 5


@pytest.mark.parametrize("pairs", ["ddi_public.csv", "ddi_typed.csv"])
def test_titles_ages_and_pairs(demo, tmp_path, pairs):
    h5py = pytest.importorskip("h5py")
    root, mappings = demo
    corpus, visits = by_flame(tmp_path, root, mappings, min_visits=1, ddi=pairs)
    people = {int(r["SUBJECT_ID"]): r for r in read(root, "PATIENTS")}
    times = {int(r["HADM_ID"]): r["ADMITTIME"] for r in read(root, "ADMISSIONS")}
    names = {r["DRUGBANK_ID"]: r["DRUG_NAME"] for r in read(mappings, "drugbank_to_name")}
    titles = {kind: {r["ICD9_CODE"]: r["SHORT_TITLE"] for r in read(root, f"D_ICD_{kind.upper()}")}
              for kind in ("diagnoses", "procedures")}
    harmful = {frozenset((r["DRUG1"], r["DRUG2"])) for r in read(mappings, pairs[:-4])}
    with h5py.File(corpus) as file:
        for visit, age, gender in zip(visits, file["visits/age"][:], file["visits/gender"][:]):
            person = people[visit["subject"]]
            years = int(times[visit["hadm"]][:4]) - int(person["DOB"][:4])
            assert (age, chr(gender)) == (min(years, 90), person["GENDER"])
        drugs = list(file["drugs/codes"].asstr())
        assert list(file["drugs/titles"].asstr()) == [names[drug] for drug in drugs]
        for kind, known in titles.items():
            for code, title in zip(file[f"{kind}/codes"].asstr(), file[f"{kind}/titles"].asstr()):
                assert title == known.get(code, title)
        ddi = file["ddi"][:]
        for i, a in enumerate(drugs):
            for j, b in enumerate(drugs):
                assert ddi[i, j] == (i != j and frozenset((a, b)) in harmful)
