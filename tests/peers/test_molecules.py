"""Molecules: features equal Python RDKit's, and the graph network one restated in PyTorch with plain sums."""

import csv
import json
import subprocess

import pytest
import torch
from program import built_program, shared
from safetensors.torch import load_file, save_file
from torch import nn

TOLERANCE = 1e-5
# Debian's python3-rdkit belongs to the system's Python.
FEATURES = """
import csv, json, sys
from rdkit import Chem, RDLogger
RDLogger.DisableLog("rdApp.*")
types = [Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC]
directions = [Chem.BondDir.NONE, Chem.BondDir.ENDUPRIGHT, Chem.BondDir.ENDDOWNRIGHT]
chiralities = [Chem.ChiralType.CHI_UNSPECIFIED, Chem.ChiralType.CHI_TETRAHEDRAL_CW,
               Chem.ChiralType.CHI_TETRAHEDRAL_CCW]
for row in csv.DictReader(open(sys.argv[1])):
    molecule = Chem.MolFromSmiles(row["smiles"])
    if molecule is None:
        continue
    try:
        print(json.dumps({"id": row["drug_id"],
            "atoms": [[list(range(1, 119)).index(a.GetAtomicNum()),
                       chiralities.index(a.GetChiralTag()) if a.GetChiralTag() in chiralities else 3]
                      for a in molecule.GetAtoms()],
            "bonds": [[b.GetBeginAtomIdx(), b.GetEndAtomIdx(), types.index(b.GetBondType()),
                       directions.index(b.GetBondDir())] for b in molecule.GetBonds()]}))
    except ValueError:
        pass
"""


def features_of(table):
    result = subprocess.run([built_program("molecule_pass"), "features", table], capture_output=True, text=True,
                            check=True)
    *rows, last = [json.loads(line) for line in result.stdout.splitlines()]
    return rows, last["refused"]


def write_table(path, smiles):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("drug_id", "smiles"), *((f"DB{i:05}", text) for i, text in enumerate(smiles))])
    return path


def test_features_equal_rdkits_on_every_drug():
    table = shared("mappings") / "drugbank_to_smiles.csv"
    result = subprocess.run(["/usr/bin/python3", "-c", FEATURES, table], capture_output=True, text=True, check=False)
    if "No module named 'rdkit'" in result.stderr:
        pytest.skip("python3-rdkit is missing: scripts/setup --tests installs it")
    assert result.returncode == 0, result.stderr
    theirs = [json.loads(line) for line in result.stdout.splitlines()]
    ours, refused = features_of(table)
    assert len(ours) > 1600 and len(ours) + len(refused) == 1704
    assert ours == theirs


def test_smiles_that_rdkit_refuses_are_told(tmp_path):
    ours, refused = features_of(write_table(tmp_path / "t.csv", ["CCO", "C1CC", "*C", "", "c1cc1", "[Na+].[Cl-]"]))
    assert [row["id"] for row in ours] == ["DB00000", "DB00005"]
    assert [text.split(":")[0] for text in refused] == ["DB00001", "DB00002", "DB00004"]
    failed = subprocess.run([built_program("molecule_pass"), "features", write_table(tmp_path / "u.csv", ["C1CC"])],
                            capture_output=True, text=True, check=False)
    assert failed.returncode == 1 and "no SMILES can be read, such as DB00000" in failed.stderr


class GinStep(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.edge_embedding1, self.edge_embedding2 = nn.Embedding(6, dim), nn.Embedding(3, dim)

    def bond(self, kind, direction):
        return self.edge_embedding1.weight[kind] + self.edge_embedding2.weight[direction]

    def forward(self, h, bonds):
        """Sums the messages of each atom one after the other."""
        sums = [h[i] + self.bond(4, 0) for i in range(len(h))]
        for a, b, kind, direction in bonds:
            sums[b] = sums[b] + h[a] + self.bond(kind, direction)
            sums[a] = sums[a] + h[b] + self.bond(kind, direction)
        return self.mlp(torch.stack(sums))


class Gin(nn.Module):
    def __init__(self, dim, layers):
        super().__init__()
        self.x_embedding1, self.x_embedding2 = nn.Embedding(120, dim), nn.Embedding(3, dim)
        self.gnns = nn.ModuleList([GinStep(dim) for _ in range(layers)])
        self.batch_norms = nn.ModuleList([nn.BatchNorm1d(dim) for _ in range(layers)])

    def forward(self, molecules):
        """Returns the mean over each molecule's atoms."""
        atoms, bonds, parts = [], [], []
        for molecule in molecules:
            bonds += [(len(atoms) + a, len(atoms) + b, kind, direction) for a, b, kind, direction in molecule["bonds"]]
            parts.append(len(molecule["atoms"]))
            atoms += molecule["atoms"]
        atoms = torch.tensor(atoms)
        h = self.x_embedding1(atoms[:, 0]) + self.x_embedding2(atoms[:, 1].where(atoms[:, 1] < 3, 0))
        for layer, (step, norm) in enumerate(zip(self.gnns, self.batch_norms, strict=True)):
            h = norm(step(h, bonds))
            if layer + 1 < len(self.gnns):
                h = torch.relu(h)
        return torch.stack([part.mean(0) for part in h.split(parts)])


@pytest.mark.parametrize("dim,layers", [(8, 5), (5, 2)])
def test_graph_network_equals_pytorch(tmp_path, dim, layers):
    torch.manual_seed(dim)
    table = write_table(tmp_path / "t.csv", ["CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]", "C", "N[C@@H](C)C(=O)O",
                                             "C/C=C/C#N", "F[P-](F)(F)(F)(F)F"])
    molecules, _ = features_of(table)
    model = Gin(dim, layers)
    for norm in model.batch_norms:
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    save_file({name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name},
              tmp_path / "in.safetensors")
    subprocess.run([built_program("molecule_pass"), "gin", table, tmp_path / "in.safetensors",
                    tmp_path / "out.safetensors", str(dim), str(layers)], check=True)
    found = load_file(tmp_path / "out.safetensors")
    model.eval()
    assert torch.allclose(found["vectors"], model(molecules), rtol=TOLERANCE, atol=TOLERANCE)
    model.train()
    trained = model(molecules)
    trained.square().sum().backward()
    assert torch.allclose(found["trained"], trained, rtol=1e-4, atol=TOLERANCE)
    for name, parameter in model.named_parameters():
        difference = (found[f"gradient.{name}"] - parameter.grad).norm()
        # The norm behind it takes the gradient of a step's last bias away: what is left is rounding.
        assert difference <= TOLERANCE * max(parameter.grad.norm().item(), 1), name
    for name, buffer in model.named_buffers():
        if "num_batches" not in name:
            assert torch.allclose(found[f"buffer.{name}"], buffer, rtol=TOLERANCE, atol=TOLERANCE), name
