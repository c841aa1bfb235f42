"""h5py reads a trajectory shard without our code, as docs/formats.md describes it."""

import hashlib
import os
import pathlib
import subprocess

import h5py
import numpy
import pytest
from program import built_program

FIELDS = {
    "tokens": "int32", "logprobs": "float32", "step_of_token": "int16", "offsets": "int64",
    "phi": "float32", "phi_jaccard": "float32", "phi_ddi": "float32", "phi_refusal": "float32", "state": "int64",
    "step_offsets": "int64", "reward": "float32", "task_id": "int64", "task": "int32",
    "group": "int32", "member": "int32", "policy_version": "int64", "final_list": "int32",
    "final_offsets": "int64", "num_lines": "int32", "num_refused": "int32",
    "prompt_tokens": "int32", "prompt_offsets": "int64",
}


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    path = tmp_path_factory.mktemp("shard")
    subprocess.run(
        [built_program("rollout_test"), "--gtest_filter=PeerShard.*"],
        env={**os.environ, "FLAME_TEST_PEER_FILES": str(path)},
        check=True,
    )
    with h5py.File(path / "shard.h5") as file:
        yield file


def test_fields_and_types(shard):
    trajectories = shard["trajectories"]
    assert set(trajectories) == set(FIELDS)
    for name, dtype in FIELDS.items():
        assert trajectories[name].dtype == numpy.dtype(dtype), name
        assert trajectories[name].chunks is not None and trajectories[name].fletcher32, name


def test_attributes(shard):
    assert shard.attrs["schema"] == "flame.trajectories/2"
    assert shard.attrs["config_sha256"] == "a" * 64
    assert [int(shard.attrs[name]) for name in ("seed", "step", "rank")] == [7, 12, 3]


def test_members(shard):
    trajectories = {name: shard["trajectories"][name][:] for name in FIELDS}
    offsets, steps = trajectories["offsets"], trajectories["step_offsets"]
    assert offsets.tolist() == [0, 5, 7, 8] and steps.tolist() == [0, 3, 5, 6]
    assert trajectories["tokens"][offsets[0]:offsets[1]].tolist() == [40, 41, 42, 41, 0]
    assert trajectories["step_of_token"][:5].tolist() == [1, 1, 2, 2, -1]
    assert trajectories["phi"][:3].tolist() == [0.5, 1, 0.75]
    assert trajectories["task_id"].tolist() == [2**40 + 17, 2**40 + 17, 18]
    assert trajectories["group"].tolist() == [0, 0, 1]
    assert trajectories["member"].tolist() == [0, 1, 0]
    prompts = trajectories["prompt_offsets"]
    assert trajectories["prompt_tokens"][prompts[0]:prompts[1]].tolist() == [1, 2, 3]


def test_seal_is_the_documented_one(shard):
    content = pathlib.Path(shard.filename).read_bytes()
    digest = hashlib.sha256(content[:-73]).hexdigest()
    assert content[-73:].decode() == f"\nsha256 {digest}\n"
