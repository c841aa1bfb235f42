"""`flame export --gguf` writes a file that llama.cpp loads and that decodes the same lists."""

import itertools
import json
import pathlib
import shutil
import subprocess
import sys

import gguf
import h5py
import numpy as np
import pytest
import torch
from program import FLAME, ROOT, answers, run
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

TINY = ROOT / "tests" / "system" / "tiny.yaml"
TOKENS = 24

# llama.cpp writes its log to the process's own stdout and stderr, and stops with it.
LLAMA = f"""
import json, sys
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 1024, 1, 1
# Keys and values in float16, the defaults, turn near ties.
params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
server = xllamacpp.Server(params)
texts = []
for prompt in json.load(open(sys.argv[2])):
    answer = server.handle_completions({{"prompt": prompt, "max_tokens": {TOKENS}, "temperature": 0, "top_k": 1,
                                        "cache_prompt": False, **json.loads(sys.argv[4])}})
    texts.append((json.loads(answer) if isinstance(answer, str) else answer)["choices"][0]["text"])
json.dump(texts, open(sys.argv[3], "w"))
"""


def llama(model, prompts, folder, **options):
    """The texts with which llama.cpp continues prompts, greedily."""
    asked, told = folder / "prompts.json", folder / "texts.json"
    asked.write_text(json.dumps(prompts))
    result = subprocess.run([sys.executable, "-c", LLAMA, model, asked, told, json.dumps(options)], capture_output=True,
                            text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(told.read_text())


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf") / "run"
    run("pipeline", "--config", TINY, f"run.dir={folder}", "classifier.threshold=calibrated", "classifier.epochs=4",
        "list.epochs=8", "list.learning_rate=1e-3")
    return folder


@pytest.fixture(scope="module")
def prompts(finished_run):
    found = []
    for shard in sorted((pathlib.Path(finished_run) / "grpo" / "rollouts").glob("*.h5")):
        with h5py.File(shard) as file:
            tokens, offsets = file["trajectories/prompt_tokens"][:], file["trajectories/prompt_offsets"][:]
        found += [tuple(tokens[a:b].tolist()) for a, b in itertools.pairwise(offsets)]
    return [list(prompt) for prompt in dict.fromkeys(found)][:100]


@pytest.fixture(scope="module")
def ours(finished_run, prompts):
    rows = answers("generate", "--model", finished_run / "grpo" / "model", "--greedy", "--max-tokens", TOKENS,
                   lines=[{"ids": prompt} for prompt in prompts])
    texts = [row["text"] for row in rows]
    assert len({text for text in texts if text}) >= 3, texts
    return texts


def export(model, out, dtype):
    run("export", "--model", model, "--gguf", out, "--dtype", dtype)
    return out


def test_llama_cpp_writes_the_same_lists(finished_run, prompts, ours, tmp_path):
    file = export(finished_run / "grpo" / "model", tmp_path / "model.gguf", "f32")
    assert llama(file, prompts, tmp_path) == ours
    # The same prompts as texts: tokens, slots among them, are llama.cpp's own.
    tokenizer = AutoTokenizer.from_pretrained(finished_run / "grpo" / "model")
    texts = [tokenizer.decode(prompt[1:], skip_special_tokens=False) for prompt in prompts]
    assert llama(file, texts, tmp_path) == ours


@pytest.mark.parametrize("dtype", ["f16", "q8_0", "f32"])
def test_tensors_are_those_of_gguf_py(finished_run, tmp_path, dtype):
    kind = gguf.GGMLQuantizationType[dtype.upper()]
    file = export(finished_run / "grpo" / "model", tmp_path / "model.gguf", dtype)
    run("export", "--model", finished_run / "grpo" / "model", "--out", tmp_path / "plain")
    weights = load_file(tmp_path / "plain" / "model.safetensors")
    reader = gguf.GGUFReader(file)
    generation = json.loads((tmp_path / "plain" / "generation_config.json").read_text())
    assert reader.fields["tokenizer.ggml.suppress_tokens"].contents() == generation["suppress_tokens"]
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert len(tensors) == len(weights)
    for theirs, name in (("token_embd.weight", "model.embed_tokens.weight"),
                         ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"),
                         ("blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"),
                         ("output.weight", "lm_head.weight")):
        expected = weights[name].numpy()
        stored = tensors[theirs]
        assert stored.tensor_type == kind and list(stored.shape) == list(expected.shape)[::-1]
        if dtype == "q8_0":
            assert np.array_equal(np.asarray(stored.data).reshape(-1), gguf.quants.quantize(expected, kind).reshape(-1))
        else:
            assert np.array_equal(np.asarray(stored.data), expected.astype(stored.data.dtype))
    assert tensors["blk.0.attn_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32


def test_likely_slots_are_written_by_no_loader(finished_run, prompts, ours, tmp_path):
    """Output rows of slots that win everywhere, in the model that is exported."""
    planted = tmp_path / "planted"
    shutil.copytree(finished_run / "grpo" / "model", planted)
    weights = load_file(planted / "model.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(planted)
    slots = [id for token, id in tokenizer.get_vocab().items() if "Emb-" in token]
    often = tokenizer.encode("A", add_special_tokens=False)[0]
    weights["lm_head.weight"][slots] = 30 * weights["lm_head.weight"][often]
    save_file(weights, planted / "model.safetensors", {"format": "pt"})
    some, expected = prompts[:8], ours[:8]
    run("export", "--model", planted, "--out", tmp_path / "plain")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "plain").eval()
    model.generation_config.suppress_tokens = None
    for prompt, text in zip(some, expected, strict=True):
        written = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=TOKENS)[0, len(prompt):]
        assert tokenizer.decode(written, skip_special_tokens=True) == text
    assert llama(export(planted, tmp_path / "model.gguf", "f32"), some, tmp_path) == expected


SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 1024, "initializer_range": 0.2, "bos_token_id": 0,
         "eos_token_id": 1}
