"""The report as a reader sees it: laid out by Chromium with scripts off, on a desk, on a telephone, on paper."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.golden import sample
from tests.golden.rich_sample import rich
from tests.report import browser
from tests.report.test_report_hostile import HOSTILE, poisoned
from unlearn_audit.report import render

PROGRAM = browser.chromium()
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed: nothing to look at the report with"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser.page(PROGRAM or "", tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("reports")
    results = {"rich": rich(), "error": sample.error(), "long": poisoned(HOSTILE["long"])}
    for name, result in results.items():
        (directory / f"{name}.html").write_text(render(result, "html"), encoding="utf-8")
    return {name: directory / f"{name}.html" for name in results}


@pytest.mark.parametrize("name", ["rich", "error", "long"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_runs_over_the_side(page, reports, name, width):
    page.open(reports[name], width=width)
    laid_out, height = page.size()
    assert laid_out == width and height > 1_000


def test_a_page_that_runs_over_the_side_is_seen_to(page, tmp_path):
    wide = tmp_path / "wide.html"
    wide.write_text('<meta name="viewport" content="width=device-width"><div style="width:900px">x</div>')
    page.open(wide, width=390)
    assert page.size()[0] > 390


def test_scripts_are_off(page, tmp_path):
    path = tmp_path / "script.html"
    path.write_text(
        '<meta name="viewport" content="width=device-width"><p>x</p>'
        '<script>document.body.style.width = "3000px"</script>'
    )
    page.open(path, width=390)
    assert page.size()[0] == 390


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_a_screenshot_shows_a_page_of_its_theme(page, reports, width, dark):
    page.open(reports["rich"], width=width, dark=dark)
    picture = Image.open(io.BytesIO(page.screenshot(0, 1_200))).convert("L")
    assert picture.size == (width, 1_200)
    corner = picture.getpixel((2, 2))
    assert corner < 60 if dark else corner > 240
    dim, bright = picture.getextrema()
    assert bright - dim > 150  # there is something to read


def test_it_prints(page, reports):
    page.open(reports["rich"], width=1280)
    printed = page.printed()
    assert printed.startswith(b"%PDF-")
    pages = printed.count(b"/Type /Page\n") or printed.count(b"/Type /Page ")
    assert 4 <= pages <= 25
