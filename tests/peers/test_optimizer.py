"""AdamW, learning-rate schedules and gradient clipping equal torch's and transformers'."""

import json
import subprocess

import pytest
import torch
from program import built_program
from safetensors.torch import load_file, save_file
from transformers import get_scheduler

UPDATES = 20
RATE = 3e-2
TOLERANCE = 1e-6  # relative, float32
PEER_NAMES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine",
              "inverse_sqrt": "inverse_sqrt"}


def random_tensors(seed):
    """Returns parameters and a list of gradients, of which some are large enough to be clipped."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embedding": (37, 8), "layer.bias": (8,), "layer.weight": (8, 8)}
    parameters = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    gradients = [{name: torch.randn(shape, generator=generator) * 10.0 ** (t % 5 - 3)
                  for name, shape in shapes.items()} for t in range(UPDATES)]
    return parameters, gradients


def ours(folder, parameters, gradients, **options):
    """Returns the program's row of each update, and the parameters after each."""
    case = {"updates": UPDATES, "overrides": [f"sft.{key}={value}" for key, value in options.items()]}
    (folder / "case.json").write_text(json.dumps(case))
    tensors = {f"parameter.{name}": tensor for name, tensor in parameters.items()}
    for t, gradient in enumerate(gradients, start=1):
        tensors |= {f"gradient.{t}.{name}": tensor for name, tensor in gradient.items()}
    save_file(tensors, folder / "in.safetensors")
    result = subprocess.run(
        [built_program("optimizer_updates"), folder / "case.json", folder / "in.safetensors",
         folder / "out.safetensors"], check=True, capture_output=True, text=True)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    after = load_file(folder / "out.safetensors")
    assert len(rows) == UPDATES and len(after) == UPDATES * len(parameters)
    return rows, after


def make_scheduler(optimizer, schedule, warmup):
    # The rate of update t (from 1) is the peer's factor at step t; it is 0 one step after the last.
    scheduler = get_scheduler(PEER_NAMES[schedule], optimizer, num_warmup_steps=warmup,
                              num_training_steps=UPDATES + 1)
    optimizer.step()  # changes nothing without gradients; silences a warning about the order
    scheduler.step()
    return scheduler


def theirs(parameters, gradients, schedule, warmup, clip, decay):
    """Returns what `ours` does, from torch's AdamW and clipping and transformers' schedule."""
    parameters = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in parameters.items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=RATE, betas=(0.9, 0.98), eps=1e-7,
                                  weight_decay=decay)
    scheduler = make_scheduler(optimizer, schedule, warmup)
    rows, after = [], {}
    for t, gradient in enumerate(gradients, start=1):
        for name, parameter in parameters.items():
            parameter.grad = gradient[name].clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), clip or float("inf"))
        rows.append({"norm": norm.item(), "rate": scheduler.get_last_lr()[0]})
        optimizer.step()
        scheduler.step()
        after |= {f"{t}.{name}": parameter.detach().clone() for name, parameter in parameters.items()}
    return rows, after


def worst_difference(found, expected):
    assert set(found) == set(expected)
    return max(((found[name] - tensor).norm() / tensor.norm()).item()
               for name, tensor in expected.items())


@pytest.mark.parametrize("schedule", PEER_NAMES)
@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("clip,decay", [(1.0, 0.1), (0, 0.0), (0.05, 0.02)])
def test_every_update_of_a_run_equals_torch(tmp_path, schedule, warmup, clip, decay):
    parameters, gradients = random_tensors(seed=warmup + 1)
    rows, after = ours(tmp_path, parameters, gradients, learning_rate=RATE, schedule=schedule,
                       warmup=warmup, weight_decay=decay, grad_clip=clip, beta2=0.98, epsilon=1e-7)
    if schedule == "inverse_sqrt" and warmup == 0:
        # Without a warm-up the peer's unit of time is 10,000 steps, and ours is one step.
        for t, row in enumerate(rows, start=1):
            assert row["rate"] == pytest.approx(RATE / t ** 0.5, rel=1e-12)
        return
    peer_rows, peer_after = theirs(parameters, gradients, schedule, warmup, clip, decay)
    for row, peer in zip(rows, peer_rows, strict=True):
        assert row["rate"] == pytest.approx(peer["rate"], rel=1e-12)
        assert row["norm"] == pytest.approx(peer["norm"], rel=TOLERANCE)
    worst = worst_difference(after, peer_after)
    assert worst < TOLERANCE, worst


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedule_equals_torch_lr_scheduler(tmp_path, schedule):
    warmup, rest = 4, UPDATES + 1 - 4
    parameters, gradients = random_tensors(seed=0)
    rows, _ = ours(tmp_path, parameters, gradients, learning_rate=RATE, schedule=schedule,
                   warmup=warmup)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    kinds = torch.optim.lr_scheduler
    rising = kinds.LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
    falling = (kinds.CosineAnnealingLR(optimizer, T_max=rest) if schedule == "cosine"
               else kinds.LinearLR(optimizer, start_factor=1, end_factor=0, total_iters=rest))
    scheduler = kinds.SequentialLR(optimizer, [rising, falling], milestones=[warmup - 1])
    for row in rows:
        assert row["rate"] == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()
