"""Loading a model takes at most 1.1 times its weights in peak resident memory, beyond the program's
own."""

import json
import os
import pathlib
import subprocess

import pytest
import torch
from program import FLAME
from safetensors.torch import save_file

SHARD_LAYERS = 2


def write_model(folder, layers, dtype):
    """Writes a Llama of `layers` blocks of 33.6 M random parameters, in shards with an index."""
    width, wide, vocab = 2048, 4096, 4096
    kv = width // 4
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab,
              "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 16,
              "num_key_value_heads": 4, "intermediate_size": wide, "tie_word_embeddings": True,
              "max_position_embeddings": 128}
    (folder / "config.json").write_text(json.dumps(config))

    noise = torch.randn(width * width)

    def weight(rows, columns):
        repeats = -(-rows * columns // noise.numel())
        values = noise.repeat(repeats)[:rows * columns].view(rows, columns)
        return (values * columns ** -0.5).to(dtype)

    index = {}
    shard = {"model.embed_tokens.weight": weight(vocab, width),
             "model.norm.weight": torch.ones(width, dtype=dtype)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            shard[f"{prefix}{name}.weight"] = torch.ones(width, dtype=dtype)
        for name, shape in {"self_attn.q_proj": (width, width), "self_attn.k_proj": (kv, width),
                            "self_attn.v_proj": (kv, width), "self_attn.o_proj": (width, width),
                            "mlp.gate_proj": (wide, width), "mlp.up_proj": (wide, width),
                            "mlp.down_proj": (width, wide)}.items():
            shard[f"{prefix}{name}.weight"] = weight(*shape)
        if layer % SHARD_LAYERS == SHARD_LAYERS - 1 or layer == layers - 1:
            file = f"model-{layer}.safetensors"
            save_file(shard, folder / file)
            index.update(dict.fromkeys(shard, file))
            shard = {}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def peak_bytes(folder, *options):
    """Returns VmHWM after one answer, while the program waits for the next line."""
    process = subprocess.Popen(
        [FLAME, "score", "--model", folder, *options], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    process.stdin.write('{"trunk": [1], "branches": [[5]]}\n')
    process.stdin.flush()
    assert "logprobs" in process.stdout.readline()
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    process.stdin.close()
    assert process.wait() == 0
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.fixture(scope="module")
def layers():
    return int(os.environ.get("FLAME_LOAD_LAYERS", "4"))


@pytest.fixture(scope="module")
def files(tmp_path_factory, layers):
    """Writes the model in two types."""
    folders = {}
    for dtype in (torch.float32, torch.bfloat16):
        folders[dtype] = tmp_path_factory.mktemp("model")
        write_model(folders[dtype], layers, dtype)
    return folders


def parameters(layers):
    return layers * (2 * 2048 * 2048 + 2 * 512 * 2048 + 3 * 2048 * 4096 + 2 * 2048) + 4097 * 2048


@pytest.mark.parametrize("stored, dtype, bytes_each", [
    (torch.float32, "float32", 4),
    (torch.float32, "bfloat16", 2),
    (torch.bfloat16, "float32", 4),
    (torch.bfloat16, "bfloat16", 2),
])
def test_peak_is_at_most_11_tenths_of_the_weights(files, layers, tmp_path, stored, dtype, bytes_each):
    write_model(tmp_path, 1, stored)
    extra = peak_bytes(files[stored], "--dtype", dtype) - peak_bytes(tmp_path, "--dtype", dtype)
    weights = (parameters(layers) - parameters(1)) * bytes_each
    print(f"{extra / weights:.4f} of {weights / 2**20:.0f} MiB")
    assert extra < 1.1 * weights


@pytest.fixture(scope="module")
def many_blocks(tmp_path_factory):
    """Writes enough blocks that one dense map is small compared with their 4.5 bits per weight."""
    folder = tmp_path_factory.mktemp("blocks")
    write_model(folder, 10, torch.bfloat16)
    return folder


@pytest.mark.parametrize("kind, bits", [("int8", 8 + 32 / 2048), ("nf4", 4.5)])
def test_quantised_weights_never_exist_whole(many_blocks, tmp_path, kind, bits):
    """Blocks take their bits per weight; only one dense map at a time exists beside them."""
    write_model(tmp_path, 1, torch.bfloat16)
    options = ("--dtype", "bfloat16", "--quantize", kind)
    extra = peak_bytes(many_blocks, *options) - peak_bytes(tmp_path, *options)
    weights = (parameters(10) - parameters(1)) * bits / 8
    print(f"{extra / weights:.4f} of {weights / 2**20:.0f} MiB")
    assert extra < 1.1 * weights
