"""Reads, checks and writes records.jsonl (docs/formats.md, Records)."""

import json
import os
import pathlib

SCHEMA = "flame.records/1"
KINDS = ("diagnoses", "procedures", "drugs")
TITLE_OF = {"diagnoses": "title", "procedures": "title", "drugs": "name"}


class BadData(Exception):
    """Input that is missing, malformed or refused, in words."""


def read_bytes(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise BadData(f"{path}: {error.strerror}") from None


def check_order(visits, where):
    """Patients must be contiguous and visits different."""
    done, last, hadms = set(), None, set()
    for visit in visits:
        if visit["subject"] != last:
            if visit["subject"] in done:
                raise BadData(f"{where}: the visits of patient {visit['subject']} are not one after another")
            done.add(visit["subject"])
            last = visit["subject"]
        if visit["hadm"] in hadms:
            raise BadData(f"{where}: visit {visit['hadm']} is there twice")
        hadms.add(visit["hadm"])


def read_records(path):
    """The header and the visits of a records.jsonl, checked."""
    try:
        lines = read_bytes(path).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: not UTF-8, at byte {error.start}") from None
    header, known, visits = None, {}, []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        where = f"{path}: line {number}"
        try:
            line = json.loads(text)
        except ValueError as error:
            raise BadData(f"{where}: not JSON: {error}") from None
        if header is None:
            header, known = header_of(line, where)
        else:
            visits.append(visit_of(line, known, where))
    if not visits:
        raise BadData(f"{path}: holds no visit; expected a header and a line a visit")
    check_order(visits, path)
    return header, visits


def header_of(line, where):
    if not isinstance(line, dict) or line.get("schema") != SCHEMA:
        raise BadData(f'{where}: expected {{"schema": "{SCHEMA}", ...}}')
    known = {}
    for kind in KINDS:
        entries = line.get(kind)
        if not isinstance(entries, list) or not all(isinstance(each, dict) and isinstance(each.get("code"), str)
                                                    for each in entries):
            raise BadData(f"{where}: '{kind}' is no list of objects with a code")
        known[kind] = {each["code"]: i for i, each in enumerate(entries)}
        if len(known[kind]) != len(entries):
            raise BadData(f"{where}: '{kind}' has a code twice")
    if not isinstance(line.get("ddi"), list):
        raise BadData(f"{where}: 'ddi' is no list of pairs")
    for pair in line["ddi"]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(i) is int for i in pair)
                and 0 <= pair[0] < pair[1] < len(known["drugs"])):
            raise BadData(f"{where}: 'ddi' has {pair}; expected two indices of drugs, the lower first")
    return line, known


def visit_of(line, known, where):
    if not isinstance(line, dict) or not all(type(line.get(name)) is int for name in ("subject", "hadm")):
        raise BadData(f"{where}: expected an object with the numbers subject and hadm")
    for kind in KINDS:
        codes = line.get(kind)
        if not isinstance(codes, list):
            raise BadData(f"{where}: '{kind}' is {codes!r}; expected a list of codes")
        for code in codes:
            if not isinstance(code, str) or code not in known[kind]:
                raise BadData(f"{where}: '{kind}' has {code!r}, which the first line does not have")
        if len(set(codes)) != len(codes):
            raise BadData(f"{where}: '{kind}' has a code twice")
    return {**line, "ids": [[known[kind][code] for code in line[kind]] for kind in KINDS]}


def write_file(path, content):
    """Writes under a temporary name and renames."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise BadData(f"{path}: {error.strerror}") from None


def records_text(vocabularies, titles, ddi, visits):
    header = {"schema": SCHEMA}
    for kind, codes in vocabularies.items():
        header[kind] = [{"code": code, TITLE_OF[kind]: titles[kind][code]} if titles[kind].get(code) else {"code": code}
                        for code in codes]
    header["ddi"] = ddi
    try:
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [header, *visits]).encode()
    except UnicodeEncodeError as error:
        raise BadData(f"the text {error.object[error.start : error.start + 20]!r} has no form in UTF-8") from None
