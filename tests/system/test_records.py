"""Record files of other projects: corpora from them and to them, pickles without trust, PyHealth's tables."""

import csv
import json
import os
import pickle
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import ROOT, TINY, run

CONVERT = ROOT / "scripts" / "convert_records.py"
# What records do not carry.
LOST = ("coverage", "funnel", "oracle_list", "oracle_threshold", "year", "admitted", "discharged")


class Voc:
    """The class that the projects' scripts define."""

    def __init__(self, words):
        self.idx2word = dict(enumerate(words))
        self.word2idx = {word: i for i, word in enumerate(words)}


def convert(*arguments, check=True):
    result = subprocess.run([sys.executable, CONVERT, *map(str, arguments)], capture_output=True, text=True,
                            timeout=120, check=False)
    if check:
        assert result.returncode == 0, result.stderr
    return result


def contents(path):
    """{dataset: values} of a corpus, without what records do not carry."""
    with h5py.File(path) as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item[:].tolist()})
                        if isinstance(item, h5py.Dataset) and not any(part in name for part in LOST) else None)
        return {**found, "num_patients": int(file.attrs["num_patients"])}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    run("synth", "--patients", 60, "--seed", 4, "--out", folder / "h")
    run("prepare", "data.hospital=mimic3", f"data.root={folder / 'h'}", f"data.mappings={folder / 'h' / 'mappings'}",
        "data.min_visits=1", "--out", folder / "corpus.h5")
    run("export", "--records", folder / "records", folder / "corpus.h5")
    return folder


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def prepare(root, out, *more, check=True):
    return run("prepare", "data.hospital=records", f"data.root={root}", *more, "--out", out, check=check)


def test_corpus_to_records_and_back_is_the_same(corpus, tmp_path):
    prepare(corpus / "records" / "records.jsonl", tmp_path / "again.h5")
    assert contents(tmp_path / "again.h5") == contents(corpus / "corpus.h5")
    with h5py.File(tmp_path / "again.h5") as file:
        assert file.attrs["hospital"] == "records"
    run("export", "--records", tmp_path / "r", tmp_path / "again.h5")
    assert (tmp_path / "r" / "records.jsonl").read_bytes() == (corpus / "records" / "records.jsonl").read_bytes()


def test_pickles_and_back_keep_visits_codes_and_pairs(corpus, tmp_path):
    source = corpus / "records" / "records.jsonl"
    convert("--to-pickle", source, "--out", tmp_path)
    convert("--voc", tmp_path / "voc_final.pkl", "--ddi", tmp_path / "ddi_A_final.pkl",
            "--records", tmp_path / "records_final.pkl", "--out", tmp_path / "again.jsonl")
    before, after = lines_of(source), lines_of(tmp_path / "again.jsonl")
    kinds = ("diagnoses", "procedures", "drugs")
    assert after[0]["ddi"] == before[0]["ddi"]
    for kind in kinds:
        assert [each["code"] for each in after[0][kind]] == [each["code"] for each in before[0][kind]]
        assert [visit[kind] for visit in after[1:]] == [visit[kind] for visit in before[1:]]
    assert [visit["hadm"] for visit in after[1:]] == list(range(1, len(before)))
    # Without a folder of mappings and without splits the file is enough.
    prepare(tmp_path / "again.jsonl", tmp_path / "again.h5")
    with h5py.File(tmp_path / "again.h5") as file, h5py.File(corpus / "corpus.h5") as made:
        for name in ("ddi", "visits/drugs", "visits/patient", "visits/split", "drugs/codes"):
            assert file[name][:].tolist() == made[name][:].tolist()


def test_pickles_open_as_the_projects_open_them(corpus, tmp_path):
    dill = pytest.importorskip("dill")
    convert("--to-pickle", corpus / "records" / "records.jsonl", "--out", tmp_path)
    loaded = {}
    for name in ("voc_final", "records_final", "ddi_A_final"):
        with (tmp_path / f"{name}.pkl").open("rb") as file:
            loaded[name] = dill.load(file)
    with h5py.File(corpus / "corpus.h5") as file:
        codes = file["drugs/codes"].asstr()[:].tolist()
        assert (loaded["ddi_A_final"] == file["ddi"][:]).all()
    voc = loaded["voc_final"]["med_voc"]
    assert type(voc).__name__ == "Voc" and type(voc).__module__ == "__main__"
    assert [voc.idx2word[i] for i in range(len(codes))] == codes and voc.word2idx[codes[-1]] == len(codes) - 1
    assert loaded["ddi_A_final"].dtype == np.float64
    visit = loaded["records_final"][0][0]
    assert len(visit) == 3 and all(isinstance(each, int) for ids in visit for each in ids)


