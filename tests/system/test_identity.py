"""A finished run stays finished while what its stages read stays the same, however it is named."""

import os
import shutil
import time

import pytest
from conftest import TINY, run

STAGES = ["prepare", "classifier", "tasks", "list", "grpo", "evaluate"]
SMALL = ["data.hospital=mimic3", "data.min_visits=1", "grpo.steps=2", "grpo.tasks=4"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a hospital h, a model m, templates t.yaml and a finished run r made from them."""
    folder = tmp_path_factory.mktemp("identity")
    run("synth", "--patients", 60, "--seed", 5, "--out", folder / "h")
    run("prepare", "--config", TINY, f"run.dir={folder / 'made'}", "data.synth_patients=60",
        "encoders.drug=none")
    shutil.move(folder / "made" / "base", folder / "m")
    shutil.copy(TINY.parents[2] / "configs" / "prompts-compact.yaml", folder / "t.yaml")
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 3600,) * 2)
    pipeline(folder)
    return folder


def pipeline(folder, data="h", mappings="h/mappings", model="m", prompts="t.yaml", out="r", more=()):
    return run("pipeline", "--config", TINY, *SMALL, f"data.root={data}", f"data.mappings={mappings}",
               f"model.path={model}", f"prompts.file={prompts}", f"run.dir={out}", *more,
               cwd=folder).stderr


@pytest.fixture
def again(finished, tmp_path):
    target = tmp_path / "copy"
    shutil.copytree(finished, target)  # keeps the times
    return target


def skipped(log):
    return [stage for stage in STAGES if f"stage {stage}: inputs unchanged, skipped" in log]


def test_finished_run_is_skipped_whole(finished):
    assert skipped(pipeline(finished)) == STAGES


@pytest.mark.parametrize("named", [
    {"data": "./h/", "mappings": "h//mappings/", "model": "./m/", "prompts": "./t.yaml", "out": "./r/"},
    {"data": "h/../h", "mappings": "h/./mappings", "model": "m/../m", "out": "h/../r"},
    {"more": ["data.ddi=./ddi_public.csv"]},
    {"more": ["model.recompute=true", "classifier.token_budget=4096", "list.token_budget=3000",
              "grpo.token_budget=3000", "run.threads=2", "cluster.timeout=99",
              "grpo.checkpoint_every=1", "classifier.keep_last=1"]}])
def test_other_spellings_and_memory_keys_change_nothing(again, named):
    assert skipped(pipeline(again, **named)) == STAGES


def test_absolute_paths_change_nothing(again):
    log = pipeline(again, again / "h", again / "h" / "mappings", again / "m", again / "t.yaml", again / "r")
    assert skipped(log) == STAGES


def test_links_and_moved_folders_change_nothing(again):
    (again / "h").rename(again / "elsewhere")
    (again / "link").symlink_to(again / "elsewhere")
    (again / "m").rename(again / "model")
    assert skipped(pipeline(again, "link", "elsewhere/mappings", "model")) == STAGES


def test_times_and_files_that_are_not_read_change_nothing(again):
    for path in again.rglob("*.csv"):
        os.utime(path)
    os.utime(again / "m" / "model.safetensors")
    (again / "m" / "README.md").write_text("A model.")
    (again / "h" / "notes.csv").write_text("a,b\n1,2\n")
    assert skipped(pipeline(again)) == STAGES


@pytest.mark.parametrize("file", ["h/PATIENTS.csv", "h/mappings/ddi_public.csv", "m/config.json", "t.yaml"])
def test_other_contents_make_the_run_stale(again, file):
    path = again / file
    text = path.read_text()
    other = {"h/PATIENTS.csv": lambda: text.replace(",M,", ",U,", 1).replace(",\"M\",", ",\"U\",", 1),
             "h/mappings/ddi_public.csv": lambda: text[:text.rstrip().rindex("\n") + 1],
             "m/config.json": lambda: text.replace('"use_cache": true', '"use_cache": false'),
             "t.yaml": lambda: text + "# another comment\n"}[file]()
    assert other != text
    path.write_text(other)
    refused = run("grpo", "--config", TINY, *SMALL, "data.root=h", "data.mappings=h/mappings",
                  "model.path=m", "prompts.file=t.yaml", "run.dir=r", cwd=again, check=False)
    key = {"h": "data.root", "m": "model.path", "t.yaml": "prompts.file"}[file.split("/")[0]]
    key = "data.ddi" if "ddi" in file else key
    assert refused.returncode == 3 and f"{key} names other contents" in refused.stderr
    assert "prepare" not in skipped(pipeline(again))


def test_same_inputs_give_the_same_bytes(finished, tmp_path):
    pipeline(finished, out=tmp_path / "r")
    for name in ("corpus.h5", "tasks/scores.h5", "tasks/tasks.h5", "base/model.safetensors",
                 "base/tokenizer.json"):
        assert (tmp_path / "r" / name).read_bytes() == (finished / "r" / name).read_bytes(), name
