"""Every block of commands in README.md and docs/ runs, or says what it needs that is not here.

The blocks of a document run in order, line by line, in a folder of their own, where the configs are those of
the documents made small and runs/quickstart is a finished run. A block that cannot run has a comment before
it, `<!-- needs: a Slurm cluster -->`, that names one of NEEDS."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
import yaml
from conftest import FLAME, ROOT, TINY

NEEDS = {"a Slurm cluster", "a GPU", "credentialed data", "files of other projects", "a quiet machine for an hour",
         "a machine to set up", "a checkout to change"}
BLOCK = re.compile(r"(?ms)^(?:<!-- needs: (?P<needs>[^>]*) -->\n\n?)?```sh\n(?P<text>.*?)^```$")
DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def blocks(document):
    return [(match["needs"], match["text"]) for match in BLOCK.finditer((ROOT / document).read_text())]


def commands(text):
    """The lines of a block, those with a backslash joined to the next."""
    return [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]


@pytest.fixture
def world(tiny_run, tmp_path):
    """A folder as the documents assume: flame on PATH, configs, a finished run and small inputs."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    quickstart = yaml.safe_load(TINY.read_text())
    quickstart["run"]["dir"] = "runs/quickstart"
    quickstart["micron"] = {"epochs": 1, "dim": 8}
    quickstart["raremed"] = {"epochs": 1, "pretrain_epochs": 1, "dim": 8, "heads": 2, "layers": 1, "hidden": 16}
    quickstart["molecule"] = {"epochs": 1, "dim": 8, "layers": 2, "batch": 32}
    (tmp_path / "configs/quickstart.yaml").write_text(yaml.safe_dump(quickstart))
    sweep = yaml.safe_load((ROOT / "configs/sweep-alpha-lambda.yaml").read_text())
    sweep["seeds"] = [1]
    sweep["grid"] = {"reward.alpha": [0, 20], "evaluate.split": ["validation"]}
    (tmp_path / "configs/sweep-alpha-lambda.yaml").write_text(yaml.safe_dump(sweep))
    for name in ("quickstart", "seed1", "seed2"):
        shutil.copytree(tiny_run, tmp_path / "runs" / name)
    config = tmp_path / "runs/quickstart/config.yaml"
    config.write_text(re.sub(r"(?m)^(  dir:) .*$", r"\1 runs/quickstart", config.read_text()))
    (tmp_path / "mappings").symlink_to(tiny_run / "hospital/mappings")
    for name in ("scripts", "build", "bench", "slurm", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "prompts.jsonl").write_text('{"text": "Sepsis"}\n')
    (tmp_path / "families.jsonl").write_text('{"trunk": [5, 6], "branches": [[7], [8, 9]]}\n')
    (tmp_path / "texts.jsonl").write_text('{"text": "Sepsis, 5 mg"}\n')
    return tmp_path


def run_line(line, shell, environment):
    """Runs one line in the given bash. A server gets a Ctrl-C once it tells its address."""
    if "--watch" in line:
        server = subprocess.Popen(["bash", "-c", f"exec {line}"], stdout=subprocess.PIPE, text=True, **environment)
        assert "http://127.0.0.1" in server.stdout.readline()
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 0
        return
    done = subprocess.run(["bash", "-c", f"{shell}\n{line}"], capture_output=True, text=True, timeout=600,
                          check=False, **environment)
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if any(needs is None for needs, _ in blocks(d))])
def test_commands_of_a_document_run(document, world):
    environment = {"cwd": world, "env": {
        **os.environ, "PATH": f"{FLAME.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}}
    for needs, text in blocks(document):
        if needs is not None:
            continue
        assignments = []  # variables that later lines of the block use
        for line in commands(text):
            if re.match(r"\w+=\S", line) and " flame " not in line:
                assignments.append(line)
            else:
                run_line(line, "\n".join(assignments), environment)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_marks_are_known_and_precede_a_block(document):
    text = (ROOT / document).read_text()
    marks = re.findall(r"<!-- needs: ([^>]*) -->", text)
    assert set(marks) <= NEEDS
    assert len(marks) == len([needs for needs, _ in blocks(document) if needs])
    assert len(re.findall(r"(?m)^```sh$", text)) == len(blocks(document))


def test_commands_are_in_blocks_that_say_so():
    """A block without a language holds output, not commands."""
    for document in DOCUMENTS:
        for language, text in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", (ROOT / document).read_text()):
            if not language:
                assert not re.search(r"(?m)^(flame|mpirun|sbatch|scripts/)\b", text), document


def test_configs_that_the_documents_name_exist():
    for document in DOCUMENTS:
        for name in re.findall(r"configs/[\w-]+\.yaml", (ROOT / document).read_text()):
            assert pathlib.Path(ROOT, name).exists(), (document, name)
