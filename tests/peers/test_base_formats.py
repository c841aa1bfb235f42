"""h5py and safetensors read the files that base/ writes, and base/ reads theirs."""

import os
import subprocess

import h5py
import numpy
import pytest
import torch
from program import built_program
from safetensors import safe_open
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("formats")
    with h5py.File(path / "theirs.h5", "w") as file:
        file["steps/index"] = numpy.array([-1, 0, 32767], dtype=numpy.int16)
        file["phi"] = numpy.array([0.5, -0.25])
        file["names"] = ["naïve", "", "β"]
        file.attrs["schema"] = "visits"
        file.attrs["seed"] = 7
    tensors = {"weight": torch.tensor([[1.0, -2.0], [0.5, 4.0]]), "mask": torch.tensor([True])}
    save_file(tensors, path / "theirs.safetensors", {"format": "pt"})
    subprocess.run(
        [built_program("base_test"), "--gtest_filter=PeerFiles.*"],
        env={**os.environ, "FLAME_TEST_PEER_FILES": str(path)},
        check=True,
    )
    return path


def test_h5py_reads_ours(folder):
    with h5py.File(folder / "ours.h5") as file:
        index = file["steps/index"]
        assert index.dtype == numpy.int16 and index.fletcher32 and index.chunks == (2, 2)
        assert index[:].tolist() == [[-1, 0], [32767, 5]]
        assert file["phi"].dtype == numpy.float32
        assert file["phi"][:].tolist() == [0.5, -0.25]
        assert file["names"].asstr()[:].tolist() == ["naïve", "", "β"]
        assert file["none"].shape == (0,) and file["none"].dtype == numpy.int64
        assert file.attrs["schema"] == "visits" and file.attrs["seed"] == 7


def test_safetensors_reads_ours(folder):
    with safe_open(folder / "ours.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert sorted(file.keys()) == ["a.odd", "b.weight", "c.empty"]
        assert torch.equal(file.get_tensor("a.odd"), torch.tensor([1, -2, 0.5]).bfloat16())
        assert torch.equal(file.get_tensor("b.weight"), torch.tensor([[1.0, -2.0], [0.5, 4.0]]))
        assert file.get_tensor("c.empty").shape == (0, 2)
