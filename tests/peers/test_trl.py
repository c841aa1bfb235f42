"""GRPO's loss under `grpo.preset: trl` equals that of TRL's GRPOTrainer, in value and gradient."""

import json
import subprocess
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from program import built_program
from trl import GRPOConfig, GRPOTrainer

TOLERANCE = 1e-6
GROUP_SIZE, PROMPT = 4, 3
LENGTHS = [5, 1, 9, 3, 2, 9, 4, 7]  # tokens of each completion of two groups
REWARDS = [0.3, -0.2, 0.9, 0.3, 0.5, 0.1, -0.4, 0.0]
NORMALIZERS = {"grpo": "sequence", "bnpo": "token", "dapo": "token", "dr_grpo": "constant"}


class Model(torch.nn.Module):
    """Stands in for a policy with given log-probabilities, [batch, completion]."""

    def __init__(self, logprobs):
        super().__init__()
        self.logprobs = logprobs

    def forward(self, input_ids, **_):
        prompt = self.logprobs.new_zeros(len(input_ids), input_ids.shape[1] - self.logprobs.shape[1])
        rows = torch.cat([prompt, self.logprobs], dim=1)
        return SimpleNamespace(log_probs=rows, entropy=torch.zeros_like(rows).detach())


def make_case(rewards=REWARDS, spread=0.3):
    """Returns padded float64 tensors [completions, tokens] under TRL's names. The policy differs by
    `spread` from the one that sampled, so that ratios are clipped on both sides."""
    generator = torch.Generator().manual_seed(3)
    shape = (len(LENGTHS), max(LENGTHS))

    def normal():
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    logprobs = -normal().abs() - 0.1
    rewards = torch.tensor(rewards, dtype=torch.float64)
    grouped = rewards.view(-1, GROUP_SIZE)
    advantages = (grouped - grouped.mean(1, keepdim=True)) / (grouped.std(1, keepdim=True) + 1e-4)
    mask = (torch.arange(shape[1])[None] < torch.tensor(LENGTHS)[:, None]).long()
    return {"logprobs": logprobs, "rewards": rewards, "completion_mask": mask,
            "old_per_token_logps": logprobs + spread * normal(),
            "ref_per_token_logps": logprobs + 0.5 * normal(), "advantages": advantages.flatten(),
            "completion_ids": torch.zeros(shape, dtype=torch.long),
            "prompt_ids": torch.zeros(shape[0], PROMPT, dtype=torch.long),
            "prompt_mask": torch.ones(shape[0], PROMPT, dtype=torch.long)}


def make_trainer(model, folder, accumulation, **options):
    """Makes a GRPOTrainer that has only the attributes that its loss reads."""
    args = GRPOConfig(output_dir=str(folder), use_cpu=True, bf16=False, num_generations=GROUP_SIZE,
                      per_device_train_batch_size=len(LENGTHS) // accumulation,
                      gradient_accumulation_steps=accumulation, **options)
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    trainer.args, trainer.model, trainer.accelerator = args, model, Accelerator(cpu=True)
    for name in ("beta", "loss_type", "importance_sampling_level", "top_entropy_quantile",
                 "off_policy_mask_threshold", "use_vllm", "max_completion_length"):
        setattr(trainer, name, getattr(args, name))
    trainer.epsilon_low = args.epsilon
    trainer.epsilon_high = args.epsilon if args.epsilon_high is None else args.epsilon_high
    trainer.current_gradient_accumulation_steps = accumulation
    trainer.aux_loss_enabled = trainer._entropy_bonus_enabled = False
    trainer._metrics = {"train": defaultdict(list)}
    return trainer


def theirs(case, folder, accumulation=1, **options):
    """Returns TRL's loss of a step of `accumulation` micro-batches, the gradient of each
    completion, and TRL's metrics."""
    leaf = case["logprobs"].clone().requires_grad_(True)
    tokens, total = case["completion_mask"].sum(), 0.0
    size = len(LENGTHS) // accumulation
    for begin in range(0, len(LENGTHS), size):
        part = slice(begin, begin + size)
        model = Model(leaf[part])
        trainer = make_trainer(model, folder, accumulation, **options)
        inputs = {name: tensor[part] for name, tensor in case.items() if name != "logprobs"}
        loss = trainer._compute_loss(model, inputs | {"num_items_in_batch": tokens})
        loss.backward()
        total += loss.item()
    metrics = {name: values[0] for name, values in trainer._metrics["train"].items()}
    return total, [row[:length] for row, length in zip(leaf.grad, LENGTHS)], metrics


