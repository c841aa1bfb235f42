"""Folders are layers: includes go one way, and folders stay small."""

from collections import Counter
from pathlib import Path

import includes

ROOT = Path(__file__).resolve().parents[2]
MOST_FILES = 30


def plant(root, files):
    """A tree of two layers, low and high, with these files."""
    (root / "CMakeLists.txt").write_text("set(FLAME_LAYERS low high)\n")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_no_include_goes_up():
    assert includes.upward(ROOT) == []


def test_no_header_goes_round():
    assert includes.circle(includes.unit_graph(ROOT)) == []


def test_no_room_goes_round():
    assert includes.circle(includes.room_graph(ROOT)) == []


def test_every_include_is_there():
    missing = [f"{file}: {name}" for file, name in includes.includes(ROOT) if not (ROOT / name).exists()]
    assert missing == []


def test_no_folder_is_large():
    sources = [p for layer in includes.layers(ROOT) for p in (ROOT / layer).rglob("*") if p.suffix in (".h", ".cpp")]
    files = Counter(str(path.parent.relative_to(ROOT)) for path in sources)
    assert {folder: n for folder, n in files.items() if n > MOST_FILES} == {}


def test_upward_include_IsNamed(tmp_path):
    plant(tmp_path, {"low/a.h": '#include "high/b.h"\n', "high/b.h": ""})
    assert includes.upward(tmp_path) == ["low/a.h includes high/b.h: low lies below high"]


def test_include_of_no_layer_IsNamed(tmp_path):
    plant(tmp_path, {"low/a.cpp": '#include "tests/b.h"\n', "high/b.h": ""})
    assert includes.upward(tmp_path) == ["low/a.cpp includes tests/b.h, which lies in no layer"]


def test_circle_by_way_of_a_source_IsFound(tmp_path):
    plant(tmp_path, {"low/a.h": '#include "low/b.h"\n', "low/b.h": "", "low/b.cpp": '#include "low/a.h"\n'})
    assert includes.circle(includes.unit_graph(tmp_path)) == ["low/a", "low/b", "low/a"]


def test_circle_of_rooms_IsFound(tmp_path):
    plant(
        tmp_path,
        {
            "high/x/a.h": '#include "high/y/b.h"\n',
            "high/y/b.h": "",
            "high/y/c.h": '#include "high/x/d.h"\n',
            "high/x/d.h": "",
        },
    )
    assert includes.circle(includes.unit_graph(tmp_path)) == []
    assert includes.circle(includes.room_graph(tmp_path)) == ["high/x", "high/y", "high/x"]
