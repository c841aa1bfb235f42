"""Documents: links lead somewhere, and files of the project that they name are there."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
# A path in backticks that begins in a folder of the project.
NAMED = re.compile(r"`((?:base|comm|tokenizer|data|model|reward|rollout|trainer|recommend|launch|tests|bench|"
                   r"scripts|docs|configs|slurm|experiments|examples|cmake)/[\w./-]+\.\w+)`")


def documents():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split()]


def test_links_lead_somewhere():
    broken = [f"{path.relative_to(ROOT)}: {target}" for path in documents()
              for target, _ in LINK.findall(path.read_text())
              if not target.startswith(("http:", "https:", "mailto:")) and not (path.parent / target).exists()]
    assert broken == []


def test_named_files_are_there():
    missing = [f"{path.relative_to(ROOT)}: {name}" for path in documents() for name in NAMED.findall(path.read_text())
               if "NAME" not in name and "LAYER" not in name and not (ROOT / name).exists()]
    assert missing == []
