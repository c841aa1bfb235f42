"""What `flame plan` says. Its memory beside what training allocates: tests/launch/plan_memory_test."""

import json

import pytest
from conftest import run

LLAMA_8B = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256,
            "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
            "num_key_value_heads": 8, "intermediate_size": 14336, "tie_word_embeddings": False,
            "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 500000.0}
PARAMETERS_8B = 8_030_261_248
SPEED = ("--flops", "4e14", "--bandwidth", "50GB")


def plan(*arguments, check=True):
    result = run("plan", "--json", *SPEED, *arguments, check=check)
    return {stage["stage"]: stage for stage in json.loads(result.stdout)["stages"]}, result


def learner(stage):
    return stage["roles"][0]


def test_8b_is_planned_without_weights_and_refused_where_it_does_not_fit(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B))
    keys = ["data.hospital=synth", f"run.dir={tmp_path / 'run'}", f"model.path={tmp_path}",
            "encoders.drug=none", "model.dtype=bfloat16"]
    stages, _ = plan("--gpus", 1, "--gpu-memory", "80GB", "--stage", "classifier", *keys)
    frozen = learner(stages["classifier"])["bytes"]["frozen weights"]
    assert frozen == 2 * PARAMETERS_8B
    split, _ = plan("--gpus", 4, "--stage", "classifier", "cluster.sharding=full", *keys)
    assert learner(split["classifier"])["bytes"]["frozen weights"] == pytest.approx(frozen / 4, rel=1e-3)
    _, refused = plan("--gpus", 1, "--gpu-memory", "10GB", "--stage", "classifier", *keys,
                      check=False)
    assert refused.returncode == 2
    assert "frozen weights" in refused.stderr and "model.quantize=nf4" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_flops_are_4_a_frozen_weight_and_6_a_trained_one(tmp_path):
    keys = ["--stage", "list", "data.hospital=synth", f"run.dir={tmp_path}", "encoders.drug=none"]
    d, f, kv, vocab = 128, 384, 64, 2048
    blocks = 2 * (2 * d * d + 2 * kv * d + 3 * d * f + 2 * d)
    stage = plan("model.trainable=full", *keys)[0]["list"]
    expected = 6 * blocks * stage["tokens"] + 6 * vocab * d * stage["asked_for_tokens"]
    assert stage["model_flops"] == pytest.approx(expected)
    adapters = 2 * 8 * ((d + d) + (d + kv))  # rank 8 on q_proj and v_proj
    stage = plan("model.trainable=lora", *keys)[0]["list"]
    expected = ((4 * blocks + 6 * adapters) * stage["tokens"]
                + 4 * vocab * d * stage["asked_for_tokens"])
    assert stage["model_flops"] == pytest.approx(expected)


@pytest.mark.parametrize("arguments, words", [
    (["--gpu-memory", "many"], "--gpu-memory is 'many'"),
    (["--gpus", "1.5"], "--gpus is 1.5"),
    (["--stage", "sft"], "--stage is 'sft'"),
    (["--gpus"], "--gpus has no value"),
])
def test_bad_arguments_are_refused(arguments, words):
    result = run("plan", "data.hospital=synth", *arguments, check=False)
    assert result.returncode == 2
    assert words in result.stderr
