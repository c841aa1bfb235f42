"""RAREMed and MICRON equal a restatement in PyTorch: vectors, losses and every gradient."""

import json
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from program import ROOT, built_program
from safetensors.torch import load_file, save_file
from torch import nn

TOLERANCE = 1e-5
SIZES = {"diagnoses": 13, "procedures": 7, "drugs": 9}


def make_case(seed):
    """Returns visits of some patients, with first visits, and visits without procedures."""
    rng = random.Random(seed)
    visits = []
    for i in range(12):
        visits.append({"diagnoses": rng.sample(range(13), rng.randint(1, 8)),
                       "procedures": rng.sample(range(7), rng.randint(0, 4)),
                       "drugs": rng.sample(range(9), rng.randint(1, 6)),
                       "previous": i - 1 if i % 4 else -1})
    pairs = [[a, b] for a in range(9) for b in range(a) if rng.random() < 0.4]
    return SIZES | {"visits": visits, "ddi": pairs}


def ours(folder, encoder, case, overrides, weights):
    (folder / "case.json").write_text(json.dumps(case | {"overrides": overrides}))
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "in.safetensors")
    subprocess.run([built_program("encoder_pass"), encoder, folder / "case.json", folder / "in.safetensors",
                    folder / "out.safetensors"], check=True)
    return load_file(folder / "out.safetensors")


def ddi_matrix(case):
    matrix = torch.zeros(9, 9)
    for a, b in case["ddi"]:
        matrix[a, b] = matrix[b, a] = 1
    return matrix


def drug_losses(logits, drugs):
    """Returns the cross-entropy and the multi-label margin of one visit's logits [1, drugs]."""
    given = torch.zeros(1, 9)
    given[0, drugs] = 1
    lists = torch.full((1, 9), -1)
    lists[0, :len(drugs)] = torch.tensor(drugs)
    return (nn.functional.binary_cross_entropy_with_logits(logits, given),
            nn.functional.multilabel_margin_loss(torch.sigmoid(logits), lists))


class Micron(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(SIZES["diagnoses"], dim),
                                         nn.Embedding(SIZES["procedures"], dim)])
        self.health_net = nn.Sequential(nn.Linear(2 * dim, dim))
        self.prescription_net = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(),
                                              nn.Linear(4 * dim, SIZES["drugs"]))

    def health(self, visit):
        codes = [[], []] if visit is None else [visit["diagnoses"], visit["procedures"]]
        sums = [table(torch.tensor(c, dtype=torch.long)).sum(0, keepdim=True)
                for table, c in zip(self.embeddings, codes, strict=True)]
        return self.health_net(torch.cat(sums, dim=1))

    def forward(self, visit, last):
        now, before = self.health(visit), self.health(last)
        return (self.prescription_net(now), self.prescription_net(before),
                self.prescription_net(now - before))

    def loss(self, visit, last, ddi):
        now, before, residual = self(visit, last)
        p = torch.sigmoid(now)
        entropy, margin = drug_losses(now, visit["drugs"])
        entropy, margin, rebuilt = 0.75 * entropy, 0.75 * margin, torch.zeros(())
        if last is not None:
            entropy_last, margin_last = drug_losses(before, last["drugs"])
            entropy, margin = entropy + 0.25 * entropy_last, margin + 0.25 * margin_last
            rebuilt = ((p - torch.sigmoid(before + residual)) ** 2).sum() / 9
        chosen = [i for i in range(9) if p[0, i] >= 0.5]
        pairs = [(a, b) for i, a in enumerate(chosen) for b in chosen[:i]]
        rate = sum(ddi[a, b].item() for a, b in pairs) / len(pairs) if pairs else 0
        harm = (p.t() @ p * ddi).sum() / 9 if rate > 0.08 else torch.zeros(())
        return 0.25 * (entropy + 0.05 * margin + rebuilt + harm)

    def logits(self, visits, i):
        """Returns those of the first visit plus the residuals of every visit since."""
        visit = visits[i]
        if visit["previous"] < 0:
            return self(visit, None)[0]
        return self.logits(visits, visit["previous"]) + self(visit, visits[visit["previous"]])[2]


