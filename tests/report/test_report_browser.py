"""The report as a reader sees it: laid out by Chromium, on a desk, on a telephone, on paper, light and dark.

They need a Chromium and the extra `browser`, and are run by `make test-all` or `pytest -m browser`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.golden import sample
from tests.golden.rich_sample import annexed, rich, sealed
from tests.report import browser
from tests.report.test_report_hostile import HOSTILE, poisoned
from unlearn_audit.report import render

pytestmark = pytest.mark.browser

RESULTS = {
    "rich": lambda: annexed(rich()),
    "unkept": lambda: sealed(sample.waived(), "attack noise: was sealed, and is not in this run"),
    "pass": sample.passed,
    "error": sample.error,
    "long": lambda: poisoned(HOSTILE["long"]),
}
_OPEN = "document.querySelectorAll('details').forEach(each => each.open = true)"
_CUT = """[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth + 1)
    .map(each => each.getAttribute('aria-label'))"""
_LINKS = """[...document.querySelectorAll('a[href], area[href], use')]
    .map(each => each.getAttribute('href') || each.getAttribute('xlink:href'))"""
_TARGETS = "[...document.querySelectorAll('[id]')].map(each => each.id)"
_AXE = "axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(found.violations))"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.page(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    """A page that can be asked: with scripts on, of which a report has none."""
    with browser.page(tmp_path_factory.mktemp("asked"), scripts=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("reports")
    for name, result in RESULTS.items():
        (directory / f"{name}.html").write_text(str(render(result(), "html")), encoding="utf-8")
    return {name: directory / f"{name}.html" for name in RESULTS}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_runs_over_the_side_and_no_table_is_cut(asked, reports, name, width) -> None:
    asked.open(reports[name], width=width)
    folded = asked.size()[1]
    asked.evaluate(_OPEN)
    laid_out, height = asked.size()
    assert laid_out == width
    assert 1_000 < folded < height
    if name != "long" or width == 390:  # a word of 10,000 letters may need a scroll bar on a desk
        assert asked.evaluate(_CUT) == []


def test_a_page_that_runs_over_the_side_and_a_table_that_is_cut_are_seen(asked, tmp_path) -> None:
    wide = tmp_path / "wide.html"
    head = '<meta name="viewport" content="width=device-width">'
    wide.write_text(f'{head}<div style="width:900px">x</div>')
    asked.open(wide, width=390)
    assert asked.size()[0] > 390
    inside = '<div class="scroll" aria-label="t" style="overflow-x:auto"><div style="width:900px">x</div></div>'
    wide.write_text(head + inside)
    asked.open(wide, width=390)
    assert asked.evaluate(_CUT) == ["t"]


def test_scripts_are_off(page, tmp_path) -> None:
    path = tmp_path / "script.html"
    path.write_text(
        '<meta name="viewport" content="width=device-width"><p>x</p>'
        '<script>document.body.style.width = "3000px"</script>'
    )
    page.open(path, width=390)
    assert page.size()[0] == 390


def violations(asked: browser.Page) -> list[str]:
    """What axe-core finds on the page, a line each."""
    asked.evaluate((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8") + ";0")
    found: list[dict[str, Any]] = json.loads(asked.evaluate(_AXE))
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("name", ["rich", "unkept", "error"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_axe_finds_nothing(asked, reports, name, width, dark) -> None:
    asked.open(reports[name], width=width, dark=dark)
    asked.evaluate(_OPEN)
    assert violations(asked) == []


def test_axe_sees_what_nobody_can_read(asked, tmp_path) -> None:
    path = tmp_path / "pale.html"
    path.write_text(
        '<html lang="en"><title>x</title><main><h1>x</h1><p style="color:#ccc;background:#fff">pale</p></main>'
    )
    asked.open(path, width=1280)
    assert [line.partition(":")[0] for line in violations(asked)] == ["color-contrast"]


@pytest.mark.parametrize("name", RESULTS)
def test_every_link_leads_to_a_place_on_the_page(asked, reports, name) -> None:
    asked.open(reports[name], width=1280)
    links, targets = asked.evaluate(_LINKS), asked.evaluate(_TARGETS)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("#") or link[1:] not in targets] == []
    assert len(targets) == len(set(targets))


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_a_screenshot_shows_a_page_of_its_theme(page, reports, width, dark) -> None:
    page.open(reports["rich"], width=width, dark=dark)
    picture = Image.open(io.BytesIO(page.screenshot(0, 1_200))).convert("L")
    assert picture.size == (width, 1_200)
    corner = picture.getpixel((2, 2))
    assert corner < 60 if dark else corner > 240
    dim, bright = picture.getextrema()
    assert bright - dim > 150  # there is something to read


def test_a_pdf_is_the_page_on_paper_with_what_is_folded(tmp_path) -> None:
    printed = render(sample.failed(), "pdf")
    assert printed.startswith(b"%PDF-") and len(printed) > 50_000
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= 4
    assert render(sample.failed(), "pdf") == printed


def test_it_prints(page, reports) -> None:
    page.open(reports["rich"], width=1280)
    printed = page.printed()
    assert printed.startswith(b"%PDF-")
    pages = printed.count(b"/Type /Page\n") or printed.count(b"/Type /Page ")
    assert 4 <= pages <= 25
