"""`flame export --peft` writes an adapter that peft puts on the model that the run started from."""

import itertools
import json
import random
import subprocess

import pytest
import torch
from peft import PeftModel
from program import FLAME, ROOT, answers, run
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TINY = ROOT / "tests" / "system" / "tiny.yaml"


@pytest.fixture(scope="module")
def lora_run(tmp_path_factory):
    """A run of LoRA adapters on a pretrained model: another tiny run, exported. Returns (run, base)."""
    folder = tmp_path_factory.mktemp("peft")
    run("pipeline", "--config", TINY, f"run.dir={folder}/first", "encoders.drug=none")
    run("export", "--run", folder / "first", "--out", folder / "base")
    run("pipeline", "--config", TINY, f"run.dir={folder}/run", "run.seed=4", f"model.path={folder}/base",
        "model.trainable=lora", "model.lora.rank=3", "model.lora.alpha=5", "classifier.learning_rate=5e-3",
        "list.learning_rate=5e-3", "grpo.learning_rate=1e-3", "grpo.steps=2", "grpo.lora.targets=[q_proj, down_proj]")
    return folder / "run", folder / "base"


def prompts_of(run_folder):
    import h5py

    prompts = []
    for shard in sorted((run_folder / "grpo/rollouts").glob("*.h5")):
        with h5py.File(shard) as file:
            tokens = file["trajectories/prompt_tokens"][:]
            offsets = file["trajectories/prompt_offsets"][:]
        prompts += [tokens[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    return [list(prompt) for prompt in dict.fromkeys(map(tuple, prompts))][:100]


def greedy_lists_agree(run_folder, model, prompts):
    """Compares the greedy lists of flame's policy and of peft's model, and what they write behind random
    tokens: a policy of so few steps often ends its list at once."""
    draw = random.Random(1)
    prompts = prompts + [[*prompt, *(draw.randrange(3, 700) for _ in range(4))] for prompt in prompts]
    ours = answers("generate", "--model", run_folder / "grpo/model", "--greedy", "--max-tokens", 24,
                   lines=[{"ids": prompt} for prompt in prompts])
    for prompt, row in zip(prompts, ours, strict=True):
        theirs = model.generate(input_ids=torch.tensor([prompt]), do_sample=False,
                                max_new_tokens=24)[0, len(prompt):]
        assert row["ids"] == theirs.tolist()
    assert any(len(row["ids"]) > 1 for row in ours)


def export(run_folder, out, *arguments):
    done = subprocess.run([FLAME, "export", "--run", run_folder, "--peft", out, *arguments],
                          capture_output=True, text=True, check=True)
    assert "a logit differs from the policy's by at most" in done.stderr
    assert json.loads((out / "manifest.json").read_text())["logit_difference"] < 1e-4
    return json.loads((out / "adapter_config.json").read_text())


def test_adapter_with_slots_as_rows_gives_the_same_lists(lora_run, tmp_path):
    run_folder, _ = lora_run
    out = tmp_path / "adapter"
    config = export(run_folder, out, "--slots", "rows")
    assert (config["r"], config["lora_alpha"]) == (7, 7)  # 3 of SFT and 4 of GRPO
    assert set(config["target_modules"]) == {"q_proj", "v_proj", "down_proj"}
    base = AutoModelForCausalLM.from_pretrained(out / "base", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(out / "base")
    assert any("Emb-" in token for token in tokenizer.get_vocab())
    model = PeftModel.from_pretrained(base, out).eval()
    greedy_lists_agree(run_folder, model, prompts_of(run_folder))
    run("export", "--verify", out)


def test_adapter_without_slots_fits_the_model_as_it_came(lora_run, tmp_path):
    run_folder, base_folder = lora_run
    out = tmp_path / "adapter"
    config = export(run_folder, out)
    assert config["base_model_name_or_path"] == str(base_folder)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "manifest.json"]
    card = (out / "README.md").read_text()
    assert "library_name: peft" in card and "must not be used to treat patients" in card
    assert not config.get("modules_to_save")
    names = load_file(out / "adapter_model.safetensors")
    assert all(".lora_A." in name or ".lora_B." in name for name in names)
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    size = base.config.vocab_size
    prompts = [[token for token in prompt if token < size] for prompt in prompts_of(run_folder)]
    model = PeftModel.from_pretrained(base, out).eval()
    greedy_lists_agree(run_folder, model, prompts)
    # The merged model of --out has the same logits.
    run("export", "--run", run_folder, "--out", tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()
    tokens = torch.tensor([prompts[0]])
    with torch.no_grad():
        torch.testing.assert_close(merged(tokens).logits[..., :size], model(tokens).logits, rtol=0, atol=1e-4)


def test_likely_slots_are_never_written(lora_run, tmp_path):
    """A base whose head would favour slots: rows that its slots take are silenced."""
    run_folder, _ = lora_run
    planted = tmp_path / "run"
    subprocess.run(["cp", "-r", run_folder, planted], check=True)
    file = planted / "list/model/entities.safetensors"
    tensors = load_file(file)
    for name in tensors:  # a slot row of a tied head would be far the likeliest token
        tensors[name] = tensors[name] * 30
    save_file(tensors, file)
    subprocess.run([FLAME, "export", "--run", planted, "--peft", tmp_path / "adapter", "--slots", "rows"],
                   capture_output=True, check=True)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "adapter/base", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "adapter/base")
    slots = {id for token, id in tokenizer.get_vocab().items() if "Emb-" in token}
    generation = json.loads((tmp_path / "adapter/base/generation_config.json").read_text())
    assert set(generation["suppress_tokens"]) == slots
    model = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    # With the input rows as output rows, as in a tied head, slots would be the likeliest tokens.
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([prompts_of(run_folder)[0]]),
                       output_hidden_states=True).hidden_states[-1]
    tied = (hidden @ base.get_input_embeddings().weight.T).argmax(-1)
    assert slots & set(tied.flatten().tolist())
    torch.manual_seed(1)
    for prompt in prompts_of(run_folder)[:5]:
        written = model.generate(input_ids=torch.tensor([prompt]), do_sample=True, max_new_tokens=16,
                                 num_return_sequences=20)[:, len(prompt):]
        assert not slots & set(written.flatten().tolist())


@pytest.mark.parametrize("arguments,words", [
    (("--peft", "OUT", "--dtype", "bfloat16"), "--peft and --dtype do not go together"),
    (("--slots", "rows", "--out", "OUT"), "--slots needs --peft"),
    (("--peft", "OUT", "--slots", "some"), "expected drop or rows"),
])
def test_wrong_calls_are_refused(lora_run, tmp_path, arguments, words):
    arguments = [str(tmp_path / "out") if argument == "OUT" else argument for argument in arguments]
    failed = subprocess.run([FLAME, "export", "--run", lora_run[0], *arguments], capture_output=True,
                            text=True, check=False)
    assert failed.returncode == 2 and words in failed.stderr


def test_run_of_all_weights_has_no_adapter(lora_run, tmp_path):
    first = lora_run[0].parent / "first"
    failed = subprocess.run([FLAME, "export", "--run", first, "--peft", tmp_path / "out"], capture_output=True,
                            text=True, check=False)
    assert failed.returncode == 2 and "the run trains all weights" in failed.stderr
    assert not (tmp_path / "out").exists()
