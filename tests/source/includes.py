"""The include graph of the layers, and what is wrong with it.

Layers are the folders of FLAME_LAYERS in CMakeLists.txt, lowest first; a room is a folder inside a
layer; a unit is a header with the source of the same name."""

import re
from collections import defaultdict
from pathlib import Path

INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def layers(root):
    text = (root / "CMakeLists.txt").read_text()
    return re.search(r"set\(FLAME_LAYERS ([^)]*)\)", text).group(1).split()


def includes(root):
    """[(file, included)], both relative to the root, of every source of a layer."""
    found = []
    for layer in layers(root):
        for path in sorted((root / layer).rglob("*")):
            if path.suffix not in (".h", ".cpp"):
                continue
            for included in INCLUDE.findall(path.read_text()):
                found.append((str(path.relative_to(root)), included))
    return found


def upward(root):
    """Includes of a layer above the file's own, or of no layer, in words."""
    order = layers(root)
    faults = []
    for file, included in includes(root):
        layer, target = file.split("/")[0], included.split("/")[0]
        if target not in order:
            faults.append(f"{file} includes {included}, which lies in no layer")
        elif order.index(target) > order.index(layer):
            faults.append(f"{file} includes {included}: {layer} lies below {target}")
    return faults


def circle(graph):
    """One circle of a graph {node: nodes} as [a, b, ..., a]; [] where there is none."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node) :] + [node]
        if node in done:
            return []
        path.append(node)
        for neighbour in sorted(graph.get(node, ())):
            if found := visit(neighbour):
                return found
        path.pop()
        done.add(node)
        return []

    for start in sorted(graph):
        if found := visit(start):
            return found
    return []


def unit_graph(root):
    graph = defaultdict(set)
    for file, included in includes(root):
        a, b = str(Path(file).with_suffix("")), str(Path(included).with_suffix(""))
        if a != b:
            graph[a].add(b)
    return graph


def room_graph(root):
    """Rooms of one layer that include one another. Files of the layer's own folder are no room:
    they hold what its rooms share."""
    graph = defaultdict(set)
    for file, included in includes(root):
        a, b = Path(file).parent, Path(included).parent
        if a != b and len(a.parts) > 1 and len(b.parts) > 1 and a.parts[0] == b.parts[0]:
            graph[str(a)].add(str(b))
    return graph
