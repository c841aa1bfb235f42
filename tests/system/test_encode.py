"""Encoders that a run trains: their vectors in the slots, their rows in the evaluation, and what goes wrong."""

import itertools
import json
import shutil
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest
from conftest import FLAME, TINY, mpirun, run

SMALL = ["micron.dim=8", "micron.batch=16", "micron.epochs=3", "micron.learning_rate=1e-2",
         "raremed.dim=16", "raremed.layers=1", "raremed.heads=2", "raremed.hidden=32", "raremed.batch=16",
         "raremed.epochs=3", "raremed.pretrain_epochs=1", "raremed.learning_rate=3e-3",
         "molecule.dim=8", "molecule.layers=2", "molecule.epochs=2", "molecule.tokenizer_epochs=2"]
ALL = ["encoders.diagnosis=micron", "encoders.procedure=micron", "encoders.drug=molecule",
       "encoders.train=[raremed]", *SMALL]


def entities(folder):
    with h5py.File(folder / "encode" / "entities.h5") as file:
        return {kind: (file[f"{kind}/ids"].asstr()[:], file[f"{kind}/vectors"][:]) for kind in file}


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """A run that is prepared and encoded."""
    folder = tmp_path_factory.mktemp("encode") / "run"
    for command in ("prepare", "encode"):
        run(command, "--config", TINY, f"run.dir={folder}", *ALL)
    return folder


def test_every_entity_has_a_vector(encoded):
    visits = [json.loads(line) for line in run("inspect", encoded / "corpus.h5", "--visits").stdout.splitlines()]
    tables = entities(encoded)
    assert set(tables) == {"visit", "diagnosis", "procedure", "drug"}
    assert list(tables["visit"][0]) == [str(visit["hadm"]) for visit in visits]
    for kind, key in (("diagnosis", "diagnoses"), ("procedure", "procedures"), ("drug", "drugs")):
        assert set(tables[kind][0]) == {code for visit in visits for code in visit[key]}
    widths = {kind: vectors.shape[1] for kind, (_, vectors) in tables.items()}
    assert widths == {"visit": 16, "diagnosis": 8, "procedure": 8, "drug": 8}
    told = json.loads(run("inspect", encoded / "encode" / "entities.h5", "--json").stdout)
    assert told == {kind: {"vectors": len(ids), "dim": widths[kind]} for kind, (ids, _) in tables.items()}
    for _, vectors in tables.values():
        assert np.isfinite(vectors).all() and len(np.unique(vectors, axis=0)) == len(vectors)


def test_pipeline_uses_the_vectors_and_evaluates_the_encoders(encoded, tmp_path):
    folder = tmp_path / "run"
    told = run("pipeline", "--config", TINY, f"run.dir={folder}", *ALL, "grpo.steps=1")
    assert "stage encode: done" in told.stderr
    rows = {row["policy"]: row for row in json.loads((folder / "evaluation.json").read_text())["rows"]}
    assert 0 < rows["micron"]["jaccard"] < 1 and 0 < rows["raremed"]["prauc"] < 1
    for kind, (_, vectors) in entities(folder).items():
        assert (vectors == entities(encoded)[kind][1]).all()
    # A key of an encoder makes its stage again, and those behind it, not the corpus.
    again = run("pipeline", "--config", TINY, f"run.dir={folder}", *ALL, "grpo.steps=1", "micron.dropout=0.1").stderr
    assert "stage prepare: inputs unchanged" in again and "stage encode: its inputs changed" in again
    assert "stage classifier: its inputs changed" in again


def test_classifier_wants_the_encoders_first(tmp_path):
    run("prepare", "--config", TINY, f"run.dir={tmp_path}/run", *ALL)
    refused = run("sft", "classifier", "--config", TINY, f"run.dir={tmp_path}/run", *ALL, check=False)
    assert refused.returncode == 3 and "stage encode is not done" in refused.stderr


def test_two_ranks_train_the_same_encoders(encoded, tmp_path):
    run("prepare", "--config", TINY, f"run.dir={tmp_path}/run", *ALL)
    words = mpirun(2, "encode", "--config", TINY, f"run.dir={tmp_path}/run", *ALL)
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    for kind, (ids, vectors) in entities(tmp_path / "run").items():
        alone_ids, alone = entities(encoded)[kind]
        assert list(ids) == list(alone_ids)
        assert np.allclose(vectors, alone, rtol=1e-3, atol=1e-3), kind


