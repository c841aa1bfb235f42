import re

import pytest
from conftest import run

COMMANDS = """pipeline synth prepare sft tasks grpo evaluate sweep export launch plan doctor replay inspect
    tokenize generate score""".split()


def test_help_lists_every_command():
    listed = re.findall(r"^  (\w+) ", run("--help").stdout, flags=re.M)
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_begins_with_an_example(command):
    help_text = run(command, "--help").stdout
    assert re.match(rf"(echo .*\| ?)?flame {command} ", help_text.splitlines()[0]), help_text[:200]
