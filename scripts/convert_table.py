#!/usr/bin/env python3
"""Converts a pickled table of vectors to safetensors, for encoders.patient, .diagnosis, .procedure and .drug.

    python3 scripts/convert_table.py diagnosis_embeddings.pkl --out diagnosis.safetensors
    python3 scripts/convert_table.py drugs.pkl --ids codes.txt --out drugs.safetensors

The pickle holds a dict of an id and its vector each, or the rows of a table: a numpy array of two dimensions or a list
of vectors. A table's ids are the lines of the file --ids; without it, its rows must be those of the corpus. Writes
--out and, if there are ids, NAME.ids.txt beside it. A pickle may name any function of the machine, so what it names is
not imported: only containers, numbers and numpy's arrays are admitted. Exit status: 0 done, 2 usage, 3 bad data.
Nothing is written unless all input is sound."""

import argparse
import array
import math
import pathlib
import sys

from plain_pickle import Array, read_pickle
from records_file import BadData, read_bytes, write_file
from safetensors_file import safetensors_bytes


def vector_of(value, name):
    """The numbers of a vector: a list, a tuple or a numpy array of one dimension."""
    if isinstance(value, Array):
        if len(value.rows) != 1:
            raise BadData(f"{name} is an array of {len(value.rows)} rows; expected a vector")
        value = value.rows[0]
    if not isinstance(value, list | tuple) or not value:
        raise BadData(f"{name} is a {type(value).__name__}; expected a vector of numbers")
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise BadData(f"{name} has the value {number!r}; expected finite numbers")
    return [float(number) for number in value]


def table_of(value):
    """(ids or None, rows) of what a pickle held."""
    if isinstance(value, dict):
        ids = [str(key) for key in value]
        if any(not isinstance(key, str | int) or isinstance(key, bool) or "\n" in str(key) for key in value):
            raise BadData("a key of the dict is no id; expected texts of one line, or whole numbers")
        if len(set(ids)) != len(ids):
            raise BadData("two keys of the dict are the same id, one as a text and one as a number")
        return ids, [vector_of(row, f"the vector of '{name}'") for name, row in zip(ids, value.values(), strict=True)]
    rows = value.rows if isinstance(value, Array) else value
    if not isinstance(rows, list | tuple):
        raise BadData(f"the pickle holds a {type(value).__name__}; expected a dict of vectors, or a table")
    return None, [vector_of(row, f"row {i + 1}") for i, row in enumerate(rows)]


def read_table(path, ids_file):
    try:
        ids, rows = table_of(read_pickle(path))
    except BadData as fault:
        raise BadData(f"{fault}" if str(path) in str(fault) else f"{path}: {fault}") from None
    if not rows:
        raise BadData(f"{path}: the table is empty; expected at least one vector")
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise BadData(f"{path}: vectors of {widths[0]} and of {widths[-1]} numbers; expected one width")
    if ids_file is None:
        return ids, rows
    if ids is not None:
        raise BadData(f"{path} has ids of its own; expected a table of rows with --ids")
    ids = read_bytes(ids_file).decode("utf-8").splitlines()
    if len(ids) != len(rows):
        raise BadData(f"{ids_file} has {len(ids)} lines and {path} {len(rows)} rows; expected one each")
    return ids, rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=pathlib.Path, metavar="FILE", help="the pickle")
    parser.add_argument("--ids", type=pathlib.Path, help="the ids of a table's rows, one a line")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the safetensors file to write")
    options = parser.parse_args()
    if options.out.suffix != ".safetensors":
        parser.error(f"--out is {options.out}; expected a name that ends in .safetensors")
    try:
        ids, rows = read_table(options.table, options.ids)
        numbers = array.array("f", [number for row in rows for number in row])
        ids_file = options.out.with_suffix(".ids.txt")
        # The ids first: a table without them is taken for one in the corpus's order.
        if ids is not None:
            write_file(ids_file, "".join(f"{name}\n" for name in ids).encode())
        elif ids_file.exists():
            raise BadData(f"{ids_file} is there, and {options.table} has no ids; expected no such file")
        write_file(options.out, safetensors_bytes({"embeddings": ([len(rows), len(rows[0])], numbers)}))
    except (OSError, UnicodeDecodeError, BadData) as fault:
        print(f"convert_table: {fault}", file=sys.stderr)
        return 3
    print(f"{len(rows)} vectors of {len(rows[0])} numbers: {options.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
