#!/usr/bin/env python3
"""Converts a PyTorch state dict to safetensors, for micron.weights, raremed.weights and molecule.weights.

    python3 scripts/convert_weights.py Epoch_39_JA_0.5209_DDI_0.06952.model --out micron.safetensors
    python3 scripts/convert_weights.py Mole-BERT.pth --out molecule.safetensors

Reads files of torch.save since PyTorch 1.6, without PyTorch. A pickle may name any function of the machine, so what it
names is not imported: only dicts and tensors of numbers are admitted. Tensors keep their names; half and double
precision become single, tensors of whole numbers are left out. Exit status: 0 done, 2 usage, 3 bad data. Nothing is
written unless all input is sound."""

import argparse
import array
import collections
import io
import math
import pathlib
import pickle
import struct
import sys
import zipfile

from records_file import BadData, write_file
from safetensors_file import safetensors_bytes

# Storage types of floats: bytes of a number and struct's letter.
FLOATS = {"FloatStorage": (4, "f"), "DoubleStorage": (8, "d"), "HalfStorage": (2, "e")}
WHOLE = {"LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1}


class StorageType:
    def __init__(self, name):
        self.name = name


def places_of(offset, size, stride):
    """The places in its storage of a tensor's numbers, row by row."""
    if len(size) != len(stride) or any(extent < 0 for extent in size) or any(step < 0 for step in stride) or offset < 0:
        raise BadData("a tensor has a negative size, stride or offset")
    by_rows = [math.prod(size[i + 1:]) for i in range(len(size))]
    if all(step == rows or extent == 1 for extent, step, rows in zip(size, stride, by_rows, strict=True)):
        return range(offset, offset + math.prod(size))
    places = [offset]
    for extent, step in zip(size, stride, strict=True):
        places = [place + i * step for place in places for i in range(extent)]
    return places


class Tensor:
    """Numbers of a storage, row by row; None for whole numbers."""

    def __init__(self, storage, offset, size, stride):
        self.shape, self.values = list(size), None
        kind, data = storage
        if kind not in FLOATS:
            return
        width, letter = FLOATS[kind]
        numbers = array.array("f", struct.unpack(f"<{len(data) // width}{letter}", data))
        places = places_of(offset, self.shape, list(stride))
        if places and not 0 <= min(places[0], places[-1]) <= max(places[0], places[-1]) < len(numbers):
            raise BadData("a tensor reaches beyond its storage")
        rows = isinstance(places, range) and places.step == 1
        self.values = (numbers[places.start:places.stop] if rows
                       else array.array("f", [numbers[place] for place in places]))


def rebuild_tensor(storage, offset, size, stride, *_):
    return Tensor(storage, offset, size, stride)


def rebuild_parameter(tensor, *_):
    return tensor


ADMITTED = {("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): rebuild_parameter}


class Unpickler(pickle.Unpickler):
    def __init__(self, archive, root):
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self.archive, self.root = archive, root

    def find_class(self, module, name):
        if (module, name) in ADMITTED:
            return ADMITTED[module, name]
        if module == "torch" and (name in FLOATS or name in WHOLE):
            return StorageType(name)
        raise BadData(f"the file names {module}.{name}; expected a state dict of tensors alone")

    def persistent_load(self, reference):
        if not isinstance(reference, tuple) or len(reference) < 5 or not isinstance(reference[1], StorageType):
            raise BadData("the file refers to something else than a tensor's storage")
        _, kind, key, _, count = reference[:5]
        data = self.archive.read(f"{self.root}/data/{key}")
        width = FLOATS[kind.name][0] if kind.name in FLOATS else WHOLE[kind.name]
        if len(data) != count * width:
            raise BadData(f"storage {key} has {len(data)} bytes; expected {count * width}")
        return kind.name, data


def read_state(path):
    """{name: Tensor} of a state dict."""
    try:
        with zipfile.ZipFile(path) as archive:
            roots = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(roots) != 1:
                raise BadData(f"{path}: no data.pkl; expected a file of torch.save")
            state = Unpickler(archive, roots[0]).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError, struct.error, AttributeError, TypeError,
            ValueError, IndexError) as fault:
        raise BadData(f"{path}: cannot be read as a file of torch.save since PyTorch 1.6: {fault}") from fault
    except BadData as fault:
        raise BadData(f"{path}: {fault}") from fault
    for name in ("state_dict", "model_state_dict"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise BadData(f"{path}: expected a state dict: names with a tensor each")
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=pathlib.Path, metavar="FILE", help="what torch.save wrote")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the safetensors file to write")
    options = parser.parse_args()
    try:
        state = read_state(options.state)
        floats = {name: (tensor.shape, tensor.values) for name, tensor in state.items() if tensor.values is not None}
        if not floats:
            raise BadData(f"{options.state}: the state dict has no tensor of floats; expected at least one")
        write_file(options.out, safetensors_bytes(floats))
    except (OSError, BadData) as fault:
        print(f"convert_weights: {fault}", file=sys.stderr)
        return 3
    print(f"{len(state)} tensors of {options.state}: {options.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