class Raremed(nn.Module):
    def __init__(self, dim, layers, heads, hidden):
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(SIZES["diagnoses"] + 1, dim),
                                         nn.Embedding(SIZES["procedures"] + 1, dim)])
        self.special_embeddings = nn.Embedding(2, dim)
        self.segment_embedding = nn.Embedding(2, dim)
        for part in ("disease", "procedure"):
            module = nn.Module()
            module.embeddings = nn.Embedding(1000, dim)
            setattr(self, f"positional_embedding_layer_{part}", module)
        self.transformer_visit = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(dim, heads, hidden, dropout=0.0), layers, enable_nested_tensor=False)
        self.cls_mask = nn.Linear(dim, SIZES["diagnoses"] + SIZES["procedures"] + 2)
        self.cls_nsp = nn.Linear(dim, 1)
        self.cls_final = nn.Linear(dim, SIZES["drugs"])

    def block(self, mark, table, places, codes):
        tokens = torch.cat([self.special_embeddings(torch.tensor([mark])),
                            table(torch.tensor(codes, dtype=torch.long))])
        return tokens + places.embeddings(torch.arange(len(codes) + 1))

    def vector(self, visit):
        diagnoses, procedures = visit["diagnoses"], visit["procedures"]
        x = torch.cat([self.block(0, self.embeddings[0], self.positional_embedding_layer_disease, diagnoses),
                       self.block(1, self.embeddings[1], self.positional_embedding_layer_procedure, procedures)])
        segments = torch.tensor([0] * (len(diagnoses) + 2) + [1] * len(procedures))
        return self.transformer_visit((x + self.segment_embedding(segments)).unsqueeze(1))[0]

    def loss(self, visit, ddi):
        logits = self.cls_final(self.vector(visit))
        entropy, margin = drug_losses(logits, visit["drugs"])
        p = torch.sigmoid(logits)
        return 0.995 * entropy + 0.005 * margin + 0.1 * 0.0005 * (p.t() @ p * ddi).sum()


def assert_gradients(found, model):
    compared = 0
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            assert f"gradient.{name}" not in found or not found[f"gradient.{name}"].any(), name
            continue
        difference = (found[f"gradient.{name}"] - parameter.grad).norm()
        assert difference <= TOLERANCE * max(parameter.grad.norm().item(), 1e-3), name
        compared += 1
    assert compared >= 7


@pytest.mark.parametrize("seed", range(3))
def test_micron_equals_pytorch(tmp_path, seed):
    torch.manual_seed(seed)
    case, model = make_case(seed), Micron(dim=6)
    visits, ddi = case["visits"], ddi_matrix(case)
    found = ours(tmp_path, "micron", case, ["micron.dim=6"], model.state_dict())
    losses = [model.loss(v, visits[v["previous"]] if v["previous"] >= 0 else None, ddi) for v in visits]
    sum(losses).backward()
    assert torch.allclose(found["loss"], torch.stack(losses).detach(), rtol=TOLERANCE, atol=TOLERANCE)
    logits = torch.cat([model.logits(visits, i) for i in range(len(visits))]).detach()
    assert torch.allclose(found["logits"], logits, rtol=TOLERANCE, atol=TOLERANCE)
    assert_gradients(found, model)


@pytest.mark.parametrize("seed,layers,heads", [(0, 1, 1), (1, 3, 4), (2, 2, 2)])
def test_raremed_equals_pytorch(tmp_path, seed, layers, heads):
    torch.manual_seed(seed)
    case, model = make_case(seed), Raremed(8, layers, heads, 24)
    ddi = ddi_matrix(case)
    found = ours(tmp_path, "raremed", case,
                 ["raremed.dim=8", f"raremed.layers={layers}", f"raremed.heads={heads}", "raremed.hidden=24"],
                 model.state_dict())
    vectors = torch.cat([model.vector(visit) for visit in case["visits"]])
    assert torch.allclose(found["vectors"], vectors, rtol=TOLERANCE, atol=TOLERANCE)
    assert torch.allclose(found["logits"], model.cls_final(vectors), rtol=TOLERANCE, atol=TOLERANCE)
    losses = torch.stack([model.loss(visit, ddi) for visit in case["visits"]])
    losses.sum().backward()
    assert torch.allclose(found["loss"], losses, rtol=TOLERANCE, atol=TOLERANCE)
    assert_gradients(found, model)


def convert(state, out):
    return subprocess.run([sys.executable, ROOT / "scripts" / "convert_weights.py", state, "--out", out],
                          capture_output=True, text=True, check=False)


def test_state_dict_of_torch_is_converted_with_every_bit(tmp_path):
    model = Raremed(8, 2, 2, 24)
    state = model.state_dict()
    state["turned"] = torch.arange(6.0).view(2, 3).t()
    state["half"] = torch.tensor([0.5, -2.0], dtype=torch.float16)
    state["steps"] = torch.tensor([3])
    torch.save(state, tmp_path / "model.pt")
    assert convert(tmp_path / "model.pt", tmp_path / "out.safetensors").returncode == 0
    found = load_file(tmp_path / "out.safetensors")
    assert set(found) == set(state) - {"steps"}
    for name, tensor in found.items():
        assert torch.equal(tensor, state[name].float()), name
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "checkpoint.pt")
    assert convert(tmp_path / "checkpoint.pt", tmp_path / "other.safetensors").returncode == 0
    assert set(load_file(tmp_path / "other.safetensors")) == set(found)