DUMP = """
import sys, dill, numpy as np
class Voc(object):
    def __init__(self):
        self.idx2word, self.word2idx = {}, {}
    def add_sentence(self, sentence):
        for word in sentence:
            if word not in self.word2idx:
                self.idx2word[len(self.word2idx)] = word
                self.word2idx[word] = len(self.word2idx)
def voc(*words):
    made = Voc()
    made.add_sentence(words)
    return made
def dump(value, name):
    with open(sys.argv[1] + "/" + name, "wb") as file:
        dill.dump(value, file)
dump({"diag_voc": voc("4019", "25000"), "pro_voc": voc("3893"), "med_voc": voc("A01A", "B01A", "N02B")},
     "voc_final.pkl")
dump([[[[0, 1], [0], [0, 2], np.float64(0.5)], [[1], [0], [1], np.float64(1)]], [[[0], [0], [2], np.float64(1)]]],
     "records_final.pkl")
ddi = np.zeros((3, 3))
ddi[0, 2] = ddi[2, 0] = 1
dump(ddi, "ddi_A_final.pkl")
"""


def inputs(folder, **other):
    """Arguments that name the projects' files in a folder, or others in their place."""
    names = {"voc": "voc_final.pkl", "ddi": "ddi_A_final.pkl", "records": "records_final.pkl", **other}
    return [word for option, name in names.items() for word in (f"--{option}", folder / name)]


@pytest.fixture
def project(tmp_path):
    """The three files as dill writes them from a script that defines Voc, with a weight in every visit."""
    pytest.importorskip("dill")
    subprocess.run([sys.executable, "-c", DUMP, tmp_path], check=True)
    return tmp_path


def test_files_that_dill_wrote_are_read(project):
    out = project / "r.jsonl"
    convert(*inputs(project), "--split", "patients", "--out", out)
    assert lines_of(out) == [
        {"schema": "flame.records/1", "diagnoses": [{"code": "4019"}, {"code": "25000"}],
         "procedures": [{"code": "3893"}], "drugs": [{"code": "A01A"}, {"code": "B01A"}, {"code": "N02B"}],
         "ddi": [[0, 2]]},
        {"subject": 1, "hadm": 1, "diagnoses": ["4019", "25000"], "procedures": ["3893"], "drugs": ["A01A", "N02B"],
         "split": "train"},
        {"subject": 1, "hadm": 2, "diagnoses": ["25000"], "procedures": ["3893"], "drugs": ["B01A"], "split": "train"},
        {"subject": 2, "hadm": 3, "diagnoses": ["4019"], "procedures": ["3893"], "drugs": ["N02B"],
         "split": "validation"}]


class Runs:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("value, named", [
    (Runs(os.system, "touch owned"), f"{os.name}.system"),
    (Runs(eval, "open('owned', 'w')"), "builtins.eval"),
    (Runs(getattr, {}, "clear"), "builtins.getattr"),
    ([[Runs(__import__, "os")]], "builtins.__import__"),
    (Runs(type, "Other", (), {}), "makes a class 'Other'"),
    (Runs(np.load, "owned"), "numpy.load")])
def test_pickles_that_call_are_refused(project, value, named):
    (project / "records_final.pkl").write_bytes(pickle.dumps(value))
    result = convert(*inputs(project), "--out", project / "out.jsonl", check=False)
    assert result.returncode == 3
    assert f"{project / 'records_final.pkl'}: " in result.stderr and named in result.stderr
    assert not (project / "out.jsonl").exists() and not (project / "owned").exists()


def voc_of(**words):
    names = {"diag_voc": ["4019", "25000"], "pro_voc": ["3893"], "med_voc": ["A", "B", "N"], **words}
    return {name: Voc(each) if isinstance(each, list) else each for name, each in names.items()}


def asymmetric():
    matrix = np.zeros((3, 3))
    matrix[0, 1] = 1
    return matrix


def spoiled_voc():
    voc = voc_of()
    voc["pro_voc"].word2idx = {"3893": 4}
    return voc


