"""Whose code made the evidence: a change in any module that a plug-in imports is another key, and in no other."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from unlearn_audit.api import Attack
from unlearn_audit.api.plugins import ATTACKS, available
from unlearn_audit.evidence.records import PluginRecord
from unlearn_audit.plan import provenance as module
from unlearn_audit.plan.provenance import engine_source, provenance

PACKAGE = {
    "strange/__init__.py": "",
    "strange/one.py": "import numpy\nfrom .inner import helper\n\nclass One:\n    pass\n",
    "strange/two.py": "class Two:\n    pass\n",
    "strange/inner/__init__.py": "",
    "strange/inner/helper.py": "import strange_beside\nVALUE = 1\n",
    "strange/inner/words.txt": "a",
    "strange_beside.py": "def late():\n    from strange_late import X\n    return X\n",
    "strange_late.py": "X = 1\n",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in PACKAGE.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def found() -> dict[str, PluginRecord]:
    for name in [name for name in sys.modules if name.startswith("strange")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    module._closure.cache_clear()
    return {
        name: provenance("probe", name, getattr(importlib.import_module(f"strange.{name}"), name.title()))
        for name in ("one", "two")
    }


@pytest.mark.parametrize("changed", [name for name in PACKAGE if name not in ("strange/two.py", "strange/__init__.py")])
def test_what_a_plug_in_imports_is_part_of_it_and_of_no_other(site, changed):
    before = found()
    (site / changed).write_text(PACKAGE[changed] + "\n# another line\n")
    after = found()
    assert after["one"].source != before["one"].source
    assert after["two"] == before["two"]


def test_other_distributions_are_kept_by_their_version(site):
    assert set(found()["one"].libraries) == {"numpy"}
    assert found()["one"].distribution == ""


def test_our_plug_ins_name_their_libraries_and_differ():
    ours = {
        name: provenance("attack", name, entry.plugin)
        for name, entry in available(ATTACKS, Attack).items()
        if entry.plugin is not None and entry.distribution == "unlearn-audit"
    }
    assert "bitsandbytes" in ours["quantization"].libraries
    assert "peft" in ours["relearning"].libraries
    assert len({one.source for one in ours.values()}) == len(ours)


def test_the_engine_is_one_digest():
    assert len(engine_source()) == 64


def test_the_owners_of_modules_are_those_that_the_standard_library_finds():
    expected = {top: set(owners) for top, owners in packages_distributions().items() if top.isidentifier()}
    assert {top: set(owners) for top, owners in module._owners().items() if top.isidentifier()} == expected
