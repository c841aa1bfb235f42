"""Log-probabilities and greedy continuations of a pretrained model equal those of transformers."""

import json
import random

import pytest
import torch
from program import answers, run, shared
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = """Once upon a time
One day, a little girl named Lily
Tom and Sam
The big dog
She saw a red
The cat was sad because
In the park, they
"Can I play with you?"
A bird
Mom said
He ran to the
There was a small house
The sun
Ben had a toy
They were very
Lily's mom gave her
It was a sunny day
Timmy liked to
The old man
At night""".split("\n")


@pytest.fixture(scope="module")
def folder():
    return shared("tinystories-656k")


@pytest.fixture(scope="module")
def peer(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def random_families(tokenizer, count):
    """Makes families of story text and random ids, up to the model's 512 positions."""
    rng = random.Random(11)
    families = []
    for _ in range(count):
        text = " ".join(rng.choice(PROMPTS) for _ in range(rng.randrange(1, 25)))
        trunk = tokenizer(text).input_ids[:400]
        branches = []
        for _ in range(rng.randrange(1, 9)):
            branch = tokenizer(rng.choice(PROMPTS), add_special_tokens=False).input_ids
            branches.append(branch + [rng.randrange(2048) for _ in range(rng.randrange(60))])
        families.append({"trunk": trunk, "branches": branches})
    families.append({"trunk": [1], "branches": [[5]]})
    families.append({"trunk": [rng.randrange(2048) for _ in range(500)], "branches": [[7] * 12]})
    return families


@torch.no_grad()
def test_score_equals_transformers(folder, peer, tokenizer):
    families = random_families(tokenizer, 20)
    largest = 0.0
    for family, row in zip(families, answers("score", "--model", folder, lines=families)):
        for branch, ours in zip(family["branches"], row["logprobs"], strict=True):
            tokens = torch.tensor([family["trunk"] + branch])
            table = peer(tokens).logits[0, len(family["trunk"]) - 1:-1].log_softmax(-1)
            theirs = table.gather(1, torch.tensor(branch)[:, None])[:, 0]
            assert len(ours) == len(branch)
            largest = max(largest, (torch.tensor(ours) - theirs).abs().max().item())
    assert largest < 1e-4


@torch.no_grad()
def test_greedy_continuation_equals_transformers(folder, peer, tokenizer):
    rows = answers("generate", "--model", folder, "--greedy", "--max-tokens", 64,
                   lines=[{"text": prompt} for prompt in PROMPTS])
    for prompt, row in zip(PROMPTS, rows):
        tokens = tokenizer(prompt, return_tensors="pt").input_ids
        theirs = peer.generate(tokens, do_sample=False, max_new_tokens=64)[0, tokens.shape[1]:]
        assert row["ids"] == theirs.tolist(), prompt
        table = peer(torch.cat([tokens[0], theirs])[None]).logits[0, tokens.shape[1] - 1:-1]
        logprobs = table.log_softmax(-1).gather(1, theirs[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(row["logprobs"]), logprobs, atol=1e-4, rtol=0)


def test_generate_from_ids_equals_from_text(folder, tokenizer):
    lines = [{"text": PROMPTS[0]}, {"ids": tokenizer(PROMPTS[0]).input_ids}]
    first, second = answers("generate", "--model", folder, "--greedy", "--max-tokens", 8,
                            lines=lines)
    assert first == second


def test_samples_are_answers_to_each_line_in_order(folder):
    """With top_k 1 every sample is the greedy continuation."""
    lines = [{"ids": [1, 80, 109]}, {"ids": [1, 113, 139, 80]}, {"ids": [1, 90]}]
    greedy = answers("generate", "--model", folder, "--greedy", "--max-tokens", 8, lines=lines)
    sampled = run("generate", "--model", folder, "--samples", 2, "--top-k", 1, "--max-tokens", 8,
                  input="".join(json.dumps(line) + "\n" for line in lines))
    sampled = [json.loads(row) for row in sampled.splitlines()]
    assert [row["ids"] for row in sampled] == [row["ids"] for row in greedy for _ in range(2)]
    assert len({tuple(row["ids"]) for row in greedy}) > 1


def test_sampling_follows_the_policy(folder, peer):
    """The frequencies of 2,000 first tokens match the softmax at temperature 0.7."""
    prompt, count = [1, 80, 109, 113, 139], 2000
    rows = answers("generate", "--model", folder, "--temperature", 0.7, "--max-tokens", 1, "--seed",
                   3, lines=[{"ids": prompt}] * count)
    with torch.no_grad():
        expected = (peer(torch.tensor([prompt])).logits[0, -1] / 0.7).softmax(-1)
    drawn = torch.tensor([row["ids"][0] for row in rows])
    for row in rows[:50]:
        assert row["logprobs"][0] == pytest.approx(expected[row["ids"][0]].log().item(), abs=1e-4)
    for token in expected.topk(3).indices:
        p = expected[token].item()
        share = (drawn == token).float().mean().item()
        assert abs(share - p) < 5 * (p * (1 - p) / count) ** 0.5 + 1e-3