@pytest.mark.parametrize("file, value, words", [
    ("records_final.pkl", [], "expected a list of patients"),
    ("records_final.pkl", [[[[0], [0], [0]]], []], "patient 1 is []; expected a list of visits"),
    ("records_final.pkl", [[[[0], [0]]]], "patient 0, visit 0 is [[0], [0]]"),
    ("records_final.pkl", [[[[0], [0], [3]]]], "patient 0, visit 0: its drugs has 3; expected ids of 0 to 2"),
    ("records_final.pkl", [[[[0], [-1], [0]]]], "its procedures has -1"),
    ("records_final.pkl", [[[["4019"], [0], [0]]]], "its diagnoses has '4019'"),
    ("records_final.pkl", [[[7, [0], [0]]]], "its diagnoses is 7; expected a list of ids"),
    ("ddi_A_final.pkl", asymmetric(), "[0, 1] is 1.0 and [1, 0] is 0.0; expected a symmetric matrix"),
    ("ddi_A_final.pkl", np.eye(3), "with a zero diagonal"),
    ("ddi_A_final.pkl", np.zeros((2, 2)), "expected a matrix of 3 x 3"),
    ("ddi_A_final.pkl", np.full((3, 3), "x"), "an array of dtype U1"),
    ("voc_final.pkl", {"diag_voc": Voc([])}, "expected a dict with diag_voc, pro_voc and med_voc"),
    ("voc_final.pkl", voc_of(med_voc=7), "med_voc has no idx2word"),
    ("voc_final.pkl", voc_of(med_voc=["A", "A", "B"]), "med_voc: word2idx of 'A' is not 0"),
    ("voc_final.pkl", voc_of(pro_voc=[None]), "idx2word[0] is None; expected a code"),
    ("voc_final.pkl", spoiled_voc(), "pro_voc: word2idx of '3893' is not 0")])
def test_malformed_pickles_are_named(project, file, value, words):
    (project / file).write_bytes(pickle.dumps(value))
    result = convert(*inputs(project), "--out", project / "out.jsonl", check=False)
    assert result.returncode == 3
    assert f"{project / file}" in result.stderr and words in result.stderr
    assert not (project / "out.jsonl").exists()


