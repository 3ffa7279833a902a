"""A PDF where no browser is, or one that prints nothing: an error that says what to do."""

from __future__ import annotations

import pytest

from tests.conftest import stand_in_browser
from tests.golden import sample
from unlearn_audit.errors import AuditError
from unlearn_audit.report import printing, render


def test_without_a_browser_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AuditError, match=r"expected a Chromium.*print the page from a browser"):
        render(sample.passed(), "pdf")


@pytest.mark.parametrize(
    ("script", "says"), [("exit 1", "printed nothing"), ("sleep 9", r"did not print the page \(TimeoutExpired\)")]
)
def test_a_browser_that_prints_nothing_is_an_error(monkeypatch, tmp_path, script, says):
    stand_in_browser(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(printing, "SECONDS", 0.5)
    with pytest.raises(AuditError, match=says):
        render(sample.passed(), "pdf")


def test_what_was_printed_is_handed_on(monkeypatch, tmp_path):
    stand_in_browser(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert render(sample.passed(), "pdf") == b"%PDF-1.4 x"
