"""The page of architectures says what the results say, and the results hold no error."""

from __future__ import annotations

import json

from benchmarks.architectures.page import PAGE, RESULTS, page
from unlearn_audit.testing.architectures import CONFIGS

KEPT = json.loads(RESULTS.read_text(encoding="utf-8"))


def test_the_page_is_current_and_has_every_architecture() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(KEPT)
    assert list(KEPT["architectures"]) == list(CONFIGS)
    assert len(CONFIGS) >= 31


def test_no_architecture_ends_in_an_error() -> None:
    assert {
        name for name, one in KEPT["architectures"].items() if one["outcome"] == "ERROR" or not one["doctor"]
    } == set()


def test_a_reason_stands_on_the_page_and_an_error_is_not_hidden() -> None:
    skipped = {"ran": 1, "skipped": {"no blocks": ["depth 1"]}, "errors": {}}
    broken = {"ran": 0, "skipped": {}, "errors": {"it broke": ["nf4"]}}
    one = {"doctor": True, "outcome": "ERROR", "attacks": {"steering": skipped, "quantization": broken}}
    text = page({"transformers": "5", "architectures": {"mamba": one}})
    assert "| mamba | ok | ERROR | **error** | part |" in text
    assert "- **mamba**, steering (depth 1): no blocks" in text
    assert "- **mamba**, quantization (nf4): it broke" in text
