#!/usr/bin/env python3
"""Converts the record files of GAMENet, SafeDrug, MICRON, COGNet, MoleRec, RAREMed and FLAME.

    python3 scripts/convert_records.py --voc voc_final.pkl --ddi ddi_A_final.pkl \\
        --records records_final.pkl --out records.jsonl
    python3 scripts/convert_records.py --voc voc_final.pkl --ddi ddi_A_final.pkl \\
        --visits data4LLM_with_note.csv --out records.jsonl
    python3 scripts/convert_records.py --to-pickle records.jsonl --out FOLDER

The first two write the file that data.hospital: records reads; docs/formats.md, Records, has its
fields. --visits takes FLAME's table instead of records_final.pkl: it has the ids of patients and
visits, ages, notes and titles. The third writes records_final.pkl, voc_final.pkl and
ddi_A_final.pkl. A pickle may name any function of the machine, so these are read without importing
what they name: only containers, Voc objects and numpy's numbers and arrays are admitted. Exit
status: 0 done, 2 usage, 3 bad data. Nothing is written unless all input is sound."""

import argparse
import ast
import csv
import io
import pathlib
import pickle
import re
import sys

from plain_pickle import Array, Voc, array_pickle, read_pickle, voc_pickle
from records_file import KINDS, BadData, check_order, read_bytes, read_records, records_text, write_file

VOCABULARIES = {"diagnoses": "diag_voc", "procedures": "pro_voc", "drugs": "med_voc"}
ID_COLUMNS = {"diagnoses": "diag_id", "procedures": "pro_id", "drugs": "drug_id"}
TITLE_COLUMNS = {"diagnoses": "diagnose", "procedures": "procedure", "drugs": "drug_name"}
AGE_CAP = 90
# Sections that were written at admission, and where what came later begins.
SECTIONS = ("History of Present Illness", "Past Medical History", "Allergies", "Medications on Admission")
HEADING = re.compile(r"^[ \t]*([A-Za-z][A-Za-z /&-]{2,40})[ \t]*:", re.MULTILINE)
# As data/tables/note_sections.cpp has them.
LATER_PHRASES = [
    "discharge med", "discharge rx", "discharge drug", "discharge instruct", "discharge diagnos",
    "discharge condition", "discharge disposition", "discharge presc", "meds at d/c", "medications at d/c",
    "d/c med", "on d/c", "upon d/c", "dc med", "dc rx", "upon dc", "meds on dc", "medications on dc",
    "at discharge:", "discharged on:", "to be discharged", "d/c rx", "medications on discharge",
    "medication on discharge", "meds on discharge", "rx on discharge", "medications at discharge",
    "meds at discharge", "rx at discharge", "medications upon discharge", "meds upon discharge",
    "at time of discharge", "at the time of discharge", "discharged on the following",
    "discharged with the following", "hospital course", "course in hospital", "transfer med",
    "meds on transfer", "medications on transfer", "medication on transfer"]
