"""`flame replay` trains from recorded shards, without sampling."""

import json
import subprocess

import pytest
from conftest import FLAME, TINY, metrics, mpirun, run


def replay(folder, out, *keys, check=True):
    return run("replay", "--config", TINY, f"run.dir={folder}", "--out", out, "--json", *keys,
               check=check)


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()
            and path.name != ".lock"}


def test_losses_are_those_recorded_bit_for_bit_and_the_run_is_not_touched(tiny_run, tmp_path):
    before = files_of(tiny_run)
    result = json.loads(replay(tiny_run, tmp_path / "out").stdout)
    assert result == {"steps": 6, "equal": 6, "first_difference": None, "same_settings": True}
    assert files_of(tiny_run) == before
    assert [row["loss"] for row in metrics(tmp_path / "out")] == [
        row["loss"] for row in metrics(tiny_run / "grpo")]


def test_two_learners_replay_what_two_recorded(run_copy, tmp_path):
    folder = run_copy("grpo")
    keys = ["cluster.learners=2", "cluster.rollouts=1", "cluster.rewards=1"]
    for ranks, command in ((4, ("grpo", *keys)),
                           (2, ("replay", "--json", "--out", tmp_path / "out"))):
        result = subprocess.run(mpirun(ranks, *command, "--config", TINY, f"run.dir={folder}"),
                                capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["equal"] == 6


def test_other_credit_is_trained_and_told(tiny_run, tmp_path):
    result = json.loads(replay(tiny_run, tmp_path / "out", "grpo.preset=standard").stdout)
    assert not result["same_settings"] and result["equal"] == 0
    assert result["first_difference"]["key"] == "loss"


def test_damaged_and_missing_shards_are_named_before_anything_is_made(run_copy, tmp_path):
    folder = run_copy()
    shard = folder / "grpo" / "rollouts" / "step-000003-part-000.h5"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    result = replay(folder, tmp_path / "out", check=False)
    assert result.returncode == 3 and shard.name in result.stderr
    shard.unlink()
    result = replay(folder, tmp_path / "out", check=False)
    assert result.returncode == 3 and "no shard of step 3" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments, words", [((), "--out"), (("--out", "RUN/grpo"), "own folder")])
def test_out_is_another_folder(tiny_run, arguments, words):
    arguments = [argument.replace("RUN", str(tiny_run)) for argument in arguments]
    result = subprocess.run([str(FLAME), "replay", "--config", str(TINY), f"run.dir={tiny_run}",
                             *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2 and words in result.stderr


def test_inspect_shows_groups_as_a_person_reads_them(tiny_run, tmp_path):
    shard = tiny_run / "grpo" / "rollouts" / "step-000002-part-000.h5"
    text = run("inspect", shard, "--limit", 1).stdout
    assert text.count("task id ") == 1 and "7 more groups" in text
    assert text.count("  member ") == 4
    for word in ("prescribed: ", "Dx: ", "start   phi ", "step 1  phi ", "advantages  ["):
        assert word in text
    assert "\x1b" not in text
    one = run("inspect", shard, "--task-id", 2 * 8 + 5, "--full").stdout
    assert "task id 21 (" in one
    missing = run("inspect", shard, "--task-id", 7, check=False)
    assert missing.returncode == 3 and "no task id 7" in missing.stderr
    alone = tmp_path / "alone.h5"
    alone.write_bytes(shard.read_bytes())
    assert "lies in no run's grpo/rollouts" in run("inspect", alone).stdout