def test_stopped_encoder_goes_on_and_ends_in_the_same_bytes(encoded, tmp_path):
    keys = [key for key in ALL if not key.startswith("raremed.epochs")] + ["raremed.epochs=60", "raremed.patience=0"]
    words = ["encode", "--config", TINY]
    folders = {name: tmp_path / name for name in ("whole", "stopped")}
    for folder in folders.values():
        run("prepare", "--config", TINY, f"run.dir={folder}", *keys)
    run(*words, f"run.dir={folders['whole']}", *keys)
    process = subprocess.Popen([str(FLAME), *map(str, words), f"run.dir={folders['stopped']}", *keys],
                               stderr=subprocess.PIPE, text=True)
    checkpoints = folders["stopped"] / "encode" / "raremed" / "checkpoints"
    while not (checkpoints / "LATEST").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGUSR1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert not (folders["stopped"] / "encode" / "entities.h5").exists()
    assert "resumed at step" in run(*words, f"run.dir={folders['stopped']}", *keys).stderr
    for name in ("entities.h5", "raremed/model.safetensors", "micron/model.safetensors"):
        stopped, whole = (folder / "encode" / name for folder in (folders["stopped"], folders["whole"]))
        assert stopped.read_bytes() == whole.read_bytes(), name


def test_weights_of_one_run_serve_another_and_are_not_trained(encoded, tmp_path):
    keys = [*ALL, *(f"{name}.weights={encoded}/encode/{name}/model.safetensors"
                    for name in ("micron", "raremed", "molecule"))]
    run("prepare", "--config", TINY, f"run.dir={tmp_path}/run", *keys)
    told = run("encode", "--config", TINY, f"run.dir={tmp_path}/run", *keys).stderr
    assert told.count("not trained") == 3 and "step/s" not in told
    one, other = (folder / "encode" / "entities.h5" for folder in (encoded, tmp_path / "run"))
    assert one.read_bytes() == other.read_bytes()


def test_other_weights_are_noticed_by_every_command(encoded, tmp_path):
    weights = tmp_path / "raremed.safetensors"
    shutil.copy(encoded / "encode" / "raremed" / "model.safetensors", weights)
    keys = ["--config", TINY, f"run.dir={tmp_path}/run", *PATIENT, f"raremed.weights={weights}"]
    for command in (["prepare"], ["encode"], ["sft", "classifier"]):
        run(*command, *keys)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    for command in (["sft", "classifier"], ["tasks"]):
        refused = run(*command, *keys, check=False)
        assert refused.returncode == 3, refused.stderr
        assert "raremed.weights names other contents than stage encode" in refused.stderr


def test_encoder_for_its_row_alone_leaves_the_policy_as_it_is(tmp_path):
    keys = ["--config", TINY, f"run.dir={tmp_path}/run", "grpo.steps=1"]
    run("pipeline", *keys)
    told = run("pipeline", *keys, "encoders.train=[micron]", *SMALL).stderr
    for stage in ("prepare", "classifier", "tasks", "list", "grpo"):
        assert f"stage {stage}: inputs unchanged, skipped" in told, told
    assert "stage evaluate: done" in told
    assert "stage encode: inputs unchanged" in run("pipeline", *keys, "encoders.train=[micron]", *SMALL,
                                                   "raremed.batch=7").stderr


def test_vectors_of_one_run_serve_another(encoded, tmp_path):
    keys = [f"encoders.diagnosis={encoded}/encode/entities.h5", f"encoders.drug={encoded}/encode/entities.h5"]
    run("prepare", "--config", TINY, f"run.dir={tmp_path}/run", *keys)
    ids, vectors = entities(encoded)["diagnosis"]
    with h5py.File(tmp_path / "fewer.h5", "w") as file:
        file["diagnosis/ids"], file["diagnosis/vectors"] = list(ids[1:]), vectors[1:]
    refused = run("prepare", "--config", TINY, f"run.dir={tmp_path}/other", f"encoders.diagnosis={tmp_path}/fewer.h5",
                  check=False)
    assert refused.returncode == 3
    assert f"no vector for 1 of the 50 entities of kind diagnosis, such as '{ids[0]}'" in refused.stderr


