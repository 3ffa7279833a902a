"""Reports as they are meant to be read, byte for byte; regenerate them with `python -m tests.golden.regenerate`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import matplotlib
import pytest

from tests.golden import sample
from tests.golden.regenerate import EXPECTED, expected_files, screen
from unlearn_audit.api.terms import Status
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.report import render, write
from unlearn_audit.report.figures import dose_curves, forest
from unlearn_audit.report.formats import json as as_json
from unlearn_audit.report.formats.json import ResultFileError, load_result
from unlearn_audit.verdict.result import Interval, Outcome, Result

ROOT = Path(__file__).parents[2]
VARIANTS = sorted(sample.ALL)
SVG = "{http://www.w3.org/2000/svg}"
ALWAYS = ("At a glance", "Findings", "Doses", "What was tested", "Coverage", "Provenance")
TITLES = (
    "At a glance",
    "Reasons",
    "Pre-registration",
    "Findings",
    "People and relations",
    "Worst facts",
    "Cost to recover",
    "Utility",
    "Quantizers",
    "Layers",
    "Traces",
    "Power",
    "Judge",
    "Rules and waivers",
    "Doses",
    "Advisory findings",
    "What was tested",
    "Coverage",
    "What the audit cost",
    "How to read the numbers",
    "Provenance",
)


def test_every_report_is_as_expected() -> None:
    written = expected_files()
    assert sorted(written) == sorted(path.name for path in EXPECTED.iterdir())
    for name, text in written.items():
        assert text == (EXPECTED / name).read_text(encoding="utf-8"), f"{name}: regenerate it and read the diff"


def test_the_published_schema_is_up_to_date() -> None:
    assert as_json.SCHEMA_PATH.read_text(encoding="utf-8") == as_json.schema_text()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_schema_accepts_every_result_and_nothing_beside_it(variant: str) -> None:
    validator = jsonschema.Draft202012Validator(as_json.schema())
    validator.check_schema(as_json.schema())
    data = json.loads(render(sample.ALL[variant](), "json"))
    validator.validate(data)
    for wrong in (
        {**data, "surprise": 1},
        {**data, "outcome": "MAYBE"},
        {k: v for k, v in data.items() if k != "policy"},
    ):
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_result_comes_back_from_its_file_as_it_was(variant: str, tmp_path: Path) -> None:
    result = sample.ALL[variant]()
    (path,) = write(result, tmp_path, ["json"])
    assert load_result(path) == result
    text = path.read_text(encoding="utf-8")
    assert text.isascii() and text.endswith("}\n")
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=2) + "\n"


def test_a_number_that_is_not_finite_is_refused_and_not_written() -> None:
    result = sample.failed()
    utility = result.verdict.utility.model_copy(
        update={"excess": Interval(estimate=float("nan"), lower=0.0, upper=float("inf"))}
    )
    broken = result.model_copy(update={"verdict": result.verdict.model_copy(update={"utility": utility})})
    with pytest.raises(AuditError, match="Expected finite numbers"):
        render(broken, "json")


def _edited(change: Callable[[dict[str, object]], object]) -> str:
    data = json.loads(render(sample.failed(), "json"))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "expected JSON"),
        ("[" * 100_000, "at most 64 levels of nesting"),
        ("[]", "expected a JSON object, got list"),
        (_edited(lambda data: data.update(seconds=float("nan"))), "NaN is not a JSON number"),
        (_edited(lambda data: data.update(schema_version=3)), "schema_version is 3"),
        (_edited(lambda data: data.update(surprise=1)), "surprise: Extra inputs"),
        (_edited(lambda data: data.pop("policy")), "policy: Field required"),
        (_edited(lambda data: data.update(exit_code=0)), r"contradicts itself.*exit code 0 \(expected 1\)"),
        (_edited(lambda data: data.update(outcome="PASS", exit_code=0)), "contradicts itself"),
    ],
)
def test_a_malformed_file_is_named_with_its_fault_and_a_remedy(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ResultFileError, match=says) as caught:
        load_result(path)
    assert str(path) in str(caught.value)
    assert "unlearn-audit gate" in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match=r"nothing\.json: cannot be read .* Expected the result\.json"):
        load_result(tmp_path / "nothing.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ResultFileError, match=r"binary\.json: expected UTF-8 text"):
        load_result(tmp_path / "binary.json")


def test_reports_are_written_whole_in_the_order_asked_for(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "down"
    paths = write(sample.passed(), directory, ["html", "json", "md"])
    assert [path.name for path in paths] == ["report.html", "result.json", "report.md"]
    assert sorted(path.name for path in directory.iterdir()) == sorted(path.name for path in paths)
    assert directory.stat().st_mode & 0o077 == 0


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no writer named 'htm'; did you mean 'html'\? \(known: .*json.*md"):
        write(sample.passed(), tmp_path, ["json", "htm"])
    assert list(tmp_path.iterdir()) == []


RENDER = """
import sys
for name in ("torch", "transformers", "peft", "bitsandbytes", "datasets"):
    sys.modules[name] = None
