"""Reads pickles of plain data without importing what they name, and writes such pickles.

A pickle may name any function of the machine and have it called. Here only containers, Voc objects and
numpy's numbers and arrays are admitted, each through a stand-in of this file; dill's descriptions of a
class become the stand-in of Voc, and their code is not looked at. Another name is refused."""

import io
import pickle
import struct

from records_file import BadData, read_bytes

# Numpy's codes of numbers and struct's letters.
NUMBERS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H",
           "u1": "B", "b1": "?"}
CONTAINERS = {kind.__name__: kind for kind in (dict, list, tuple, set, frozenset, str, int, float, bool)}


class Voc:
    """A vocabulary: idx2word {int: word} and word2idx {word: int}."""

    def __init__(self, *_):
        self.state = {}

    def __setstate__(self, state):
        if not isinstance(state, dict):
            raise BadData(f"the state of a Voc is a {type(state).__name__}; expected a dict")
        self.state = state


class Ignored:
    """Stands for a class, function or module of the pickle. Nothing that it names is run."""

    def __init__(self, name="", *_):
        self.name = name

    def __call__(self, *_):
        return Ignored()

    def __setstate__(self, _):
        pass


class Dtype:
    """A numpy.dtype by its code, such as f8, and byte order."""

    def __init__(self, code, *_):
        self.code, self.order = str(code).lstrip("<>|="), "<"

    def __setstate__(self, state):
        self.order = ">" if state[1] == ">" else "<"

    def values(self, raw):
        raw = raw.encode("latin-1") if isinstance(raw, str) else bytes(raw)
        if self.code not in NUMBERS:
            raise BadData(f"an array of dtype {self.code}; expected numbers")
        letter = NUMBERS[self.code]
        size = struct.calcsize("=" + letter)
        if len(raw) % size:
            raise BadData(f"{len(raw)} bytes of numbers of {size} bytes each")
        return list(struct.unpack(f"{self.order}{len(raw) // size}{letter}", raw))


class Array:
    """A numpy.ndarray of one or two dimensions."""

    def __init__(self, *_):
        self.rows = []

    def __setstate__(self, state):
        _, shape, dtype, by_columns, raw = state
        self.fill(shape, dtype, raw, by_columns)

    def fill(self, shape, dtype, raw, by_columns):
        numbers = dtype.values(raw)
        if len(shape) == 1:
            shape = (1, shape[0])
        if len(shape) != 2 or len(numbers) != shape[0] * shape[1]:
            raise BadData(f"an array of shape {tuple(shape)} with {len(numbers)} numbers")
        height, width = shape
        if by_columns:
            self.rows = [numbers[i::height] for i in range(height)]
        else:
            self.rows = [numbers[i * width : (i + 1) * width] for i in range(height)]


def from_buffer(buffer, dtype, shape, order="C", *_):
    array = Array()
    array.fill(shape, dtype, buffer, order == "F")
    return array


def make_class(*arguments):
    """Stands for type and for dill's function of the type's type and the same arguments."""
    name = next((each for each in arguments if isinstance(each, str)), "")
    if name != "Voc":
        raise BadData(f"it makes a class '{name}'; expected Voc")
    return Voc


def latin_bytes(text, encoding="latin1"):
    if encoding != "latin1":
        raise BadData(f"it encodes text as {encoding}")
    return text.encode("latin-1")


class Reader(pickle.Unpickler):
    """Reads a pickle of plain data and refuses every other global."""

    def find_class(self, module, name):
        if name == "Voc":
            return Voc
        if module in ("builtins", "__builtin__"):
            found = {**CONTAINERS, "object": Ignored("object"), "type": make_class,
                     "setattr": Ignored("setattr"), "__main__": Ignored("__main__")}.get(name)
        elif module in ("dill._dill", "dill.dill"):
            found = {"_create_type": make_class, "_load_type": Ignored, "_create_function": Ignored("function"),
                     "_create_code": Ignored("code"), "_unmarshal": Ignored("code"), "_import_module": Ignored,
                     "_get_attr": self.attribute, "_create_array": self.array}.get(name)
        elif module == "_codecs":
            found = {"encode": latin_bytes}.get(name)
        else:
            found = self.of_numpy(module, name)
        if found is None:
            raise BadData(f"it names {module}.{name}, which is not read; expected containers, Voc and numpy's arrays")
        return found

    def of_numpy(self, module, name):
        if module == "numpy":
            return {"ndarray": Ignored("ndarray"), "dtype": Dtype}.get(name)
        if module.replace("_core", "core") in ("numpy.core.multiarray", "numpy.core._multiarray_umath"):
            return {"_reconstruct": Array, "scalar": lambda dtype, raw: dtype.values(raw)[0]}.get(name)
        if module.replace("_core", "core") == "numpy.core.numeric":
            return {"_frombuffer": from_buffer}.get(name)
        return None

    def attribute(self, module, name):
        return self.find_class(module.name, name)

    @staticmethod
    def array(make, arguments, state, *_):
        array = make(*arguments)
        array.__setstate__(state)
        return array

    def persistent_load(self, _):
        raise BadData("it refers to objects outside the file")


def read_pickle(path):
    stream = io.BytesIO(read_bytes(path))
    try:
        value = Reader(stream, encoding="latin-1").load()
    except BadData as error:
        raise BadData(f"{path}: {error}") from None
    except Exception as error:
        raise BadData(f"{path}: not a whole pickle of plain data: {type(error).__name__}: {error}") from None
    rest = len(stream.read())
    if rest:
        raise BadData(f"{path}: {rest} bytes follow the end of the pickle")
    return value


def fragment(value):
    """The pickle of plain data without its first and last opcode and without memo, to put into another."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=3)
    pickler.fast = True
    pickler.dump(value)
    return stream.getvalue()[2:-1]


def voc_pickle(vocabularies):
    """The pickle of {name: Voc of the codes}, of a class Voc that the pickle makes in __main__."""
    make = (b"cbuiltins\ntype\n" + fragment("Voc") + b"cbuiltins\nobject\n\x85" + fragment({"__module__": "__main__"})
            + b"\x87Rq\x00")
    text = b"\x80\x03}"
    for i, (name, codes) in enumerate(vocabularies.items()):
        state = {"idx2word": dict(enumerate(codes)), "word2idx": {code: k for k, code in enumerate(codes)}}
        text += fragment(name) + (b"h\x00" if i else make) + b")\x81" + fragment(state) + b"bs"
    return text + b"."


def array_pickle(rows):
    """A numpy array of float64, as numpy 1 and 2 read it."""
    raw = struct.pack(f"<{len(rows) * len(rows)}d", *(number for row in rows for number in row))
    return (b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + fragment((0,)) + fragment(b"b")
            + b"\x87R(" + fragment(1) + fragment((len(rows), len(rows))) + b"cnumpy\ndtype\n"
            + fragment(("f8", False, True)) + b"R" + fragment((3, "<", None, None, None, -1, -1, 0)) + b"b"
            + fragment(False) + fragment(raw) + b"tb.")
