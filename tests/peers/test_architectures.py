"""Values, gradients and saved folders of known architectures and rotations, at positions up to
5,120, equal those of transformers and peft."""

import json
import shutil
import subprocess

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from program import answers, built_program
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

TARGETS = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
SIZES = {"vocab_size": 512, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192,
         "bos_token_id": 1, "eos_token_id": 2, "head_dim": 128}
PLAIN = {"rope_type": "default", "rope_theta": 1e6}
MODELS = {
    "llama3": ("llama", {"rope_parameters": LLAMA3}),
    "linear": ("llama", {"rope_parameters": {**PLAIN, "rope_type": "linear", "factor": 4.0}}),
    "biases": ("llama", {"rope_parameters": PLAIN, "attention_bias": True}),
    "qwen2": ("qwen2", {"rope_parameters": PLAIN, "head_dim": 64, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"rope_parameters": LLAMA3}),
}


@torch.no_grad()
def make_model(folder, kind):
    """Saves random weights with which attention looks far back and norms and biases matter."""
    torch.manual_seed(3)
    model_type, options = MODELS[kind]
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(model_type, **{**SIZES, **options}))
    for _name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            parameter.normal_(std=1.5 * parameter.shape[1] ** -0.5)
        else:
            parameter.add_(torch.randn_like(parameter) * 0.3)
        parameter.copy_(parameter.bfloat16())  # exact in both types
    shard = "600KB" if kind == "qwen3" else "1GB"
    model.save_pretrained(folder, max_shard_size=shard)
    assert (folder / "model.safetensors.index.json").exists() == (kind == "qwen3")


@pytest.fixture(scope="module", params=MODELS)
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    make_model(path, request.param)
    return path


def family_of(trunk, branches, seed):
    generator = torch.Generator().manual_seed(seed)

    def ids(count):
        return torch.randint(3, 512, (count,), generator=generator).tolist()

    return {"trunk": ids(trunk), "branches": [ids(count) for count in branches]}


def load_peer(folder, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def branch_logprobs(model, family):
    """Runs one sequence per branch, each with the whole trunk; the head is in float32."""
    rows = []
    for branch in family["branches"]:
        tokens = torch.tensor([family["trunk"] + branch])
        logits = model(tokens, logits_to_keep=len(branch) + 1).logits[0, :-1]
        rows.append(logits.float().log_softmax(-1).gather(1, torch.tensor(branch)[:, None])[:, 0])
    return torch.cat(rows)


def score(folder, family, *options):
    rows = answers("score", "--model", folder, *options, lines=[family])[0]["logprobs"]
    return torch.tensor([value for row in rows for value in row])


LONG = family_of(5100, (20, 1, 3), seed=1)


@torch.no_grad()
def test_score_at_position_5120_equals_transformers(folder):
    theirs = branch_logprobs(load_peer(folder), LONG)
    torch.testing.assert_close(score(folder, LONG), theirs, atol=1e-4, rtol=0)


@torch.no_grad()
def test_generate_equals_transformers(folder):
    prompt = family_of(700, (), seed=2)["trunk"]
    row = answers("generate", "--model", folder, "--greedy", "--max-tokens", 8,
                  lines=[{"ids": prompt}])[0]
    family = {"trunk": prompt, "branches": [row["ids"]]}
    peer = load_peer(folder)
    theirs = peer.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=8)
    assert row["ids"] == theirs[0, len(prompt):].tolist()
    torch.testing.assert_close(torch.tensor(row["logprobs"]), branch_logprobs(peer, family),
                               atol=1e-4, rtol=0)


def test_lora_gradients_equal_peft(folder, tmp_path):
    torch.manual_seed(7)
    model = get_peft_model(load_peer(folder), LoraConfig(
        r=4, lora_alpha=16, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    model.save_pretrained(tmp_path / "adapter")
    family = family_of(200, (5, 1, 30), seed=4)
    (tmp_path / "family.json").write_text(json.dumps(family))
    result = subprocess.run(
        [built_program("family_gradients"), folder, tmp_path / "adapter", tmp_path / "family.json",
         tmp_path / "gradients.safetensors"], check=True, capture_output=True, text=True)

    loss = -branch_logprobs(model, family).mean()
    loss.backward()
    assert float(result.stdout) == pytest.approx(loss.item(), rel=1e-4)
    ours = load_file(tmp_path / "gradients.safetensors")
    theirs = {name.removeprefix("base_model.model.").replace(".default", ""): parameter.grad
              for name, parameter in model.named_parameters() if "lora_" in name}
    assert set(ours) == set(theirs) and len(ours) == 2 * 2 * len(TARGETS)
    for name, gradient in theirs.items():
        difference = (ours[name] - gradient).norm() / gradient.norm()
        assert difference < 1e-4, f"{name}: {difference}"


@torch.no_grad()
def test_saved_folder_loads_in_transformers(folder, tmp_path):
    """A policy that we saved with a merged adapter gives in transformers what peft gives."""
    torch.manual_seed(8)
    model = get_peft_model(load_peer(folder), LoraConfig(r=2, lora_alpha=8, target_modules=TARGETS))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    model.save_pretrained(tmp_path / "adapter")
    subprocess.run([built_program("save_policy"), folder, tmp_path / "adapter", tmp_path / "saved"],
                   check=True)
    peer = PeftModel.from_pretrained(load_peer(folder), tmp_path / "adapter").eval()
    family = family_of(300, (20,), seed=5)
    torch.testing.assert_close(branch_logprobs(load_peer(tmp_path / "saved"), family),
                               branch_logprobs(peer, family), atol=1e-4, rtol=0)


@torch.no_grad()
def test_bfloat16_is_as_near_to_float32_as_that_of_transformers(folder):
    family = family_of(1000, (64, 64, 64), seed=6)
    exact = branch_logprobs(load_peer(folder), family)
    theirs = branch_logprobs(load_peer(folder, torch.bfloat16), family) - exact
    ours = score(folder, family, "--dtype", "bfloat16") - exact
    assert ours.square().mean() < 1.5 * theirs.square().mean()


@pytest.mark.parametrize("place", ["config.json", "generation_config.json"])
def test_any_of_several_end_tokens_ends_a_text(folder, tmp_path, place):
    """Llama 3.1's instruct models list three end tokens."""
    model = load_peer(folder)
    prompt = [3, 5, 7, 11]
    free = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=12,
                          eos_token_id=None)[0, 4:].tolist()
    last = next(i for i in range(1, 12) if free[i] not in free[:i])
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "generation_config.json").unlink(missing_ok=True)
    unused = next(token for token in range(model.config.vocab_size) if token not in free)
    ends = {"eos_token_id": [unused, free[last]]}
    if place == "config.json":
        ends = {**json.loads((copy / place).read_text()), **ends}
    (copy / place).write_text(json.dumps(ends))
    row = answers("generate", "--model", copy, "--greedy", "--max-tokens", 12,
                  lines=[{"ids": prompt}])[0]
    assert row["ids"] == free[:last + 1]