LATER = re.compile("|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in LATER_PHRASES), re.IGNORECASE)


def words_of(voc, where):
    """The words of one Voc in order of their ids, as text."""
    state = voc.state if isinstance(voc, Voc) else voc
    words = state.get("idx2word") if isinstance(state, dict) else None
    if not isinstance(words, dict) or not isinstance(state.get("word2idx", {}), dict):
        raise BadData(f"{where} has no idx2word; expected a Voc with dicts of words and ids")
    if set(words) != set(range(len(words))):
        raise BadData(f"{where}: the keys of idx2word are not 0 to {len(words) - 1}")
    texts = []
    for i in range(len(words)):
        if not isinstance(words[i], (str, int)) or str(words[i]).strip() == "":
            raise BadData(f"{where}: idx2word[{i}] is {words[i]!r}; expected a code")
        texts.append(str(words[i]).strip())
        if state.get("word2idx", {words[i]: i}).get(words[i]) != i:
            raise BadData(f"{where}: word2idx of {words[i]!r} is not {i}, as idx2word has it")
    if len(set(texts)) != len(texts):
        twice = next(text for i, text in enumerate(texts) if text in texts[:i])
        raise BadData(f"{where}: the code '{twice}' has two ids")
    return texts


def read_vocabularies(path):
    """{kind: codes in order of their ids}."""
    voc = read_pickle(path)
    if not isinstance(voc, dict) or not set(VOCABULARIES.values()) <= set(voc):
        raise BadData(f"{path}: expected a dict with diag_voc, pro_voc and med_voc")
    return {kind: words_of(voc[name], f"{path}: {name}") for kind, name in VOCABULARIES.items()}


def read_ddi(path, num_drugs):
    """The harmful pairs [i, j] with i < j."""
    matrix = read_pickle(path)
    rows = matrix.rows if isinstance(matrix, Array) else matrix
    if not isinstance(rows, list) or [len(row) for row in rows if isinstance(row, list)] != [num_drugs] * num_drugs:
        raise BadData(f"{path}: expected a matrix of {num_drugs} x {num_drugs}, the drugs of med_voc")
    pairs = []
    for i in range(num_drugs):
        for j in range(num_drugs):
            if rows[i][j] not in (0, 1) or rows[i][j] != rows[j][i] or (i == j and rows[i][j]):
                raise BadData(f"{path}: [{i}, {j}] is {rows[i][j]} and [{j}, {i}] is {rows[j][i]}; expected a "
                              "symmetric matrix of 0 and 1 with a zero diagonal")
            if i < j and rows[i][j]:
                pairs.append([i, j])
    return pairs


def codes_of(ids, codes, where):
    """The codes of a list of ids; a repeated id counts once."""
    if not isinstance(ids, (list, tuple)):
        raise BadData(f"{where} is {ids!r}; expected a list of ids")
    for each in ids:
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < len(codes):
            raise BadData(f"{where} has {each!r}; expected ids of 0 to {len(codes) - 1}")
    return [codes[each] for each in dict.fromkeys(ids)]


def visits_of_records(path, vocabularies):
    """The visits of records_final.pkl, patients and visits numbered from 1."""
    patients = read_pickle(path)
    if not isinstance(patients, list) or not patients:
        raise BadData(f"{path}: expected a list of patients")
    visits = []
    for p, patient in enumerate(patients):
        if not isinstance(patient, list) or not patient:
            raise BadData(f"{path}: patient {p} is {str(patient)[:60]}; expected a list of visits")
        for v, visit in enumerate(patient):
            where = f"{path}: patient {p}, visit {v}"
            if not isinstance(visit, (list, tuple)) or len(visit) < len(KINDS):
                raise BadData(f"{where} is {str(visit)[:60]}; expected lists of diagnoses, procedures and drugs")
            codes = {kind: codes_of(visit[k], vocabularies[kind], f"{where}: its {kind}")
                     for k, kind in enumerate(KINDS)}
            visits.append({"subject": p + 1, "hadm": len(visits) + 1, **codes})
    return visits


def note_of(text):
    """The sections that were written at admission, a line each; "" if there is none."""
    headings = list(HEADING.finditer(text))
    lines = []
    for i, heading in enumerate(headings):
        title = next((name for name in SECTIONS if name.lower() == heading[1].strip().lower()), None)
        end = headings[i + 1].start() if i + 1 < len(headings) else len(text)
        content = text[heading.end() : end]
        later = LATER.search(content)
        content = " ".join((content[: later.start()] if later else content).split()).rstrip(", ")
        if title and content:
            lines.append(f"{title}: {content}")
    return "\n".join(lines)


def whole_number(row, column, where):
    try:
        number = float(row[column])
        if number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise BadData(f"{where}: {column} is '{row[column]}'; expected a whole number") from None
    return int(number)


def list_in(row, column, where):
    try:
        value = ast.literal_eval(row[column])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise BadData(f"{where}: {column} is '{row[column][:60]}'; expected a list such as [0, 3]")
    return value


def visit_of_row(row, where, vocabularies, titles, whole_notes):
    visit = {"subject": whole_number(row, "SUBJECT_ID", where), "hadm": whole_number(row, "HADM_ID", where)}
    for kind in KINDS:
        ids = list_in(row, ID_COLUMNS[kind], where)
        names = list_in(row, TITLE_COLUMNS[kind], where)
        if len(ids) != len(names):
            raise BadData(f"{where}: {ID_COLUMNS[kind]} has {len(ids)} values, {TITLE_COLUMNS[kind]} {len(names)}")
        visit[kind] = codes_of(ids, vocabularies[kind], f"{where}: {ID_COLUMNS[kind]}")
        for each, name in zip(ids, names):
            titles[kind].setdefault(vocabularies[kind][each], " ".join(str(name).split()))
    visit["age"] = whole_number(row, "AGE", where)
    if not 0 <= visit["age"] <= AGE_CAP:
        raise BadData(f"{where}: AGE is {row['AGE']}; expected 0 to {AGE_CAP}")
    gender = row["GENDER"].strip().upper()[:1]
    visit["gender"] = gender if gender in ("F", "M") else "U"
    note = (row.get("NOTE") or "").strip()
    note = note if whole_notes else note_of(note)
    if note:
        visit["note"] = note
    return visit


def check_time(row, visits, where, times):
    """The order of a patient's rows is the order of the visits, so a table that tells times must follow them."""
    time, subject = (row.get("ADMITTIME") or "").strip(), visits[-1]["subject"]
    if time and time < times.get(subject, time):
        raise BadData(f"{where}: ADMITTIME {time} is before {times[subject]}, that of an earlier row of the patient; "
                      "expected rows in order of time")
    times[subject] = time or times.get(subject, "")


def visits_of_table(path, vocabularies, titles, whole_notes):
    """The visits of FLAME's data4LLM.csv or data4LLM_with_note.csv; fills {kind: {code: title}}."""
    csv.field_size_limit(1 << 30)
    try:
        rows = list(csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path}: not a CSV table in UTF-8: {error}") from None
    wanted = ["SUBJECT_ID", "HADM_ID", "GENDER", "AGE", *TITLE_COLUMNS.values(), *ID_COLUMNS.values()]
    visits, withheld, times = [], 0, {}
    for i, row in enumerate(rows):
        where = f"{path}: data row {i + 1}"
        missing = [column for column in wanted if row.get(column) is None]
        if missing:
            raise BadData(f"{where} has no {', '.join(missing)}")
        visits.append(visit_of_row(row, where, vocabularies, titles, whole_notes))
        check_time(row, visits, where, times)
        withheld += bool((row.get("NOTE") or "").strip()) and "note" not in visits[-1]
    if not visits:
        raise BadData(f"{path}: has no row")
    if withheld:
        print(f"convert_records: {withheld} notes have none of the sections {', '.join(SECTIONS)}; they are left out, "
              "as it is unknown when they were written", file=sys.stderr)
    return visits


def split_patients(visits):
    """Adds the split of the projects' training scripts: the first two thirds of the patients train, the
    first half of the others test, the second half validate."""
    patients = list(dict.fromkeys(visit["subject"] for visit in visits))
    train = int(len(patients) * 2 / 3)
    test = train + int((len(patients) - train) / 2)
    place = {subject: i for i, subject in enumerate(patients)}
    for visit in visits:
        at = place[visit["subject"]]
        visit["split"] = "train" if at < train else "test" if at < test else "validation"


def write_pickles(source, folder):
    header, visits = read_records(source)
    vocabularies = {VOCABULARIES[kind]: [each["code"] for each in header[kind]] for kind in KINDS}
    patients = {}
    for visit in visits:
        patients.setdefault(visit["subject"], []).append(visit["ids"])
    size = len(header["drugs"])
    matrix = [[0.0] * size for _ in range(size)]
    for i, j in header["ddi"]:
        matrix[i][j] = matrix[j][i] = 1.0
    write_file(folder / "voc_final.pkl", voc_pickle(vocabularies))
    write_file(folder / "ddi_A_final.pkl", array_pickle(matrix))
    write_file(folder / "records_final.pkl", pickle.dumps(list(patients.values()), protocol=3))


def convert(options):
    vocabularies = read_vocabularies(options.voc)
    titles = {kind: {} for kind in KINDS}
    if options.records:
        visits = visits_of_records(options.records, vocabularies)
    else:
        visits = visits_of_table(options.visits, vocabularies, titles, options.notes == "whole")
    check_order(visits, options.records or options.visits)
    if options.split == "patients":
        split_patients(visits)
    ddi = read_ddi(options.ddi, len(vocabularies["drugs"]))
    write_file(options.out, records_text(vocabularies, titles, ddi, visits))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voc", help="voc_final.pkl")
    parser.add_argument("--ddi", help="ddi_A_final.pkl")
    parser.add_argument("--records", help="records_final.pkl")
    parser.add_argument("--visits", help="data4LLM_with_note.csv or data4LLM.csv")
    parser.add_argument("--split", choices=["none", "patients"], default="none",
                        help="patients: as the projects' training scripts do; none, the default: by data.split")
    parser.add_argument("--notes", choices=["admission", "whole"], default="admission",
                        help="of the column NOTE, the sections that were written at admission, or all of it")
    parser.add_argument("--to-pickle", metavar="FILE", help="records.jsonl to write as pickles")
    parser.add_argument("--out", required=True, help="file to write, or the folder of --to-pickle")
    options = parser.parse_args()
    from_pickles = options.voc and options.ddi and bool(options.records) != bool(options.visits)
    if bool(options.to_pickle) == bool(from_pickles):
        parser.error("expected --to-pickle, or --voc, --ddi and one of --records and --visits")
    try:
        if options.to_pickle:
            write_pickles(options.to_pickle, pathlib.Path(options.out))
        else:
            convert(options)
    except BadData as error:
        print(f"convert_records: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