def ours(case, *overrides):
    members = [{"reward": case["rewards"][i].item(),
                "logprobs": case["logprobs"][i, :length].tolist(),
                "old": case["old_per_token_logps"][i, :length].tolist(),
                "reference": case["ref_per_token_logps"][i, :length].tolist()}
               for i, length in enumerate(LENGTHS)]
    groups = [members[i:i + GROUP_SIZE] for i in range(0, len(members), GROUP_SIZE)]
    result = subprocess.run(
        [built_program("grpo_loss")], check=True, capture_output=True, text=True,
        input=json.dumps({"preset": "trl", "overrides": overrides, "groups": groups}))
    return json.loads(result.stdout)


def assert_same(answer, expected):
    loss, gradients, metrics = expected
    assert abs(answer["loss"] - loss) < TOLERANCE * abs(loss)
    for found, gradient in zip(answer["gradients"], gradients, strict=True):
        difference = (torch.tensor(found, dtype=torch.float64) - gradient).norm()
        assert difference <= TOLERANCE * gradient.norm()
    return metrics


@pytest.mark.parametrize("kl", [0.0, 0.04, 1.0])
@pytest.mark.parametrize("loss_type", NORMALIZERS)
def test_loss_and_gradient_equal_trl(tmp_path, loss_type, kl):
    case = make_case()
    answer = ours(case, f"grpo.normalizer={NORMALIZERS[loss_type]}", f"grpo.kl={kl}")
    metrics = assert_same(answer, theirs(case, tmp_path, loss_type=loss_type, beta=kl))
    assert answer["kl_mean"] == pytest.approx(metrics.get("kl", 0), rel=TOLERANCE)
    assert answer["clipped_mean"] == pytest.approx(metrics["clip_ratio/region_mean"], rel=TOLERANCE)
    assert 0.1 < answer["clipped_mean"] < 0.9


@pytest.mark.parametrize("correction, estimator", [(True, "k3_ratio"), (False, "k3")])
def test_kl_estimator_equals_trl(tmp_path, correction, estimator):
    case = make_case()
    answer = ours(case, f"grpo.kl_estimator={estimator}", "grpo.kl=0.3", "grpo.clip=0.1")
    assert_same(answer, theirs(case, tmp_path, beta=0.3, epsilon=0.1,
                               use_bias_correction_kl=correction))


@pytest.mark.parametrize("kl", [0.0, 0.04])
@pytest.mark.parametrize("loss_type", NORMALIZERS)
def test_gspo_equals_trl(tmp_path, loss_type, kl):
    """TRL's sequence level: arXiv 2507.18071. A small clip keeps some completions out."""
    case = make_case()
    answer = ours(case, "grpo.loss=gspo", "grpo.clip=0.05",
                  f"grpo.normalizer={NORMALIZERS[loss_type]}", f"grpo.kl={kl}")
    assert_same(answer, theirs(case, tmp_path, loss_type=loss_type, beta=kl, epsilon=0.05,
                               importance_sampling_level="sequence"))
    assert 0 < answer["clipped_mean"] < 1


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_accumulated_micro_batches_equal_the_step_as_a_whole(tmp_path, loss_type):
    case = make_case()
    answer = ours(case, f"grpo.normalizer={NORMALIZERS[loss_type]}", "grpo.kl=0.04")
    assert_same(answer, theirs(case, tmp_path, 2, loss_type=loss_type, beta=0.04))


def test_on_policy_and_equal_rewards_leave_only_the_kl_term(tmp_path):
    case = make_case(rewards=[0.5] * len(LENGTHS), spread=0)
    answer = ours(case, "grpo.kl=0.04")
    assert_same(answer, theirs(case, tmp_path, beta=0.04))
    assert answer["clipped_mean"] == 0 and answer["advantages"] == [[0.0] * n for n in LENGTHS]


def test_preset_holds_trl_defaults(tmp_path):
    keys = dict(line.split("=", 1) for line in ours(make_case())["settings"].splitlines())
    args = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    numbers = {"learning_rate": args.learning_rate, "warmup": args.warmup_steps,
               "weight_decay": args.weight_decay, "beta1": args.adam_beta1, "beta2": args.adam_beta2,
               "epsilon": args.adam_epsilon, "grad_clip": args.max_grad_norm, "kl": args.beta,
               "clip": args.epsilon, "iterations": args.num_iterations,
               "temperature": args.temperature, "group_size": args.num_generations,
               "max_tokens": args.max_completion_length, "top_p": args.top_p, "top_k": args.top_k}
    for name, value in numbers.items():
        assert float(keys[f"grpo.{name}"]) == value, name
    assert keys["grpo.schedule"] == args.lr_scheduler_type.value
    assert keys["grpo.normalizer"] == NORMALIZERS[args.loss_type]
    assert (keys["grpo.kl_estimator"] == "k3_ratio") == args.use_bias_correction_kl
    assert args.scale_rewards == "group" and args.epsilon_high is None and args.delta is None
    assert float(keys["credit.lambda"]) == 0 and float(keys["credit.epsilon"]) == 1e-4
