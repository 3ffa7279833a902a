"""The other pages, of several audits and of one that runs, as Chromium lays them out; run by `pytest -m browser`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_watch import begun, half_way
from tests.golden import several_sample
from tests.report.test_report_browser import _CUT, _OPEN, browser, violations
from tests.report.test_report_browser import asked as asked  # the fixture
from unlearn_audit.cli.telling.board_page import page
from unlearn_audit.cli.telling.watching import Watched
from unlearn_audit.evidence.directory import run_directory
from unlearn_audit.report.several.documents import FORMATS

pytestmark = pytest.mark.browser
LONG = ("npo", "gradient difference", "x" * 300, "retrained-1")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("pages")
    run = home / "run"
    with run_directory(run):
        half_way(run, begun(run))
        made = {
            "several": FORMATS["html"](several_sample.record()),
            "long names": FORMATS["html"](several_sample.record(LONG)),
            "watched": page(Watched(run).look(), 3600),
        }
    for name, text in made.items():
        (home / f"{name}.html").write_text(str(text), encoding="utf-8")
    return {name: home / f"{name}.html" for name in made}


@pytest.mark.parametrize("name", ["several", "long names", "watched"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_runs_over_the_side_and_no_table_is_cut(asked: browser.Page, pages, name, width) -> None:
    asked.open(pages[name], width=width)
    asked.evaluate(_OPEN)
    assert asked.size()[0] == width
    assert asked.evaluate(_CUT) == []


@pytest.mark.parametrize("name", ["several", "watched"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_axe_finds_nothing(asked: browser.Page, pages, name, width, dark) -> None:
    asked.open(pages[name], width=width, dark=dark)
    asked.evaluate(_OPEN)
    reloads = ["meta-refresh"] if name == "watched" else []  # what that page is for
    assert [line.partition(":")[0] for line in violations(asked)] == reloads