@pytest.mark.parametrize("spoil, words", [
    (lambda whole: whole[: len(whole) // 2], "not a whole pickle of plain data"),
    (lambda whole: whole + b"x", "1 bytes follow the end of the pickle"),
    (lambda whole: b"subject,hadm\n", "not a whole pickle of plain data"),
    (lambda whole: b"", "not a whole pickle of plain data")])
def test_damaged_pickles_are_named(project, spoil, words):
    path = project / "records_final.pkl"
    path.write_bytes(spoil(path.read_bytes()))
    result = convert(*inputs(project), "--out", project / "out.jsonl", check=False)
    assert result.returncode == 3 and f"{path}: " in result.stderr and words in result.stderr
    assert not (project / "out.jsonl").exists()


ROW = {"SUBJECT_ID": 10, "HADM_ID": 200, "GENDER": "female", "AGE": 71, "ADMITTIME": "2120-01-01 00:00:00",
       "diagnose": "['Hypertension']", "procedure": "[]", "drug_name": "['Aspirin', 'Morphine']", "diag_id": "[0]",
       "pro_id": "[]", "drug_id": "[0, 2]",
       "NOTE": "History of Present Illness: pain\nfor days,\nBrief Hospital Course: given warfarin.\n"
               "Medications on Admission: aspirin. Discharge Medications: warfarin."}


def write_table(path, *rows):
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ROW.keys())
        table.writeheader()
        table.writerows(rows)


def flame_inputs(folder):
    return ["--voc", folder / "voc_final.pkl", "--ddi", folder / "ddi_A_final.pkl", "--visits", folder / "t.csv",
            "--out", folder / "out.jsonl"]


def test_flames_table_has_ids_titles_and_what_was_known_at_admission(project):
    write_table(project / "t.csv", ROW, {**ROW, "HADM_ID": 150, "NOTE": ""},
                {**ROW, "SUBJECT_ID": 12, "HADM_ID": 7, "GENDER": "male", "NOTE": "He got warfarin."})
    result = convert(*flame_inputs(project))
    header, first, second, third = lines_of(project / "out.jsonl")
    assert header["diagnoses"] == [{"code": "4019", "title": "Hypertension"}, {"code": "25000"}]
    assert header["drugs"][2] == {"code": "N02B", "name": "Morphine"}
    assert first == {"subject": 10, "hadm": 200, "diagnoses": ["4019"], "procedures": [], "drugs": ["A01A", "N02B"],
                     "age": 71, "gender": "F", "note": "History of Present Illness: pain for days\n"
                                                       "Medications on Admission: aspirin."}
    assert "note" not in second and "note" not in third and third["gender"] == "M"
    assert "1 notes have none of the sections" in result.stderr
    convert(*flame_inputs(project), "--notes", "whole")
    assert lines_of(project / "out.jsonl")[3]["note"] == "He got warfarin."
    prepare(project / "out.jsonl", project / "corpus.h5")


@pytest.mark.parametrize("other, words", [
    ({"AGE": "old"}, "data row 1: AGE is 'old'; expected a whole number"),
    ({"AGE": 300}, "AGE is 300; expected 0 to 90"),
    ({"diag_id": "[5]"}, "diag_id has 5; expected ids of 0 to 1"),
    ({"drug_id": "[0]"}, "drug_id has 1 values, drug_name 2"),
    ({"pro_id": "__import__('os')"}, "pro_id is '__import__('os')'; expected a list")])
def test_faults_of_flames_table_are_named(project, other, words):
    write_table(project / "t.csv", {**ROW, **other})
    result = convert(*flame_inputs(project), check=False)
    assert result.returncode == 3 and f"{project / 't.csv'}: " in result.stderr and words in result.stderr
    assert not (project / "out.jsonl").exists()


def test_phrases_of_discharge_are_those_of_the_program():
    source = (ROOT / "data" / "tables" / "note_sections.cpp").read_text()
    phrases = re.findall(r'"([^"]+)"', source[source.index("kAtDischarge =") :].split("});")[0])
    script = (ROOT / "scripts" / "convert_records.py").read_text()
    listed = re.findall(r'"([^"]+)"', script[script.index("LATER_PHRASES = [") :].split("]\n")[0])
    assert len(phrases) > 30 and listed == phrases


def test_a_table_whose_rows_are_not_in_order_of_time_is_refused(project):
    earlier = {**ROW, "HADM_ID": 201, "ADMITTIME": "2119-12-31 23:00:00"}
    write_table(project / "t.csv", ROW, earlier)
    result = convert(*flame_inputs(project), check=False)
    assert result.returncode == 3 and "data row 2: ADMITTIME 2119-12-31 23:00:00 is before" in result.stderr
    write_table(project / "t.csv", earlier, ROW)
    convert(*flame_inputs(project))


def test_a_table_of_other_columns_and_mixed_patients_are_refused(project):
    (project / "t.csv").write_text("SUBJECT_ID,HADM_ID\n1,2\n")
    assert "has no GENDER, AGE" in convert(*flame_inputs(project), check=False).stderr
    write_table(project / "t.csv", ROW, {**ROW, "SUBJECT_ID": 12, "HADM_ID": 7}, {**ROW, "HADM_ID": 8})
    assert "the visits of patient 10 are not one after another" in convert(*flame_inputs(project), check=False).stderr


@pytest.mark.parametrize("line, words", [
    ("{", "line 2: not JSON"), ('{"subject": 1}', "line 2: expected an object with the numbers subject and hadm"),
    ('{"subject": 1, "hadm": 1, "diagnoses": ["x"], "procedures": [], "drugs": []}', "line 2: 'diagnoses' has 'x'")])
def test_faults_of_records_to_pickle_are_named(tmp_path, line, words):
    header = {"schema": "flame.records/1", "diagnoses": [], "procedures": [], "drugs": [], "ddi": []}
    (tmp_path / "r.jsonl").write_text(json.dumps(header) + "\n" + line + "\n")
    result = convert("--to-pickle", tmp_path / "r.jsonl", "--out", tmp_path / "out", check=False)
    assert result.returncode == 3 and f"{tmp_path / 'r.jsonl'}: {words}" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("member, words", [
    ({"schema": "flame.records/2"}, 'expected {"schema": "flame.records/1"'), ({"drugs": ["A"]}, "'drugs' is no list"),
    ({"ddi": 5}, "'ddi' is no list of pairs"), ({"ddi": [[1, 0]]}, "'ddi' has [1, 0]")])
def test_faults_of_the_first_line_to_pickle_are_named(tmp_path, member, words):
    header = {"schema": "flame.records/1", "diagnoses": [], "procedures": [], "drugs": [{"code": "A"}, {"code": "B"}],
              "ddi": []}
    (tmp_path / "r.jsonl").write_text(json.dumps({**header, **member}) + "\n")
    result = convert("--to-pickle", tmp_path / "r.jsonl", "--out", tmp_path / "out", check=False)
    assert result.returncode == 3 and "r.jsonl: line 1: " in result.stderr and words in result.stderr
    assert not (tmp_path / "out").exists()


def test_usage_is_checked(tmp_path):
    assert convert("--voc", "v", "--out", "o", check=False).returncode == 2
    assert convert("--voc", "v", "--ddi", "d", "--records", "r", "--visits", "t", "--out", "o",
                   check=False).returncode == 2
    result = run("export", "--records", tmp_path / "x", check=False)
    assert result.returncode == 2 and "--records needs CORPUS" in result.stderr
    result = run("export", "--records", tmp_path / "x", "--mappings", "m", "c.h5", check=False)
    assert result.returncode == 2 and "--records and --mappings do not go together" in result.stderr


def test_a_run_on_records_is_skipped_until_the_file_changes(corpus, tmp_path):
    source = tmp_path / "r.jsonl"
    source.write_bytes((corpus / "records" / "records.jsonl").read_bytes())
    command = ["prepare", "--config", TINY, f"run.dir={tmp_path / 'run'}", "data.hospital=records",
               f"data.root={source}"]
    run(*command)
    assert "stage prepare: inputs unchanged, skipped" in run(*command).stderr
    lines = source.read_text().splitlines(keepends=True)
    source.write_text("".join(lines[:-1]))
    assert "inputs unchanged, skipped" not in run(*command).stderr
    missing = run(*command[:-1], f"data.root={tmp_path / 'none'}", check=False)
    assert missing.returncode == 3 and "data.root: there is no file" in missing.stderr
    run("export", "--records", tmp_path / "out", tmp_path / "run")
    assert len(lines_of(tmp_path / "out" / "records.jsonl")) == len(lines) - 1


def test_pyhealths_tables_tell_our_labels_and_pairs(corpus, tmp_path):
    run("export", "--pyhealth", tmp_path / "out", "--mappings", corpus / "h" / "mappings", corpus / "corpus.h5")
    visits = [json.loads(line) for line in run("inspect", corpus / "corpus.h5", "--visits").stdout.splitlines()]

    def table(name):
        with (tmp_path / "out" / name).open(newline="") as file:
            return list(csv.DictReader(file))

    cache = ".cache/pyhealth/medcode/"
    level3 = {row["NDC"]: row["ATC"][:4] for row in table(cache + "NDC_to_ATC.csv")}
    codes = {row["code"][:4]: row["drugbank_id"] for row in table(cache + "ATC.csv") if len(row["code"]) == 7}
    assert all(row["smiles"] for row in table(cache + "ATC.csv") if len(row["code"]) == 7)
    drugs = {}
    for row in table("PRESCRIPTIONS.csv"):
        drugs.setdefault(row["HADM_ID"], []).append(codes[level3[row["NDC"]]])
    hadm = {row["HADM_ID"]: int(row["hadm"]) for row in table("visits.csv")}
    assert {hadm[visit]: each for visit, each in drugs.items()} == {each["hadm"]: each["drugs"] for each in visits}
    # PyHealth orders a patient's visits by the text of HADM_ID.
    assert [hadm[visit] for visit in sorted(hadm)] == [each["hadm"] for each in visits]
    with h5py.File(corpus / "corpus.h5") as file:
        pairs = {(int(row["ATC i"][:4]), int(row["ATC j"][:4])) for row in table(cache + "DDI_GAMENet.csv")}
        assert pairs == set(zip(*(each.tolist() for each in np.nonzero(np.triu(file["ddi"][:])))))
        born = {row["SUBJECT_ID"]: int(row["DOB"][:4]) for row in table("PATIENTS.csv")}
        ages = [int(row["ADMITTIME"][:4]) - born[row["SUBJECT_ID"]] for row in table("ADMISSIONS.csv")]
        assert ages == file["visits/age"][:].tolist()