import io
from rich.console import Console
from tests.golden import sample
from unlearn_audit.report import render
from unlearn_audit.report.formats.console import summary
result = sample.failed()
light = render(result, "json") + render(result, "md")
summary(result, Console(file=io.StringIO()))
assert "matplotlib" not in sys.modules
page = render(result, "html")
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
sys.stdout.buffer.write((light + page).encode())
"""


def test_processes_write_the_same_bytes_without_a_model_library_and_figures_alone_need_matplotlib() -> None:
    def run(seed: str, *options: str, **settings: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed, **settings}
        command = [sys.executable, *options, "-c", RENDER]
        return subprocess.run(command, capture_output=True, check=True, env=environment, cwd=ROOT).stdout

    here = "".join(render(sample.failed(), name) for name in ("json", "md", "html")).encode()
    assert run("1", "-W", "error") == run("2", SOURCE_DATE_EPOCH="0", COLUMNS="20") == here


def test_the_users_figure_settings_neither_matter_nor_change() -> None:
    plain = render(sample.failed(), "html")
    with matplotlib.rc_context({"font.size": 33.0, "lines.linewidth": 9.0, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert render(sample.failed(), "html") == plain
        assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("variant", VARIANTS)
def test_markdown_and_html_have_the_same_sections_in_the_same_order(variant: str) -> None:
    result = sample.ALL[variant]()
    markdown, page = render(result, "md"), render(result, "html")
    titles = tuple(re.findall(r"^## (.*)$", markdown, re.M))
    assert titles == tuple(re.findall(r"<h2>(.*)</h2>", page))
    assert titles == tuple(title for title in TITLES if title in titles)
    assert {*ALWAYS} <= {*titles}
    for finding in result.verdict.findings:
        assert finding.id in markdown and finding.id in page.replace("<wbr>", "")
    assert f"**{result.outcome.value}.** " in markdown and result.verdict.sentence[:40] in markdown
    assert f'<p class="outcome">{result.outcome.value}</p>' in page


def test_a_sentence_that_names_the_outcome_does_not_say_it_twice() -> None:
    result = sample.failed()
    verdict = result.verdict.model_copy(update={"sentence": "FAIL: nf4 brings it back."})
    markdown = render(result.model_copy(update={"verdict": verdict}), "md")
    assert "\n**Exactly:** nf4 brings it back.\n" in markdown and "FAIL: nf4" not in markdown


def test_html_asks_for_nothing_from_elsewhere_and_runs_nothing() -> None:
    page = render(sample.failed(), "html")
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\((?!#)|\son\w+=|javascript:", page, re.I)
    assert "default-src 'none'" in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'(?:href="|url\()#([^")]+)', page))
    assert targets <= set(ids)


def _huge() -> Result:
    result = sample.failed()
    many = [
        finding.model_copy(update={"id": f"{finding.id}-{copy}", "cells": finding.cells * 12})
        for copy in range(15)
        for finding in result.verdict.findings
    ]
    verdict = result.verdict.model_copy(
        update={"findings": tuple(many), "reasons": tuple(f"reason {n} " + "x" * 900 for n in range(500))}
    )
    return result.model_copy(update={"verdict": verdict, "models": result.models * 60, "jobs": result.jobs * 5})


@pytest.mark.slow
def test_a_report_of_any_size_stays_below_its_limit_and_says_what_it_leaves_out() -> None:
    huge = _huge()
    markdown = render(huge, "md")
    assert len(markdown) < 65_000
    assert re.search(r"\d+ more reasons in `result.json`", markdown)
    assert re.search(r"Shown are the \d+ of [\d,]+ rows", markdown)
    assert len(render(huge, "html").encode()) < 1_000_000
    assert max(map(len, screen(huge).splitlines())) <= 80


def test_the_rows_kept_of_a_dose_table_are_the_worst_in_their_own_order() -> None:
    result = sample.failed()
    quantized = result.verdict.findings[4]
    mild, bad = quantized.cells[0], quantized.cells[4]
    assert bad.excess.upper > mild.excess.upper
    cells = (*[mild] * 100, bad.model_copy(update={"dose": "first-bad"}), *[mild] * 100, bad)
    verdict = result.verdict.model_copy(update={"findings": (quantized.model_copy(update={"cells": cells}),)})
    markdown = render(result.model_copy(update={"verdict": verdict}), "md")
    doses = markdown.split("## Doses")[1].split("## What was tested")[0]
    rows = [line.split("|")[1].strip() for line in doses.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 40 and rows.count("first-bad") == rows.count("nf4") == 1
    assert rows[-1] == "nf4" and "Shown are the 40 of 202 rows" in doses


def _marks(svg: str) -> list[float]:
    """Places across of the marks in a finding's colour, from the top down: the bound's tick, then the estimate's."""
    colours = tuple(f"stroke: var(--{status.value})" for status in Status)
    uses = ElementTree.fromstring(svg).iter(f"{SVG}use")
    return [float(use.get("x", "nan")) for use in uses if any(each in use.get("style", "") for each in colours)]