def stored_rows(file, kind):
    with h5py.File(file) as tables:
        return tables[f"{kind}/ids"].asstr()[:], tables[f"{kind}/vectors"][:]


PATIENT = ["encoders.patient=raremed", "classifier.threshold=calibrated", *SMALL]


@pytest.fixture(scope="module")
def with_patient(tmp_path_factory):
    """A run whose prompts have the patient's slot."""
    folder = tmp_path_factory.mktemp("patient") / "run"
    run("pipeline", "--config", TINY, f"run.dir={folder}", *PATIENT, "grpo.steps=2")
    return folder


def test_patients_slot_is_in_the_prompts_and_its_worth_is_told(with_patient, tmp_path):
    visit = json.loads(run("inspect", with_patient / "corpus.h5", "--visits").stdout.splitlines()[0])
    assert run("inspect", with_patient / "corpus.h5", "--visit", visit["hadm"]).stdout.count("<VisitEmb>, ") == 2
    for stage in ("classifier", "list", "grpo"):
        kinds = json.loads((with_patient / stage / "model" / "entities.json").read_text())
        assert {"borrowed": True, "count": 0, "dim": 16, "kind": "visit"}.items() <= kinds[-1].items()
    worth = json.loads((with_patient / "evaluation.json").read_text())["comparisons"][-1]
    assert (worth["policy"], worth["baseline"]) == ("list-grpo", "list-grpo, no patient slot")
    told = run("export", "--run", with_patient, "--out", tmp_path / "served").stderr
    assert f"{worth['difference']:+.4f} [{worth['ci'][0]:+.4f}, {worth['ci'][1]:+.4f}]" in told
    told = run("export", "--run", with_patient, "--gguf", tmp_path / "served.gguf").stderr
    assert f"{worth['difference']:+.4f}" in told
    assert not (tmp_path / "served" / "entities.json").exists()
    slots = json.loads((tmp_path / "served" / "generation_config.json").read_text())["suppress_tokens"]
    assert json.loads((tmp_path / "served" / "config.json").read_text())["vocab_size"] == slots[-1] + 1


def test_patients_slot_of_other_visits_is_computed(with_patient, tmp_path):
    run("synth", "--out", tmp_path / "hospital", "--patients", 60, "--seed", 9)
    run("prepare", "data.hospital=mimic3", f"data.root={tmp_path}/hospital", "data.min_visits=1",
        f"data.mappings={tmp_path}/hospital/mappings", "--onto", with_patient / "corpus.h5", "--out",
        tmp_path / "other.h5")
    told = json.loads(run("evaluate", "--config", TINY, f"run.dir={with_patient}", *PATIENT, "grpo.steps=2", "--on",
                          tmp_path / "other.h5", "--json").stdout)
    assert told["comparisons"][-1]["baseline"] == "list-grpo, no patient slot"
    # Two heads trained; four would read the same weights otherwise.
    refused = run("evaluate", "--config", TINY, f"run.dir={with_patient}", *PATIENT, "grpo.steps=2", "raremed.heads=4",
                  "--on", tmp_path / "other.h5", check=False)
    assert refused.returncode == 3 and "was made with other settings" in refused.stderr


def test_patients_slot_on_two_ranks_trains_alike(with_patient, tmp_path):
    shutil.copytree(with_patient, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "grpo")
    words = mpirun(2, "grpo", "--config", TINY, f"run.dir={tmp_path}/run", *PATIENT, "grpo.steps=2",
                   "cluster.placement=colocated")
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    one, two = ((folder / "grpo" / "model" / "model.safetensors").read_bytes()
                for folder in (with_patient, tmp_path / "run"))
    assert one == two


def test_patients_slot_from_a_file(encoded, tmp_path):
    ids, vectors = stored_rows(encoded / "encode" / "entities.h5", "visit")
    order = np.random.default_rng(1).permutation(len(ids))
    np.save(tmp_path / "visits.npy", vectors[order].astype("float32"))
    (tmp_path / "visits.ids.txt").write_text("".join(f"{ids[i]}\n" for i in order))
    keys = ["--config", TINY, f"run.dir={tmp_path}/run", f"encoders.patient={tmp_path}/visits.npy"]
    run("prepare", *keys)
    kept_ids, kept = stored_rows(tmp_path / "run" / "visits.h5", "visit")
    assert list(kept_ids) == list(ids) and (kept == vectors).all()
    run("sft", "classifier", *keys)
    (tmp_path / "visits.ids.txt").write_text("".join(f"{ids[i]}\n" for i in order[:-1]) + "7\n")
    refused = run("prepare", *keys, check=False)
    assert refused.returncode == 3 and "no vector for 1 of the" in refused.stderr


