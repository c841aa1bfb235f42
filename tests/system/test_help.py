"""Help, version, completion and the reference of the config: what needs no run."""

import os
import pty
import re
import subprocess

import pytest
from conftest import FLAME, ROOT, run

COMMANDS = """pipeline synth prepare encode sft tasks grpo evaluate sweep export launch plan doctor replay report
    inspect tokenize generate score config completion""".split()


def test_help_lists_every_command():
    listed = re.findall(r"^  (\w+) ", run("--help").stdout, flags=re.M)
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_begins_with_an_example(command):
    help_text = run(command, "--help").stdout
    assert re.match(rf"(echo .*\| ?|source <\()?flame {command} ", help_text.splitlines()[0]), help_text[:200]
    assert "must not be used to treat patients" in help_text


def help_on_a_terminal(command, columns):
    controller, terminal = pty.openpty()
    subprocess.run(["stty", "cols", str(columns)], stdin=terminal, check=True)
    with subprocess.Popen([FLAME, command, "--help"], stdout=terminal) as process:
        os.close(terminal)
        text = b""
        while True:
            try:
                block = os.read(controller, 65536)
            except OSError:  # the program has closed its end
                break
            if not block:
                break
            text += block
        assert process.wait(30) == 0
    os.close(controller)
    return text.decode().replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [60, 90])
def test_help_fits_the_terminal(columns):
    lines = help_on_a_terminal("grpo", columns)
    # Examples are lines to copy, whole.
    wide = [line for line in lines if len(line) > columns and not line.startswith(("flame ", "mpirun "))]
    assert wide == []
    assert any(len(line) > columns - 15 for line in lines)


def test_unknown_option_is_answered_with_the_nearest():
    result = run("launch", "grpo", "--nodse", "2", check=False)
    assert result.returncode == 2
    assert "--nodse is no option of flame launch; nearest is --nodes" in result.stderr


def test_version_names_the_libraries():
    text = run("--version").stdout
    for name in ("flame 0.1.0", "build ", "libtorch ", "Open MPI ", "NCCL "):
        assert re.search(rf"^{name}", text, flags=re.M), text
    torch = re.search(r"^torch==(\S+)", (ROOT / "requirements.txt").read_text(), flags=re.M)[1]
    assert f"libtorch   {torch}" in text


def test_help_needs_no_heavy_library():
    linked = subprocess.run(["ldd", FLAME], capture_output=True, text=True, check=True).stdout
    assert "libtorch" not in linked and "libmpi" not in linked


def test_reference_of_the_config_is_the_document():
    assert run("config", "--reference").stdout == (ROOT / "docs" / "config.md").read_text(), (
        "docs/config.md is old: flame config --reference > docs/config.md")


def test_config_prints_what_a_command_would_run(tmp_path):
    printed = run("config", "--config", ROOT / "configs" / "quickstart.yaml", "grpo.steps=7").stdout
    assert re.search(r"^  steps: 7$", printed, flags=re.M)
    (tmp_path / "again.yaml").write_text(printed)
    assert run("config", "--config", tmp_path / "again.yaml").stdout == printed


def complete(*words):
    """What bash would offer for the last of these words."""
    script = (f"source <('{FLAME}' completion bash)\n"
              f"COMP_WORDS=({' '.join(repr(word) for word in words)})\n"
              f"COMP_CWORD={len(words) - 1}\n"
              "_flame 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\"")
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_commands_options_values_and_keys():
    assert complete("flame", "pi") == ["pipeline"]
    assert complete("flame", "launch", "--gpu") == ["--gpus-per-node", "--gpu-memory"]
    assert complete("flame", "sft", "cl") [0] == "classifier"
    assert complete("flame", "plan", "--stage", "") == ["classifier", "list", "grpo"]
    assert complete("flame", "grpo", "reward.a") == ["reward.alpha="]
    assert "--adapter" in complete("flame", "score", "--")


def test_completion_scripts_are_sound_shell(tmp_path):
    for shell in ("bash", "zsh"):
        script = tmp_path / shell
        script.write_text(run("completion", shell).stdout)
        if shell == "bash":
            subprocess.run(["shellcheck", "-s", "bash", script], check=True)
        subprocess.run(["zsh" if shell == "zsh" else "bash", "-n", script], check=True)


def zsh_offers(folder, *words):
    """What the zsh function adds for the last of these words; zsh's own builtins are stood in for."""
    script = folder / "_flame"
    script.write_text(run("completion", "zsh").stdout)
    program = ("compdef() { :; }; _files() { print FILES; }\n"
               "compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -rl -- \"$@\"; }\n"
               f"source {script}\nwords=({' '.join(repr(word) for word in words)})\n"
               f"CURRENT={len(words)}\n_flame\n")
    return subprocess.run(["zsh", "-f", "-c", program], capture_output=True, text=True,
                          check=True).stdout.split()


def test_zsh_completes_commands_options_values_and_keys(tmp_path):
    assert "pipeline" in zsh_offers(tmp_path, "flame", "")
    assert zsh_offers(tmp_path, "flame", "plan", "--stage", "") == ["classifier", "list", "grpo"]
    offered = zsh_offers(tmp_path, "flame", "grpo", "")
    assert "reward.alpha=" in offered and "--config" in offered and "FILES" in offered
    assert zsh_offers(tmp_path, "flame", "export", "--out", "") == ["FILES"]
