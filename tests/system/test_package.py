"""The installed and the packed program, far from the checkout that it was built in."""

import os
import pathlib
import re
import shutil
import subprocess
import tarfile

import pytest
from conftest import FLAME, ROOT, TINY

BUILD = FLAME.parents[1]  # FLAME is build/bin/flame
CACHE = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
WHEELS = pathlib.Path(os.environ.get("FLAME_CACHE") or f"{CACHE}/flame")
# Open MPI, what it needs, and the C and C++ libraries.
LEFT_TO_THE_HOST = (r"/lib(c|m|dl|rt|pthread|util|resolv|stdc\+\+|gcc_s|mpi|open-(pal|rte)|hwloc|"
                    r"event\w*|udev|z|cap|psm\w*|fabric|ucp|ucs|uct|ucm|pmix|numa|ltdl)[.-]")


def pipeline(program, folder, *before):
    """The whole pipeline of the tests' tiny config, in a folder of its own."""
    shutil.copy(TINY, folder / "tiny.yaml")
    result = subprocess.run(
        [*before, str(program), "pipeline", "--config", "tiny.yaml", "run.dir=run", "--json"],
        capture_output=True, text=True, timeout=600, cwd=folder, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr
    assert '"policy":"list-grpo"' in result.stdout
    return result


def test_installed_program_finds_its_files(tmp_path):
    prefix = tmp_path / "prefix"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
    pipeline(prefix / "bin" / "flame", tmp_path)
    for name in ("configs/quickstart.yaml", "slurm/launch.sbatch.in", "synth/model.yaml"):
        assert (prefix / "share" / "flame" / name).exists()
    assert (prefix / "share" / "doc" / "flame" / "config.md").exists()


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    made = subprocess.run([ROOT / "scripts" / "package", "--out", folder / "dist"], capture_output=True,
                          text=True, timeout=1200, check=False)
    assert made.returncode == 0, made.stderr
    with tarfile.open(made.stdout.strip()) as archive:
        archive.extractall(folder / "elsewhere", filter="tar")
    return next((folder / "elsewhere").iterdir())


def test_package_needs_only_its_own_libraries_and_open_mpi(unpacked):
    libraries = unpacked / "lib" / "flame"
    for program in (unpacked / "bin" / "flame", *(libraries / name for name in (
            "flame-data", "flame-compute", "libflame_molecules.so"))):
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        assert "not found" not in linked
        for path in re.findall(r"=> (\S+)", linked):
            mine = pathlib.Path(path).resolve().is_relative_to(unpacked)
            hosts = re.match(r"(/usr)?/lib/x86_64-linux-gnu/", path)
            assert mine or hosts, path
            assert mine or re.search(LEFT_TO_THE_HOST, path), path


def test_package_runs_with_the_checkout_hidden(unpacked, tmp_path):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("hiding the checkout takes a mount namespace, which needs root and unshare")
    hide = tmp_path / "hide"
    folders = " ".join(f"'{path}'" for path in (ROOT, WHEELS) if path.exists())
    hide.write_text("#!/bin/sh\nset -e\n"
                    f"for folder in {folders}; do mount -t tmpfs tmpfs \"$folder\"; done\n"
                    f"test ! -e '{ROOT}/README.md'\nexec \"$@\"\n")
    hide.chmod(0o755)
    pipeline(unpacked / "bin" / "flame", tmp_path, "unshare", "--mount", hide)


def test_package_has_the_licences_of_what_it_holds(unpacked):
    licences = unpacked / "share" / "doc" / "flame" / "licences"
    held = {path.name for path in licences.iterdir()}
    for part in ("torch", "pyarrow", "libyaml-cpp", "libhdf5", "libgoogle-glog", "librdkit"):
        assert any(name.startswith(part) for name in held), (part, held)
