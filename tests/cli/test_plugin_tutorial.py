"""The tutorial shows the very code that `init --plugin` writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from unlearn_audit import testing
from unlearn_audit.api import plugins
from unlearn_audit.cli.commands.init_plugin import NAME, plugin_files

TUTORIAL = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCKS = re.findall(r"```(python|toml)\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_a_block_of_code_is_a_part_of_the_written_package(language, code):
    written = [
        text for path, text in plugin_files(NAME).items() if path.endswith({"python": "py"}.get(language, language))
    ]
    assert any(code.strip("\n") in text for text in written), code


def test_the_tutorial_shows_all_that_the_attack_and_the_probe_do():
    shown = "".join(code for _, code in BLOCKS)
    files = plugin_files(NAME)
    for path in ("example_plugin/attack.py", "example_plugin/probe.py"):
        for line in re.findall(r"^(?: *def|class) .*$", files[path], re.MULTILINE):
            assert line in shown


def test_every_group_and_every_check_is_named():
    text = TUTORIAL.read_text(encoding="utf-8")
    groups = (plugins.ATTACKS, plugins.PROBES, plugins.COMPARISONS, plugins.WRITERS, plugins.PRESETS)
    assert all(f"`{group}`" in text for group in groups)
    assert all(f"`{name}`" in text for name in testing.__all__ if name.startswith("check_"))