class Evil:
    def __reduce__(self):
        return (print, ("run by a pickle",))


def test_file_that_is_no_state_dict_is_refused_and_runs_nothing(tmp_path):
    torch.save({"weight": torch.ones(2), "evil": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "text.pt").write_text("not a zip")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    for name, words in (("evil", "names"), ("text", "cannot be read"), ("list", "expected a state dict"),
                        ("absent", "No such file")):
        refused = convert(tmp_path / f"{name}.pt", tmp_path / "out.safetensors")
        assert refused.returncode == 3 and words in refused.stderr, refused.stderr
        assert "run by a pickle" not in refused.stdout and not (tmp_path / "out.safetensors").exists()
    whole = (tmp_path / "list.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[:len(whole) // 2])
    assert convert(tmp_path / "cut.pt", tmp_path / "out.safetensors").returncode == 3


def test_state_dict_of_other_sizes_is_refused(tmp_path):
    weights = Micron(dim=6).state_dict()
    with pytest.raises(subprocess.CalledProcessError):
        ours(tmp_path, "micron", make_case(0), ["micron.dim=7"], weights)
    del weights["health_net.0.bias"]
    with pytest.raises(subprocess.CalledProcessError):
        ours(tmp_path, "micron", make_case(0), ["micron.dim=6"], weights)


def convert_table(table, out, *options):
    return subprocess.run([sys.executable, ROOT / "scripts" / "convert_table.py", table, "--out", out, *options],
                          capture_output=True, text=True, check=False)


def test_pickled_tables_become_safetensors_with_their_ids(tmp_path):
    rows = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    out = tmp_path / "out.safetensors"
    (tmp_path / "ids.txt").write_text("b\na\n401.9\n")
    ids = ["b", "a", "401.9"]
    for table, options, has_ids in ((dict(zip(ids, rows, strict=True)), [], True),
                                    (dict(zip(ids, rows.tolist(), strict=True)), [], True),
                                    (rows, ["--ids", tmp_path / "ids.txt"], True), (list(rows), [], False),
                                    (rows.astype("float64"), [], False), (np.asfortranarray(rows), [], False)):
        (tmp_path / "table.pkl").write_bytes(pickle.dumps(table))
        told = convert_table(tmp_path / "table.pkl", out, *options)
        assert told.returncode == 0, told.stderr
        assert np.array_equal(load_file(out)["embeddings"].numpy(), rows)
        assert (tmp_path / "out.ids.txt").exists() == has_ids
        if has_ids:
            assert (tmp_path / "out.ids.txt").read_text().split() == ids
            (tmp_path / "out.ids.txt").unlink()


@pytest.mark.parametrize("table,words", [
    ({"a": [1.0, 2.0], "b": [1.0]}, "vectors of 1 and of 2 numbers"),
    ({"a": [1.0, float("nan")]}, "'a' has the value nan"),
    ({"a": "text"}, "the vector of 'a' is a str"),
    ({1: [1.0], "1": [2.0]}, "two keys of the dict are the same id"),
    ({}, "the table is empty"),
    (np.zeros((2, 2, 2)), "array of shape (2, 2, 2)"),
    ("text", "expected a dict of vectors, or a table"),
    ({"a": Evil()}, "which is not read"),
])
def test_pickle_that_is_no_table_is_refused(tmp_path, table, words):
    (tmp_path / "table.pkl").write_bytes(pickle.dumps(table))
    refused = convert_table(tmp_path / "table.pkl", tmp_path / "out.safetensors")
    assert refused.returncode == 3 and words in refused.stderr, refused.stderr
    assert "run by a pickle" not in refused.stdout and not (tmp_path / "out.safetensors").exists()
    assert not (tmp_path / "out.ids.txt").exists()


def test_table_without_ids_does_not_meet_those_of_another(tmp_path):
    (tmp_path / "table.pkl").write_bytes(pickle.dumps(np.ones((2, 3))))
    (tmp_path / "out.ids.txt").write_text("a\nb\n")
    refused = convert_table(tmp_path / "table.pkl", tmp_path / "out.safetensors")
    assert refused.returncode == 3 and "has no ids; expected no such file" in refused.stderr
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    refused = convert_table(tmp_path / "table.pkl", tmp_path / "two.safetensors", "--ids", tmp_path / "three.txt")
    assert refused.returncode == 3 and "has 3 lines" in refused.stderr
