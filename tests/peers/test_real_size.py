"""Log-probabilities of two layers of Llama-3.1-8B's widths, at positions up to 5,120, equal those
of transformers. Each program runs alone, since a copy in float32 takes 5.9 GB."""

import json
import subprocess
import sys

import pytest
import torch
from program import FLAME
from safetensors.torch import save_file

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256,
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 2,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu",
    "rms_norm_eps": 1e-5, "max_position_embeddings": 131072, "rope_theta": 500000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    "tie_word_embeddings": False, "bos_token_id": 128000, "eos_token_id": 128001}
TRUNK, BRANCHES = 5100, (4, 20, 1)

PEER = """
import json, sys, torch
from transformers import AutoModelForCausalLM
folder, family, dtype = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
# All branches in one pass: each sees the trunk and itself, at the positions behind the trunk.
trunk, branches = family["trunk"], family["branches"]
tokens, positions, owner = list(trunk), list(range(len(trunk))), [-1] * len(trunk)
for k, branch in enumerate(branches):
    tokens += branch
    positions += range(len(trunk), len(trunk) + len(branch))
    owner += [k] * len(branch)
owner = torch.tensor(owner)
seen = torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril()
seen &= (owner[None] == -1) | (owner[None] == owner[:, None])
mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(~seen, torch.finfo(model.dtype).min)
with torch.no_grad():
    hidden = model.model(torch.tensor([tokens]), attention_mask=mask[None, None],
                         position_ids=torch.tensor([positions])).last_hidden_state[0]
    rows, begin = [], len(trunk)
    for branch in branches:
        sources = [len(trunk) - 1] + list(range(begin, begin + len(branch) - 1))
        table = model.lm_head(hidden[sources]).float().log_softmax(-1)
        rows += table.gather(1, torch.tensor(branch)[:, None])[:, 0].tolist()
        begin += len(branch)
print(json.dumps(rows))
"""


def write_weights(folder):
    """Writes bfloat16 numbers, which float32 holds exactly. Repeats a piece of noise, for speed."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn((1 << 22) + 7, generator=generator)  # not a multiple of a row

    def weight(rows, columns, scale=1.0):
        count = -(-rows * columns // noise.numel())
        values = (noise * scale * columns ** -0.5).bfloat16().repeat(count)
        return values[:rows * columns].view(rows, columns)

    width, wide, kv = 4096, 14336, 1024
    files = {"embed": {"model.embed_tokens.weight": weight(128256, width, 20.0)},
             "head": {"lm_head.weight": weight(128256, width),
                      "model.norm.weight": torch.ones(width).bfloat16()}}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        shard = files[f"layer{layer}"] = {
            f"{prefix}{name}.weight": (1 + 0.1 * noise[layer:layer + width]).bfloat16()
            for name in ("input_layernorm", "post_attention_layernorm")}
        for name, shape in {"self_attn.q_proj": (width, width, 1.5),
                            "self_attn.k_proj": (kv, width, 1.5),
                            "self_attn.v_proj": (kv, width), "self_attn.o_proj": (width, width),
                            "mlp.gate_proj": (wide, width), "mlp.up_proj": (wide, width),
                            "mlp.down_proj": (width, wide)}.items():
            # Rolls the noise, so that no two maps are the same.
            noise = noise.roll(12345)
            shard[f"{prefix}{name}.weight"] = weight(*shape)
    index = {}
    for file, tensors in files.items():
        save_file(tensors, folder / f"{file}.safetensors", metadata={"format": "pt"})
        index.update(dict.fromkeys(tensors, f"{file}.safetensors"))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


@pytest.fixture(scope="module")
def family():
    generator = torch.Generator().manual_seed(2)
    return {"trunk": torch.randint(0, 128000, (TRUNK,), generator=generator).tolist(),
            "branches": [torch.randint(0, 128000, (n,), generator=generator).tolist()
                         for n in BRANCHES]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, family):
    path = tmp_path_factory.mktemp("llama-3.1-8b")
    write_weights(path)
    (path / "family.json").write_text(json.dumps(family))
    return path


def peer(folder, dtype):
    result = subprocess.run(
        [sys.executable, "-c", PEER, folder, folder / "family.json", dtype], check=True,
        stdout=subprocess.PIPE, text=True)
    return torch.tensor(json.loads(result.stdout))


@pytest.fixture(scope="module")
def exact(folder):
    return peer(folder, "float32")


def ours(folder, family, dtype):
    result = subprocess.run([FLAME, "score", "--model", folder, "--dtype", dtype], check=True,
                            input=json.dumps(family), stdout=subprocess.PIPE, text=True)
    rows = json.loads(result.stdout)["logprobs"]
    return torch.tensor([value for row in rows for value in row])


def test_float32_at_position_5120_equals_transformers(folder, family, exact):
    torch.testing.assert_close(ours(folder, family, "float32"), exact, atol=1e-4, rtol=0)


def test_bfloat16_is_as_near_to_float32_as_that_of_transformers(folder, family, exact):
    theirs = peer(folder, "bfloat16") - exact
    difference = ours(folder, family, "bfloat16") - exact
    print(f"root mean square: ours {difference.square().mean().sqrt():.4f}, "
          f"theirs {theirs.square().mean().sqrt():.4f}")
    assert difference.square().mean() < 1.5 * theirs.square().mean()