SCALED = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}


@pytest.mark.parametrize("make", [
    lambda size: LlamaForCausalLM(LlamaConfig(vocab_size=size, rope_parameters=SCALED, **SIZES)),
    lambda size: LlamaForCausalLM(LlamaConfig(vocab_size=size, tie_word_embeddings=True, rope_parameters={
        "rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}, **SIZES)),
    lambda size: Qwen2ForCausalLM(Qwen2Config(vocab_size=size, **SIZES)),
    lambda size: Qwen3ForCausalLM(Qwen3Config(vocab_size=size, head_dim=32, **SIZES)),
], ids=["llama3", "linear", "qwen2", "qwen3"])
def test_every_architecture_continues_as_in_transformers(finished_run, prompts, tmp_path, make):
    base = finished_run / "grpo" / "model"
    torch.manual_seed(1)
    model = make(json.loads((base / "config.json").read_text())["vocab_size"]).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "bias" in name or "norm" in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
    model.save_pretrained(tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, tmp_path / "model" / name)
    tokenizer = AutoTokenizer.from_pretrained(base)
    file = export(tmp_path / "model", tmp_path / "model.gguf", "f32")
    slots = [id for token, id in tokenizer.get_vocab().items() if "Emb-" in token]
    expected = []
    for prompt in prompts[:12]:
        written = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=TOKENS, suppress_tokens=slots,
                                 pad_token_id=1)[0, len(prompt):]
        expected.append(tokenizer.decode(written, skip_special_tokens=True))
    assert len(set(expected)) > 6
    assert llama(file, prompts[:12], tmp_path) == expected


def test_grammar_keeps_llama_cpp_to_known_drugs(finished_run, prompts, tmp_path):
    run("export", "--run", finished_run, "--out", tmp_path / "plain")
    with h5py.File(pathlib.Path(finished_run) / "corpus.h5") as file:
        names = {str(name) for name in file["drugs/titles"].asstr()[:]}
    file = export(finished_run / "grpo" / "model", tmp_path / "model.gguf", "f32")
    grammar = (tmp_path / "plain" / "drugs.gbnf").read_text()
    for text in llama(file, prompts[:12], tmp_path, grammar=grammar, temperature=2.0, top_k=0, seed=1, max_tokens=40):
        *lines, rest = text.split("\n")
        assert set(lines) <= names and any(name.startswith(rest) for name in names), text


def test_what_a_gguf_cannot_hold_is_told(finished_run, tmp_path):
    def refused(*words):
        result = subprocess.run([FLAME, "export", *map(str, words)], capture_output=True, text=True, check=False)
        assert result.returncode in (2, 3)
        return result.stderr

    model = tmp_path / "model"
    shutil.copytree(finished_run / "grpo" / "model", model)
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": {"Regex": "\\p{L}+|\\P{L}"}},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "llama.cpp knows no other" in refused("--model", model, "--gguf", tmp_path / "other.gguf")
    assert not (tmp_path / "other.gguf").exists()
    (tmp_path / "there.gguf").write_text("x")
    assert "is there already" in refused("--run", finished_run, "--gguf", tmp_path / "there.gguf")
    assert "expected f32, f16 or q8_0" in refused("--run", finished_run, "--gguf", tmp_path / "a.gguf", "--dtype",
                                                  "bfloat16")
