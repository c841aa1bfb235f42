"""`flame export` writes a folder that transformers loads and that decodes the same lists."""

import itertools
import json
import pathlib
import re
import shutil
import subprocess

import pytest
import torch
import yaml
from program import FLAME, ROOT, answers, run
from transformers import AutoModelForCausalLM, AutoTokenizer

TINY = ROOT / "tests" / "system" / "tiny.yaml"


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "run"
    run("pipeline", "--config", TINY, f"run.dir={folder}")
    return folder


@pytest.fixture(scope="module")
def exported(finished_run):
    out = finished_run.parent / "exported"
    run("export", "--run", finished_run, "--out", out)
    return out


def list_prompts(run_folder):
    """Returns prompts that GRPO sampled from, read from its shards."""
    import h5py

    prompts = []
    for shard in sorted((pathlib.Path(run_folder) / "grpo" / "rollouts").glob("*.h5")):
        with h5py.File(shard) as file:
            tokens = file["trajectories/prompt_tokens"][:]
            offsets = file["trajectories/prompt_offsets"][:]
        prompts += [tokens[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    return [list(prompt) for prompt in dict.fromkeys(map(tuple, prompts))][:12]


def test_export_decodes_the_same_lists(finished_run, exported):
    prompts = list_prompts(finished_run)
    assert len(prompts) >= 4
    ours = answers("generate", "--model", finished_run / "grpo" / "model", "--greedy",
                   "--max-tokens", 24, lines=[{"ids": prompt} for prompt in prompts])
    model = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(exported)
    for prompt, row in zip(prompts, ours):
        tokens = torch.tensor([prompt])
        theirs = model.generate(tokens, do_sample=False, max_new_tokens=24)[0, len(prompt):]
        assert row["ids"] == theirs.tolist()
        assert row["text"] == tokenizer.decode(theirs, skip_special_tokens=True)


def test_export_is_a_plain_llama(exported):
    config = json.loads((exported / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert not [path.name for path in exported.iterdir()
                if path.name.startswith(("adapter", "entities"))]
    tokenizer = AutoTokenizer.from_pretrained(exported)
    assert len(tokenizer) == config["vocab_size"]
    generation = json.loads((exported / "generation_config.json").read_text())
    assert generation["eos_token_id"] == tokenizer.eos_token_id
    slots = [id for token, id in tokenizer.get_vocab().items() if "Emb-" in token]
    assert slots and sorted(generation["suppress_tokens"]) == sorted(slots)


def test_export_never_writes_slots(exported, finished_run):
    model = AutoModelForCausalLM.from_pretrained(exported).eval()
    slots = json.loads((exported / "generation_config.json").read_text())["suppress_tokens"]
    torch.manual_seed(1)
    prompt = list_prompts(finished_run)[0]
    sampled = model.generate(torch.tensor([prompt]), do_sample=True, max_new_tokens=24,
                             num_return_sequences=50)[:, len(prompt):]
    assert not torch.isin(sampled, torch.tensor(slots)).any()


def test_halves_are_the_rounded_weights_and_every_digest_holds(finished_run, exported, tmp_path):
    whole = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32).state_dict()
    for dtype in ("bfloat16", "float16"):
        out = tmp_path / dtype
        run("export", "--run", finished_run, "--out", out, "--dtype", dtype)
        half = AutoModelForCausalLM.from_pretrained(out)
        assert half.dtype == getattr(torch, dtype)
        assert json.loads((out / "config.json").read_text())["torch_dtype"] == dtype
        for name, tensor in half.state_dict().items():
            assert torch.equal(tensor, whole[name].to(half.dtype)), name
        run("export", "--verify", out)
    manifest = json.loads((exported / "manifest.json").read_text())
    listed = {file["name"] for file in manifest["files"]}
    assert listed | {"manifest.json"} == {path.name for path in exported.iterdir()}
    assert manifest["logit_difference"] < 1e-4 and manifest["evaluation"]["num_visits"] > 0 and manifest["funnel"]
    assert "grpo:" in manifest["config"]


@pytest.mark.parametrize("change,words", [
    (lambda folder: (folder / "config.json").unlink(), "config.json: missing"),
    (lambda folder: (folder / "more.txt").write_text("x"), "more.txt: not in the manifest"),
    (lambda folder: (folder / "README.md").write_text("x"), "README.md: 1 bytes; expected"),
    (lambda folder: flip(folder / "model.safetensors"), "model.safetensors: its SHA-256 is another one"),
    (lambda folder: (folder / "manifest.json").unlink(), "expected the manifest of an export"),
])
def test_changed_export_is_told(exported, tmp_path, change, words):
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    change(folder)
    result = subprocess.run([FLAME, "export", "--verify", folder], capture_output=True, text=True, check=False)
    assert result.returncode == 3 and words in result.stderr


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_card_names_the_metrics_and_says_research_only(exported):
    head, text = (exported / "README.md").read_text().removeprefix("---\n").split("---\n", 1)
    card = yaml.safe_load(head)
    assert card["library_name"] == "transformers" and card["license"] == "other"
    values = {metric["type"]: metric["value"] for metric in card["model-index"][0]["results"][0]["metrics"]}
    row = next(row for row in json.loads((exported / "manifest.json").read_text())["evaluation"]["rows"]
               if row["policy"] == "list-grpo")
    assert values["jaccard"] == pytest.approx(row["jaccard"], abs=1e-4)
    assert "must not be used to treat patients" in text and "| list-grpo |" in text


def test_chat_template_gives_the_prompt_and_nothing_else(finished_run, exported):
    tokenizer = AutoTokenizer.from_pretrained(exported)
    assert tokenizer.added_tokens_decoder[tokenizer.bos_token_id].special
    for prompt in list_prompts(finished_run):
        text = tokenizer.decode(prompt[1:], skip_special_tokens=False)
        ids = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True,
                                            return_dict=False)
        assert prompt[0] == tokenizer.bos_token_id and ids == prompt


def test_grammars_admit_lists_of_drugs_and_nothing_else(finished_run, exported):
    import h5py

    pattern = re.compile((exported / "drugs.regex").read_text().removesuffix("\n"))
    with h5py.File(pathlib.Path(finished_run) / "corpus.h5") as file:
        names = [str(name) for name in file["drugs/titles"].asstr()[:]]
    for accepted in ("", f"{names[0]}\n", "".join(f"{name}\n" for name in names)):
        assert pattern.fullmatch(accepted), accepted
    for refused in (names[0], "Aspirin C\n", f"{names[0]} {names[1]}\n", "\n"):
        assert not pattern.fullmatch(refused), refused
    rules = (exported / "drugs.gbnf").read_text()
    assert all(f'"{name}"' in rules for name in names)


def test_export_after_another_training_leaves_the_old_evaluation_out(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    run("grpo", "--config", TINY, f"run.dir={folder}", "grpo.steps=1")
    told = subprocess.run([FLAME, "export", "--run", folder, "--out", tmp_path / "out"], capture_output=True, text=True,
                          check=False)
    assert told.returncode == 0 and "the run's policies are not evaluated" in told.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["evaluation"] is None
