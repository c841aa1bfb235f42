import json

import pytest
from conftest import TINY, metrics, run

STEP_FIELDS = """step reward_mean reward_std phi_jaccard phi_ddi phi_refusal advantage_std loss kl
    clip_fraction entropy grad_norm learning_rate sample_mismatch_max tokens_trained tokens_sampled
    tokens_per_second seconds policy_version seconds_rollout seconds_reward seconds_learn
    seconds_sync""".split()
POLICIES = ["popularity", "previous", "logistic", "knn", "classifier", "classifier-calibrated",
            "list-sft", "list-grpo"]


def test_pipeline_whole_road_evaluates_every_policy(tiny_run):
    evaluation = json.loads((tiny_run / "evaluation.json").read_text())
    assert [row["policy"] for row in evaluation["rows"]] == POLICIES
    for row in evaluation["rows"]:
        low, high = row["jaccard_ci"]
        assert 0 <= low <= row["jaccard"] <= high <= 1
    assert evaluation["oracle"]["list"] > evaluation["oracle"]["threshold"] > 0
    table = (tiny_run / "table.txt").read_text()
    for name in POLICIES:
        assert name in table
    assert "Research software" in table


def test_pipeline_grpo_reports_every_field_of_every_step(tiny_run):
    rows = metrics(tiny_run / "grpo")
    assert len(rows) == 6
    for row in rows:
        assert set(STEP_FIELDS) <= set(row)
        assert row["sample_mismatch_max"] < 1e-4
    assert len({row["step"] for row in rows}) == 6


def test_pipeline_run_again_skips_every_stage(tiny_run):
    before = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*") if p.is_file()}
    result = run("pipeline", "--config", TINY, f"run.dir={tiny_run}")
    for stage in ("prepare", "classifier", "tasks", "list", "grpo", "evaluate"):
        assert f"stage {stage}: inputs unchanged, skipped" in result.stderr
    after = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*") if p.is_file()}
    changed = {p for p in before if before[p] != after.get(p)}
    assert changed <= {tiny_run / "config.yaml", tiny_run / ".lock",
                       tiny_run / "logs" / "rank-0.log"}


def test_pipeline_changed_key_makes_only_later_stages_again(run_copy):
    folder = run_copy()
    result = run("pipeline", "--config", TINY, f"run.dir={folder}", "credit.lambda=0")
    for stage in ("prepare", "classifier", "tasks", "list"):
        assert f"stage {stage}: inputs unchanged, skipped" in result.stderr
    for stage in ("grpo", "evaluate"):
        assert f"stage {stage}: done" in result.stderr


def test_pipeline_same_seed_same_bytes(tiny_run, tmp_path):
    run("pipeline", "--config", TINY, f"run.dir={tmp_path / 'again'}")
    for model in ("base", "classifier/model", "list/model", "grpo/model"):
        for file in sorted((tiny_run / model).iterdir()):
            other = tmp_path / "again" / model / file.name
            assert file.read_bytes() == other.read_bytes(), f"{model}/{file.name} differs"


@pytest.mark.parametrize("overrides", [
    ["tasks.errors=crossfit", "credit.segmentation=list", "credit.lambda=0"],
    ["tasks.errors=train", "credit.segmentation=token", "grpo.normalizer=constant",
     "grpo.iterations=2"],
])
def test_pipeline_other_settings_run_to_evaluation(run_copy, overrides):
    folder = run_copy()
    run("pipeline", "--config", TINY, f"run.dir={folder}", *overrides)
    assert len(metrics(folder / "grpo")) == 6
    assert len(json.loads((folder / "evaluation.json").read_text())["rows"]) == len(POLICIES)


def test_pipeline_pretrained_model_trains_adapters_only(tmp_path):
    plain = tmp_path / "plain"
    run("prepare", "--config", TINY, f"run.dir={plain}", "encoders.drug=none")
    folder = tmp_path / "run"
    run("pipeline", "--config", TINY, f"run.dir={folder}", f"model.path={plain / 'base'}",
        "model.trainable=lora", "model.recompute=true", "encoders.diagnosis=random",
        "encoders.procedure=random", "credit.segmentation=chunk:2", "reward.alpha=1",
        "grpo.normalizer=sequence", "grpo.lora.targets=[q_proj, v_proj]")
    base = (plain / "base" / "model.safetensors").read_bytes()
    for stage in ("classifier", "list"):
        model = folder / stage / "model"
        assert (model / "model.safetensors").read_bytes() == base
        assert (model / "adapter_model.safetensors").exists()