def test_the_forest_plot_puts_every_estimate_and_bound_where_it_belongs() -> None:
    findings = sample.inconclusive().verdict.findings
    plots = forest.draw(findings)
    assert plots is not None
    wanted = [each for finding in findings if finding.worst for each in (finding.bound, finding.worst.excess.estimate)]
    for plot in plots:
        places = _marks(plot)
        assert len(places) == len(wanted) == 2 * len(findings)
        low, high = wanted.index(min(wanted)), wanted.index(max(wanted))
        scale = (places[high] - places[low]) / (wanted[high] - wanted[low])
        assert scale > 0
        assert places == pytest.approx([places[low] + scale * (each - wanted[low]) for each in wanted], abs=0.01)


def test_every_status_has_a_shape_and_a_colour_of_its_own() -> None:
    assert len(set(forest.SHAPES.values())) == len(Status) == len(forest.SHAPES)
    base = sample.failed().verdict.findings[0]
    plots = forest.draw([base.model_copy(update={"status": status}) for status in Status])
    assert plots is not None
    for status in Status:
        assert f"var(--{status.value})" in plots[0]


def test_nothing_to_draw_draws_nothing() -> None:
    lost = [finding for finding in sample.error().verdict.findings if finding.worst is None]
    assert lost and forest.draw(lost) is None and dose_curves.draw(lost) is None
    result = sample.error()
    verdict = result.verdict.model_copy(update={"findings": tuple(lost)})
    assert "<figure" not in render(result.model_copy(update={"verdict": verdict}), "html")


def test_doses_lie_on_an_axis_only_where_numbers_tell_them_apart() -> None:
    steps = [sample.cell(f"{n} steps", float(n), "question", n / 100, 1.0, (0.0, 0.0)) for n in (50, 5, 10)]
    again = sample.cell("5 steps, high rate", 5.0, "paraphrase-1", 0.4, 1.0, (0.0, 0.0))
    assert dose_curves.has_dose_axis(steps)
    points = dose_curves.numeric_points([*steps, again])
    assert [(point.x, point.cell.unlearned) for point in points] == [(5.0, 0.4), (10.0, 0.1), (50.0, 0.5)]
    bits = [sample.cell(name, 4.0, "question", 0.1, 1.0, (0.0, 0.0)) for name in ("nf4", "fp4", "gptq")]
    assert not dose_curves.has_dose_axis(bits)
    assert not dose_curves.has_dose_axis([*steps, sample.cell("x", None, "question", 0.1, 1.0, (0.0, 0.0))])
    assert [point.label for point in dose_curves.category_points(bits)] == ["nf4", "fp4", "gptq"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_terminal_says_the_outcome_first_and_last_in_80_columns(variant: str) -> None:
    result = sample.ALL[variant]()
    lines = screen(result).splitlines()
    assert lines[0].startswith(f"{result.outcome.value}  ")
    assert lines[-1].startswith(f"{result.outcome.value} (exit code {result.exit_code}). ")
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)


def test_colour_adds_no_letter_and_a_wide_terminal_no_column() -> None:
    for build in sample.ALL.values():
        plain = screen(build())
        assert "\x1b" not in plain
        colored = screen(build(), color=True)
        assert "\x1b[" in colored
        assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain == screen(build(), width=200)


def test_a_narrow_terminal_is_never_overrun() -> None:
    for width in (20, 40, 79):
        assert max(map(len, screen(sample.failed(), width=width).splitlines())) <= width


def test_outcomes_are_complete() -> None:
    assert {build().outcome for build in sample.ALL.values()} == set(Outcome)