def lists_of(file, name):
    offsets = file[f"{name}_offsets"][:]
    return [file[name][begin:end] for begin, end in itertools.pairwise(offsets)]


def test_lists_in_the_order_of_an_encoder(with_patient, tmp_path):
    """The same drugs in each list, and RAREMed's surest first; not by default."""
    folder = tmp_path / "run"
    shutil.copytree(with_patient, folder)
    keys = ["--config", TINY, f"run.dir={folder}", *PATIENT, "grpo.steps=2"]
    assert "stage tasks: inputs unchanged" in run("tasks", *keys).stderr
    run("pipeline", *keys, "tasks.list_order=raremed")
    with h5py.File(with_patient / "tasks" / "tasks.h5") as before, h5py.File(folder / "tasks" / "tasks.h5") as after:
        moved = 0
        for one, two in zip(lists_of(before, "input"), lists_of(after, "input"), strict=True):
            assert sorted(one) == sorted(two)
            moved += list(one) != list(two)
        assert moved > 0
    refused = run("tasks", "--config", TINY, f"run.dir={folder}", "tasks.list_order=micron", check=False)
    assert refused.returncode == 2 and "expected it in encoders.train" in refused.stderr


@pytest.mark.parametrize("key,words", [
    ("encoders.patient=molecule", "no vectors of this kind; expected none, raremed or a file"),
    ("encoders.drug=micron", "no vectors of this kind; expected none, random, molecule or a file"),
    ("encoders.procedure=molecule", "no vectors of this kind; expected none, random, micron or a file"),
    ("encoders.train=[gamenet]", "expected micron or raremed"),
    ("encoders.diagnosis=micorn", "there is no file micorn; expected none, random, micron or a file"),
    ("raremed.heads=7", "expected heads that divide it"),
    ("molecule.smiles=none.csv", "molecule.smiles: there is no file none.csv"),
])
def test_words_that_mean_nothing_are_refused(tmp_path, key, words):
    keys = ["encoders.drug=molecule"] if key.startswith("molecule") else []
    refused = run("prepare", "--config", TINY, f"run.dir={tmp_path}/run", *keys, key, check=False)
    assert refused.returncode in (2, 3) and words in refused.stderr, refused.stderr


def test_drugs_without_a_structure_share_the_unknown_vector_and_are_told(encoded, tmp_path):
    table = (encoded / "hospital" / "mappings" / "drugbank_to_smiles.csv").read_text().splitlines()
    lost = [line.split(",")[1] for line in table[1:4]]
    smiles = tmp_path / "smiles.csv"
    double = ",".join([*table[4].split(",")[:2], "CCO"])
    smiles.write_text("\n".join([table[0], *table[3:], "99,DB99999,C1CC", double, "100,,CCO"]) + "\n")
    text = smiles.read_text().replace(table[3], ",".join(table[3].split(",")[:2]) + ",not-a-smiles")
    smiles.write_text(text)
    keys = ["encoders.drug=molecule", *SMALL, f"molecule.smiles={smiles}"]
    run("prepare", "--config", TINY, f"run.dir={tmp_path}/run", *keys)
    told = run("encode", "--config", TINY, f"run.dir={tmp_path}/run", *keys).stderr
    assert "1 further rows of drugs that have a structure already" in told
    assert "1 rows with a SMILES and no drug_id are not read" in told
    assert "2 of 57 SMILES cannot be read" in told and "3 of 58 drugs have no structure" in told
    ids, vectors = entities(tmp_path / "run")["drug"]
    unknown = [vectors[list(ids).index(drug)] for drug in lost]
    assert (unknown[0] == unknown[1]).all() and (unknown[0] == unknown[2]).all()
    assert len(np.unique(vectors, axis=0)) == len(vectors) - 2


def test_nothing_to_encode_is_said(tmp_path):
    run("prepare", "--config", TINY, f"run.dir={tmp_path}/run")
    assert "nothing to do" in run("encode", "--config", TINY, f"run.dir={tmp_path}/run").stderr
