"""Bad input gives a message with what was expected, what was found and where, and leaves nothing
that a later stage would take for complete."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from conftest import FLAME, TINY, run


def refused(status, *arguments, words=(), **options):
    result = run(*arguments, check=False, **options)
    assert result.returncode == status, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
    assert "Traceback" not in result.stderr and "terminate called" not in result.stderr
    return result.stderr


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="there is a GPU")
def test_gpu_that_is_not_there_is_told_before_anything_starts(tmp_path):
    refused(4, "pipeline", "--config", TINY, f"run.dir={tmp_path}/run", "model.device=cuda",
            words=["device cuda", "expected"])
    assert not (tmp_path / "run").exists()
    refused(4, "score", "--model", tmp_path, "--device", "cuda", words=["device cuda", "expected"])
    refused(2, "score", "--model", tmp_path, "--device", "tpu", words=["tpu", "cpu or cuda"])
    refused(2, "pipeline", "--config", TINY, "model.device=cuda", "model.dtype=float64",
            words=["float64", "bfloat16"])


@pytest.fixture(scope="module")
def hospital_source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital") / "h"
    run("synth", "--patients", 60, "--seed", 5, "--out", folder)
    return folder


@pytest.fixture
def hospital(hospital_source, tmp_path):
    target = tmp_path / "hospital"
    shutil.copytree(hospital_source, target)
    return target


def prepare(hospital, out, *overrides):
    return ["prepare", "data.hospital=mimic3", f"data.root={hospital}",
            f"data.mappings={hospital}/mappings", "--out", out, *overrides]


def edit(path, change):
    path.write_text(change(path.read_text()))


def test_prepare_good_hospital_passes(hospital, tmp_path):
    run(*prepare(hospital, tmp_path / "corpus.h5"))
    summary = json.loads(run("inspect", tmp_path / "corpus.h5", "--json").stdout)
    assert summary["num_visits"] > 0 and 0.05 < summary["ddi_rate"] < 0.25


def test_prepare_missing_table_is_named(hospital, tmp_path):
    (hospital / "PRESCRIPTIONS.csv").unlink()
    refused(3, *prepare(hospital, tmp_path / "c.h5"), words=["PRESCRIPTIONS", str(hospital)])
    assert not (tmp_path / "c.h5").exists()


def test_prepare_missing_column_is_named(hospital, tmp_path):
    edit(hospital / "PRESCRIPTIONS.csv", lambda text: text.replace("NDC", "CODE", 1))
    refused(3, *prepare(hospital, tmp_path / "c.h5"), words=["PRESCRIPTIONS.csv", "NDC"])


def test_prepare_wrong_delimiter_is_named(hospital, tmp_path):
    edit(hospital / "DIAGNOSES_ICD.csv", lambda text: text.replace(",", ";"))
    refused(3, *prepare(hospital, tmp_path / "c.h5"), words=["DIAGNOSES_ICD.csv", ";"])


def test_prepare_truncated_gzip_is_named(hospital, tmp_path):
    plain = hospital / "PRESCRIPTIONS.csv"
    packed = gzip.compress(plain.read_bytes())
    (hospital / "PRESCRIPTIONS.csv.gz").write_bytes(packed[: len(packed) // 2])
    plain.unlink()
    refused(3, *prepare(hospital, tmp_path / "c.h5"), words=["PRESCRIPTIONS.csv.gz"])
    assert not (tmp_path / "c.h5").exists()


def test_prepare_empty_table_is_named(hospital, tmp_path):
    edit(hospital / "PATIENTS.csv", lambda text: text.splitlines()[0] + "\n")
    refused(3, *prepare(hospital, tmp_path / "c.h5"), words=["PATIENTS.csv"])


def test_prepare_no_patient_left_says_which_step(hospital, tmp_path):
    error = refused(3, *prepare(hospital, tmp_path / "c.h5", "data.min_visits=50"))
    assert "no patient" in error.lower() and "50" in error


def test_config_unknown_key_shows_line_and_nearest(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("run:\n  seed: 1\ngrpo:\n  group_sise: 8\n")
    refused(2, "pipeline", "--config", config,
            words=[f"{config}:4", "grpo.group_sise", "grpo.group_size"])


def test_config_value_out_of_range_shows_line_and_range(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("grpo:\n  clip: 7\n  steps: many\n")
    refused(2, "pipeline", "--config", config,
            words=[f"{config}:2", "grpo.clip", "7", f"{config}:3", "grpo.steps", "many"])


def test_config_unknown_override_is_refused(tmp_path):
    refused(2, "pipeline", "--config", TINY, f"run.dir={tmp_path}/r", "reward.alfa=1",
            words=["reward.alfa", "reward.alpha"])
    assert not (tmp_path / "r").exists()


def test_command_unknown_names_the_nearest():
    refused(2, "pipelin", words=["pipelin", "pipeline"])


def test_model_without_weights_is_named(tiny_run, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_run / "list" / "model", model)
    (model / "model.safetensors").unlink()
    refused(3, "score", "--model", model, words=["model.safetensors", str(model)])


def test_model_of_wrong_shape_is_named(tiny_run, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_run / "list" / "model", model)
    config = json.loads((model / "config.json").read_text())
    config["intermediate_size"] += 8
    (model / "config.json").write_text(json.dumps(config))
    refused(3, "score", "--model", model, words=["gate_proj", str(config["intermediate_size"])])


@pytest.mark.parametrize("command, line, words", [
    ("score", "{", ["line 1 of stdin", "not JSON"]),
    ("score", "[1]", ["line 1 of stdin", "JSON object"]),
    ("score", '{"trunk": 3, "branches": [[1]]}', ["'trunk' is 3", "list of token ids"]),
    ("score", '{"trunk": [5.5], "branches": [[1]]}', ["5.5", "'trunk'", "whole number"]),
    ("score", '{"trunk": [1], "branches": 7}', ["'branches' is 7"]),
    ("score", '{"trunk": [1], "branches": [[2], []]}', ["branch 1 is empty"]),
    ("score", '{"trunk": [1], "branches": [[2], ["a"]]}', ["branch 1", '"a"']),
    ("generate", '{"ids": [1], "text": "a"}', ["'ids' and 'text' are both there"]),
    ("generate", '{"text": 5}', ["'text' is 5", "string"]),
    ("tokenize", '{"ids": [1.5]}', ["1.5", "whole number"]),
    ("tokenize", '{"bytes_base64": 3}', ["'bytes_base64' is 3"]),
])
def test_json_lines_of_wrong_types_are_told_in_words(tiny_run, command, line, words):
    model = tiny_run / "list" / "model"
    where = ["--tokenizer", model / "tokenizer.json"] if command == "tokenize" else ["--model", model]
    result = subprocess.run([str(FLAME), command, *map(str, where)], input=line + "\n", text=True,
                            capture_output=True, timeout=60, check=False)
    assert result.returncode == 3, result.stderr
    assert "json.exception" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.mark.parametrize("options, words", [
    (("--greedy", "--temperature", "0.5"), ["--greedy and --temperature"]),
    (("--temperature", "1e-45"), ["--temperature", "1e-6"]),
    (("--temperature", "inf"), ["--temperature"]),
])
def test_sampling_that_means_nothing_is_refused(tiny_run, options, words):
    refused(2, "generate", "--model", tiny_run / "list" / "model", *options, words=words)


def test_tokenizer_larger_than_the_table_is_refused_by_prepare(tiny_run, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_run / "base", model)
    for path in model.glob("entities.*"):
        path.unlink()
    refused(3, "prepare", "--config", TINY, f"run.dir={tmp_path / 'run'}", f"model.path={model}",
            "encoders.drug=none", words=["tokenizer.json", "rows"])


def test_shard_flipped_byte_is_found(tiny_run, tmp_path):
    shard = tmp_path / "shard.h5"
    shutil.copy(next((tiny_run / "grpo" / "rollouts").glob("*.h5")), shard)
    run("inspect", shard)
    found = 0
    # Not every byte of the file carries data, but some of those spread over its second half must.
    for share in range(50, 100, 5):
        damaged = bytearray(shard.read_bytes())
        damaged[len(damaged) * share // 100] ^= 0x40
        (tmp_path / "damaged.h5").write_bytes(damaged)
        result = run("inspect", tmp_path / "damaged.h5", check=False)
        assert result.returncode in (0, 3), result.stderr
        if result.returncode == 3:
            assert "damaged.h5" in result.stderr
            found += 1
    assert found > 0


def test_checkpoint_missing_a_file_is_named(run_copy):
    folder = run_copy()
    (folder / ".stages" / "grpo.json").unlink()
    latest = (folder / "grpo" / "checkpoints" / "LATEST").read_text().split()[0]
    victim = next((folder / "grpo" / "checkpoints" / latest).glob("*.safetensors"))
    victim.unlink()
    refused(3, "grpo", "--config", TINY, f"run.dir={folder}", words=[victim.name])
    assert not (folder / ".stages" / "grpo.json").exists()


def test_stage_without_its_inputs_names_the_command(tmp_path):
    refused(3, "grpo", "--config", TINY, f"run.dir={tmp_path}/none", words=["prepare", "flame"])


def test_earlier_output_of_the_same_size_but_other_bytes_is_named(run_copy):
    folder = run_copy("grpo")
    weights = folder / "list" / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    refused(3, "grpo", "--config", TINY, f"run.dir={folder}", words=[str(weights), "SHA-256"])


@pytest.mark.parametrize("override,word", [
    ("credit.segmentation=chunk:0", "chunk:0"), ("grpo.temperature=0", "grpo.temperature"),
    ("data.split=[1, 0, 0]", "data.split"), ("cluster.sharding=half", "cluster.sharding"),
    ("encoders.patient=micron", "encoders.patient"), ("model.dtype=bfloat16", "model.trainable"),
    ("model.quantize=nf4", "model.trainable")])
def test_config_fault_of_a_later_stage_is_found_before_work_starts(run_copy, override, word):
    folder = run_copy()
    error = refused(2, "grpo", "--config", TINY, f"run.dir={folder}", override, words=[word])
    assert "started" not in error
    assert (folder / ".stages" / "grpo.json").exists()


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("status,command,override,words", [
    (3, ["evaluate"], "prompts.file=configs/prompts.yaml", ["prompts.file", "other contents", "stage prepare"]),
    (3, ["sft", "classifier"], "data.synth_patients=200", ["stage prepare", "other settings"]),
    (3, ["grpo"], "classifier.epochs=9", ["stage classifier", "other settings"]),
    (3, ["pipeline"], "data.root=/nowhere", ["/nowhere", "data.root"]),
    (2, ["grpo"], "cluster.rollouts=2", ["2 ranks", "one process", "mpirun"]),
    (2, ["grpo"], "grpo.lora.targets=[q_prj]", ["grpo.lora.targets", "q_prj", "q_proj"]),
])
def test_command_that_cannot_go_on_leaves_the_run_as_it_was(run_copy, status, command, override,
                                                            words):
    folder = run_copy()
    before = contents(folder)
    refused(status, *command, "--config", TINY, f"run.dir={folder}", override, words=words)
    assert contents(folder) == before


def test_run_folder_in_use_is_refused(run_copy):
    folder = run_copy("grpo")
    first = subprocess.Popen([str(FLAME), "grpo", "--config", str(TINY), f"run.dir={folder}",
                              "grpo.steps=100000"], stderr=subprocess.PIPE)
    try:
        while not list((folder / "grpo" / "rollouts").glob("*.h5")):
            assert first.poll() is None
            time.sleep(0.02)
        refused(4, "grpo", "--config", TINY, f"run.dir={folder}",
                words=[str(folder), f"process {first.pid}"])
    finally:
        first.kill()
        first.communicate()


def test_stop_signal_outside_training_exits_75(run_copy):
    folder = run_copy("evaluate")
    (folder / "evaluation.json").unlink()
    process = subprocess.Popen([str(FLAME), "evaluate", "--config", str(TINY), f"run.dir={folder}",
                                "evaluate.samples=500"], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "stage evaluate: started" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert not (folder / "evaluation.json").exists()


def test_output_that_cannot_be_written_is_an_error(tiny_run):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run(
            [str(FLAME), "inspect", str(tiny_run / "corpus.h5"), "--json"], stdout=full,
            stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 4 and "stdout" in result.stderr


def test_synth_negative_seed_is_refused(tmp_path):
    refused(2, "synth", "--patients", 3, "--seed", "-1", "--out", tmp_path / "h", words=["-1"])


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(disk)],
                             check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_is_named_and_leaves_nothing_whole(small_disk):
    folder = small_disk / "run"
    error = refused(4, "pipeline", "--config", TINY, f"run.dir={folder}")
    assert "No space left" in error or "full" in error
    stages = folder / ".stages"
    done = {p.stem for p in stages.glob("*.json")} if stages.exists() else set()
    assert "grpo" not in done
    for name in done:
        record = json.loads((stages / f"{name}.json").read_text())
        for path, entry in record["outputs"].items():
            assert os.path.getsize(folder / path) == entry["bytes"]


def test_corpus_truncated_is_named(tiny_run, tmp_path):
    content = (tiny_run / "corpus.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    refused(3, "inspect", tmp_path / "cut.h5", words=["cut.h5"])


def model_with_positions(folder, positions):
    """Makes a folder with a tiny model that has few positions."""
    run("prepare", "--config", TINY, f"run.dir={folder}/made", "data.synth_patients=60", "encoders.drug=none")
    shutil.move(folder / "made" / "base", folder / "model")
    config = json.loads((folder / "model" / "config.json").read_text())
    config["max_position_embeddings"] = positions
    (folder / "model" / "config.json").write_text(json.dumps(config))
    return folder / "model"


def test_prompts_longer_than_the_model_are_told_before_the_first_step(tmp_path):
    words = ["--config", TINY, f"model.path={model_with_positions(tmp_path, 120)}", "data.synth_patients=60",
             f"run.dir={tmp_path}/run"]
    told = ["visits have more tokens than the model's max_position_embeddings, 120", "of HADM_ID", "prompts.file"]
    refused(3, "pipeline", *words, words=["the classifier's prompts", *told])
    assert not list((tmp_path / "run").rglob("metrics.jsonl"))
    refused(3, "plan", *words, words=["the classifier's prompts", *told])


def test_completions_beyond_the_models_positions_are_told_before_any_training(tmp_path):
    words = ["--config", TINY, f"model.path={model_with_positions(tmp_path, 700)}", "data.synth_patients=60",
             f"run.dir={tmp_path}/run", "grpo.max_tokens=690"]
    told = ["prompts of GRPO with a completion each", "max_position_embeddings, 700", "grpo.max_tokens, 690"]
    log = refused(3, "pipeline", *words, words=["grpo will be refused", *told])
    assert log.index("grpo will be refused") < log.index("stage classifier: done")
    assert not (tmp_path / "run" / "grpo" / "metrics.jsonl").exists()
    refused(3, "plan", *words, words=told)


def test_empty_and_dangling_run_dir_are_named(tmp_path):
    refused(2, "pipeline", "--config", TINY, "run.dir=", words=["run.dir is empty; expected a folder"])
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(4, "pipeline", "--config", TINY, f"run.dir={tmp_path}/link", words=["is a link to", "nowhere"])


def test_file_size_limit_is_told_and_leaves_nothing_half(tmp_path):
    limited = subprocess.run(["bash", "-c", f"ulimit -f 64; exec {FLAME} pipeline --config {TINY} "
                              f"run.dir={tmp_path}/run"], capture_output=True, text=True, check=False)
    assert limited.returncode == 4, limited
    assert "File too large" in limited.stderr
    assert run("pipeline", "--config", TINY, f"run.dir={tmp_path}/run").returncode == 0
