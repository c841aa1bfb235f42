"""LoRA gradients over a family equal those of transformers and peft over unshared sequences."""

import json
import subprocess

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from program import answers, built_program, shared
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

TARGETS = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()
TOLERANCE = 1e-4  # transformers normalises in float32 for every dtype
PREFIX = "base_model.model."


def make_adapter(folder, targets, rank):
    """Saves an adapter with peft, with B away from zero so that A has a gradient."""
    torch.manual_seed(7)
    base = AutoModelForCausalLM.from_pretrained(shared("tinystories-656k"))
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=16, lora_dropout=0.0,
                                            target_modules=targets, task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)


def random_family(seed):
    generator = torch.Generator().manual_seed(seed)

    def ids(count):
        return torch.randint(3, 2048, (count,), generator=generator).tolist()

    return {"trunk": [1] + ids(60), "branches": [ids(count) for count in (1, 9, 4, 30, 2)]}


def peer_model(adapter):
    base = AutoModelForCausalLM.from_pretrained(shared("tinystories-656k"), dtype=torch.float32,
                                                attn_implementation="eager")
    return PeftModel.from_pretrained(base, adapter, is_trainable=True)


def branch_logprobs(model, family):
    """Runs one sequence per branch, each with the whole trunk."""
    rows = []
    for branch in family["branches"]:
        tokens = torch.tensor([family["trunk"] + branch])
        logprobs = model(tokens).logits[0, len(family["trunk"]) - 1:-1].log_softmax(-1)
        rows.append(logprobs.gather(1, torch.tensor(branch)[:, None])[:, 0])
    return rows


@pytest.mark.parametrize("targets, rank", [(["q_proj", "v_proj"], 8), (TARGETS, 4)])
def test_gradients_over_a_family_equal_unshared(tmp_path, targets, rank):
    adapter = tmp_path / "adapter"
    make_adapter(adapter, targets, rank)
    family = random_family(seed=rank)
    (tmp_path / "family.json").write_text(json.dumps(family))
    result = subprocess.run(
        [built_program("family_gradients"), shared("tinystories-656k"), adapter,
         tmp_path / "family.json", tmp_path / "gradients.safetensors"],
        check=True, capture_output=True, text=True)

    model = peer_model(adapter)
    loss = -torch.cat(branch_logprobs(model, family)).mean()
    loss.backward()
    assert float(result.stdout) == pytest.approx(loss.item(), rel=TOLERANCE)

    ours = load_file(tmp_path / "gradients.safetensors")
    theirs = {name.removeprefix(PREFIX).replace(".default", ""): parameter.grad
              for name, parameter in model.named_parameters() if "lora_" in name}
    assert set(ours) == set(theirs) and len(ours) == 2 * 2 * len(targets)
    for name, gradient in theirs.items():
        difference = (ours[name] - gradient).norm() / gradient.norm()
        assert difference < TOLERANCE, f"{name}: {difference}"


def test_score_with_adapter_equals_peft(tmp_path):
    make_adapter(tmp_path, TARGETS, 4)
    families = [random_family(seed) for seed in range(3)]
    rows = answers("score", "--model", shared("tinystories-656k"), "--adapter", tmp_path,
                   lines=families)
    model = peer_model(tmp_path)
    with torch.no_grad():
        for family, row in zip(families, rows):
            for ours, theirs in zip(row["logprobs"], branch_logprobs(model, family), strict=True):
                torch.testing.assert_close(torch.tensor(ours), theirs, atol=1e-4, rtol=0)
