"""`flame plan` against the memory that runs take. tests/launch/plan does the same for single
updates."""

import json
import os
import subprocess

import pytest
from conftest import FLAME, TINY, mpirun, run

LLAMA_8B = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256,
            "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
            "num_key_value_heads": 8, "intermediate_size": 14336, "tie_word_embeddings": False,
            "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 500000.0}
PARAMETERS_8B = 8_030_261_248
SPEED = ("--flops", "4e14", "--bandwidth", "50GB")


def plan(*arguments, check=True):
    result = run("plan", "--json", *SPEED, *arguments, check=check)
    stages = json.loads(result.stdout)["stages"] if result.stdout else []
    return {stage["stage"]: stage for stage in stages}, result


def learner(stage):
    return stage["roles"][0]


SMALL = ("model.preset=small", "data.synth_patients=60", "classifier.checkpoint_every=100",
         "list.checkpoint_every=100", "grpo.checkpoint_every=100")


def stage_command(stage):
    return ("tasks",) if stage == "tasks" else ("grpo",) if stage == "grpo" else ("sft", stage)


def train(ranks, *arguments):
    command = mpirun(ranks, *arguments) if ranks > 1 else [str(FLAME), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("ranks, stage, keys", [
    (1, "classifier", ()),
    (1, "classifier", ("model.recompute=true", "model.trainable=lora")),
    (1, "classifier", ("model.dtype=bfloat16", "model.trainable=lora")),
    (1, "classifier", ("model.quantize=int8", "model.trainable=lora", "model.recompute=true")),
    (1, "grpo", ("model.quantize=nf4", "model.trainable=lora")),
    (1, "grpo", ("grpo.staleness=8", "grpo.lora.rank=64", "grpo.checkpoint_every=2")),
    (4, "grpo", ("grpo.staleness=4", "grpo.steps=12", "grpo.lora.rank=64", "cluster.learners=2",
                 "cluster.rollouts=1", "cluster.rewards=1")),
    (2, "classifier", ("cluster.sharding=full",)),
    (2, "classifier", ("cluster.sharding=full", "cluster.reshard=never", "model.trainable=lora")),
    (2, "list", ("cluster.sharding=optimizer",)),
    (4, "classifier", ("cluster.sharding=hybrid", "cluster.shard_group=2")),
    (4, "grpo", ("cluster.sharding=full", "cluster.learners=2", "cluster.rollouts=1",
                 "cluster.rewards=1")),
])
def test_every_rank_takes_what_is_planned(tmp_path, ranks, stage, keys):
    """Compares the bytes of tensors, counted at allocation. Completions that end early take less,
    but few do."""
    config = ("--config", TINY, f"run.dir={tmp_path / 'run'}", *SMALL, "grpo.max_tokens=12", *keys)
    run("prepare", *config)
    for earlier in {"classifier": (), "list": ("classifier", "tasks"),
                    "grpo": ("classifier", "tasks", "list")}[stage]:
        run(*stage_command(earlier), *config)
    planned, _ = plan("--gpus", ranks, "--stage", stage, *config)
    train(ranks, *stage_command(stage), *config)
    record = json.loads((tmp_path / "run" / ".stages" / f"{stage}.json").read_text())
    taken = iter(record["peak_bytes"])
    for role in planned[stage]["roles"]:
        of_role = max(next(taken) for _ in range(role["ranks"]))
        # The host's collectives receive into buffers that are not tensors.
        said = role["peak_bytes"] - role["bytes"]["communication buffers"]
        print(f"{ranks} ranks {role['role']}: planned {said / 1e6:.1f} MB, "
              f"taken {of_role / 1e6:.1f} MB")
        assert said == pytest.approx(of_role, rel=0.1, abs=1e6)
    assert next(taken, None) is None


def peak_resident(command):
    """Returns the largest resident set of the command, in bytes."""
    script = ("import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], "
              "stdout=subprocess.DEVNULL).returncode; "
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)")
    result = subprocess.run(["python3", "-c", script, *map(str, command)], capture_output=True,
                            text=True, timeout=300, check=False,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr
    return int(result.stdout.split()[-1]) * 1024


@pytest.mark.parametrize("recompute", ["false", "true"])
def test_resident_memory_grows_as_planned(tmp_path, recompute):
    """Subtracts a training so small that its memory is the program itself."""
    resident, said = {}, {}
    sizes = {"small": ("model.preset=tiny", "classifier.batch=1"),
             "large": ("classifier.batch=32", "classifier.token_budget=30000")}
    for name, size in sizes.items():
        config = ("--config", TINY, f"run.dir={tmp_path / name}", *SMALL,
                  f"model.recompute={recompute}", *size)
        run("prepare", *config)
        planned, _ = plan("--stage", "classifier", *config)
        said[name] = learner(planned["classifier"])["peak_bytes"]
        resident[name] = peak_resident([FLAME, "sft", "classifier", *config])
    grown, planned = resident["large"] - resident["small"], said["large"] - said["small"]
    print(f"recompute {recompute}: planned {planned / 1e6:.1f} MB, resident {grown / 1e6:.1f} MB")
    assert grown > 200e6
    assert planned == pytest.approx(grown, rel=0.1)


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


def test_group_that_does_not_divide_the_learners_is_refused(tmp_path):
    config = ("--config", TINY, f"run.dir={tmp_path / 'run'}")
    run("prepare", *config)
    _, result = plan("--gpus", 4, "--stage", "classifier", *config, "cluster.sharding=hybrid",
                     "cluster.shard_group=3", check=False)
    assert result.returncode == 2 and "divisor of the 4 learners" in result.stderr


@pytest.mark.parametrize("key, words", [
    ("cluster.rollouts=1", "each rank does everything"),
    ("cluster.sharding=full", "a rank that samples holds all weights")])
@pytest.mark.parametrize("command", [
    ["plan", "--gpus", "2"],
    ["launch", "pipeline", "--nodes", "2", "--gpus-per-node", "1", "--time", "30", "--dry-run"]])
def test_colocated_ranks_that_grpo_would_refuse_are_refused(tmp_path, command, key, words):
    result = run(*command, "--config", TINY, f"run.dir={tmp_path / 'run'}",
                 "cluster.placement=colocated", key, check=False)
    assert result.returncode == 2 and words in result.stderr


@pytest.mark.parametrize("more", [["--cancel=b"], ["--dry-run"], ["reward.alpha=1"]])
def test_launch_watches_one_run_and_does_nothing_besides(more):
    result = run("launch", "--status=a", *more, check=False)
    assert result.returncode == 2 and "a run's folder and nothing else" in result.stderr


def test_moments_in_the_host_s_memory_take_none_of_the_gpu_s(tmp_path):
    config = ("--config", TINY, f"run.dir={tmp_path / 'run'}", "--gpus", 2, "model.device=cuda")
    run("prepare", "--config", TINY, f"run.dir={tmp_path / 'run'}")
    on_gpu, _ = plan("--stage", "classifier", *config)
    on_host, _ = plan("--stage", "classifier", *config, "cluster.offload=optimizer")
    on_gpu, on_host = (learner(p["classifier"])["bytes"] for p in (on_gpu, on_host))
    trainable = on_gpu["trainable weights"]
    assert on_gpu["optimizer state"] == pytest.approx(2 * trainable, rel=1e-3)
    assert on_host["optimizer state"] < on_gpu["optimizer state"] / 2
    assert on_host["trainable weights"] == trainable


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
    (["--gpus", "1.5"], "--gpus is '1.5'"),
    (["--stage", "sft"], "--stage is 'sft'"),
    (["--gpus"], "--gpus has no value"),
])
def test_bad_arguments_are_refused(arguments, words):
    result = run("plan", "data.hospital=synth", *arguments, check=False)
    assert result.returncode == 2
    assert words in result.stderr
