"""Plug-ins by name: ours, a third party's, a broken one, and two that claim one name."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import Distribution, EntryPoint

import pytest

from unlearn_audit.api import Attack, Probe, plugins
from unlearn_audit.errors import SpecError


class FakeDistribution(Distribution):
    def __init__(self, name):
        self._name = name

    def read_text(self, filename):
        return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: 1\n" if filename == "METADATA" else None

    def locate_file(self, path):
        return path


def entry(name, value, distribution, group=plugins.ATTACKS):
    return EntryPoint(name=name, value=value, group=group)._for(FakeDistribution(distribution))


@pytest.fixture
def installed(monkeypatch):
    points = list(plugins.entry_points(group=plugins.ATTACKS))
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    return points


def test_a_broken_plugin_is_listed_with_its_cause_and_refused_only_when_asked(installed):
    installed.append(entry("shaky", "no_such_module:Attack", "third-party"))
    found = plugins.available(plugins.ATTACKS, Attack)
    assert found["shaky"].plugin is None
    assert "no_such_module" in found["shaky"].broken
    assert "as-is" in plugins.build(plugins.ATTACKS, Attack, {"as-is": {}}, "attacks")
    with pytest.raises(SpecError, match="'shaky' of third-party is broken"):
        plugins.build(plugins.ATTACKS, Attack, {"shaky": {}}, "attacks")


def test_two_distributions_with_one_name_are_both_named(installed):
    installed.append(entry("as-is", "somewhere:Else", "third-party"))
    with pytest.raises(SpecError, match="unlearn-audit and third-party"):
        plugins.available(plugins.ATTACKS, Attack)


def test_a_third_party_plugin_runs_only_when_named(installed):
    installed.append(entry("idle", "unlearn_audit.attacks.as_is:AsIs", "third-party"))
    assert "idle" not in plugins.build(plugins.ATTACKS, Attack, None, "attacks")
    assert "idle" in plugins.build(plugins.ATTACKS, Attack, {"idle": {}}, "attacks")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"quantisation": {}}, "no attack named 'quantisation'; did you mean 'quantization'"),
        (
            {"quantization": {"quantizer": []}},
            r"attacks\.quantization: unknown key 'quantizer'; did you mean 'quantizers'",
        ),
        ({"relearning": {"folds": "many"}}, r"attacks\.relearning\.folds"),
        ({"relearning": {"folds": "many", "stepps": 3}}, "unknown key 'stepps'; did you mean 'steps'"),
    ],
)
def test_unknown_names_and_keys_get_a_hint(wanted, message):
    with pytest.raises(SpecError, match=message):
        plugins.build(plugins.ATTACKS, Attack, wanted, "attacks")


def test_probes_come_by_the_same_door():
    built = plugins.build(plugins.PROBES, Probe, None, "probes")
    assert {"recall", "forced-choice", "extraction-strength", "utility"} <= set(built)
    assert all(isinstance(probe, Probe) for probe in built.values())


@pytest.mark.parametrize(
    "command",
    [["list", "attacks"], ["list", "probes", "--json"], ["list", "writers", "--json"], ["list", "presets"], ["--help"]],
)
def test_listing_loads_no_torch(command):
    program = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'peft', 'bitsandbytes'):\n"
        "            raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Block())\n"
        f"sys.argv = ['unlearn-audit', *{command!r}]\n"
        "from unlearn_audit.cli.app import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "broken" not in done.stdout
