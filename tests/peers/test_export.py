"""`flame export` writes a folder that transformers loads and that decodes the same lists."""

import itertools
import json
import pathlib

import pytest
import torch
from program import ROOT, answers, run
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
