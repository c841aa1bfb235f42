#!/usr/bin/env python3
"""Runs clang-tidy on the sources of the layers that have not passed it in their present form.

    python3 scripts/tidy.py CLANG_TIDY [--changed] [--jobs N]

A source's form is its text, that of the project's headers that it includes, its compile command, the
checks and clang-tidy's version. What passed is remembered in the cache folder (FLAME_CACHE), so that
a second run takes seconds. Needs build/compile_commands.json."""

import argparse
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def cache_folder():
    home = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(os.environ.get("FLAME_CACHE") or f"{home}/flame") / "tidy"


def layers():
    text = (ROOT / "CMakeLists.txt").read_text()
    return re.search(r"set\(FLAME_LAYERS ([^)]*)\)", text)[1].split()


@functools.cache
def text_of(path):
    return path.read_text()


@functools.cache
def headers_of(path):
    """Every header of the project that a file includes, by whatever way."""
    found = set()
    for name in INCLUDE.findall(text_of(path)):
        header = ROOT / name
        if header.exists():
            found |= {header} | headers_of(header)
    return frozenset(found)


def form_of(source, command, tool):
    digest = hashlib.sha256(tool.encode())
    # The command without this checkout's own path: another checkout of the same form passes too.
    digest.update(command.replace(str(ROOT), ".").encode())
    for path in [source, *sorted(headers_of(source))]:
        digest.update(text_of(path).encode())
    return digest.hexdigest()


def compile_commands():
    file = ROOT / "build" / "compile_commands.json"
    if not file.exists():
        sys.exit(f"tidy: no {file.relative_to(ROOT)}; scripts/setup makes it")
    commands = {}
    for entry in json.loads(file.read_text()):
        source = pathlib.Path(entry["file"])
        # Boost 1.74, whose headers RDKit's include, is refused by clang.
        if source.is_relative_to(ROOT / "encoders" / "molecule" / "rdkit"):
            continue
        if source.is_relative_to(ROOT) and source.relative_to(ROOT).parts[0] in layers():
            commands[source] = entry["command"]
    return commands


def changed_stems():
    """The paths without suffix of all files that differ from the last commit but one."""
    result = subprocess.run(["git", "diff", "--name-only", "HEAD~1"], cwd=ROOT, capture_output=True, text=True,
                            check=False)
    if result.returncode != 0:
        sys.exit("tidy: --changed needs the commit before the last: clone with a depth of 2 or more")
    return {(ROOT / name).with_suffix("") for name in result.stdout.splitlines()}


@functools.cache
def gcc_headers():
    result = subprocess.run(["g++", "-print-file-name=include"], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def check(tidy, source, mark):
    # -w: clang's own warnings are g++'s to give. g++'s folder, behind all others, has omp.h.
    more = ["--extra-arg=-w", f"--extra-arg=-idirafter{gcc_headers()}"]
    result = subprocess.run([tidy, "-p", ROOT / "build", "--quiet", *more, source],
                            capture_output=True, text=True, check=False)
    if result.returncode == 0:
        mark.touch()
        return ""
    return result.stdout or result.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("tidy")
    parser.add_argument("--changed", action="store_true",
                        help="only sources that, or whose own header, differ from the last commit but one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    version = subprocess.run([arguments.tidy, "--version"], capture_output=True, text=True, check=True).stdout
    tool = version + (ROOT / ".clang-tidy").read_text()
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    commands = compile_commands()
    if arguments.changed:
        stems = changed_stems()
        commands = {source: command for source, command in commands.items() if source.with_suffix("") in stems}
    marks = {source: folder / form_of(source, command, tool) for source, command in commands.items()}
    left = [source for source in sorted(marks) if not marks[source].exists()]
    print(f"tidy: {len(marks)} sources, {len(left)} to check", flush=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = {pool.submit(check, arguments.tidy, source, marks[source]): source for source in left}
        for run in concurrent.futures.as_completed(runs):
            if output := run.result():
                failed += 1
                print(output, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
