"""Every writer and every fact preset through its contract."""

from __future__ import annotations

import pytest

from unlearn_audit.api import FactPreset, Writer
from unlearn_audit.api.plugins import PRESETS, WRITERS, named, names
from unlearn_audit.testing import check_preset, check_writer


@pytest.mark.parametrize("name", names(WRITERS))
def test_a_writer_keeps_its_contract(name):
    kind = named(WRITERS, Writer, name, "writers")
    assert kind.name == name
    check_writer(kind)


@pytest.mark.parametrize("name", names(PRESETS))
def test_a_preset_keeps_its_contract(name):
    kind = named(PRESETS, FactPreset, name, "presets")
    assert kind.name == name
    check_preset(kind)
