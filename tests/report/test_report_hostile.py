"""Text from outside goes through every report as text: it neither acts, nor hides, nor moves anything else."""

from __future__ import annotations

import json
import re
import unicodedata
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from tests.golden import sample
from tests.golden.regenerate import screen
from tests.golden.rich_sample import annexed, sealed
from unlearn_audit.api.kit.printable import clean, clean_part
from unlearn_audit.report import render
from unlearn_audit.report.parts.text import code_span, escape_markdown
from unlearn_audit.verdict.result import Result

HOSTILE = {
    "ansi": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x9b31m",
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "entity": "&lt;b&gt; &#60;script&#62;",
    "pipe": "a | b | c",
    "backticks": "`code` ``two`` ```fence",
    "backslashes": "\\` \\| \\<b> \\",
    "formula": '=HYPERLINK("http://evil.example","click")',
    "dde": "-2+3+cmd|' /C calc'!A0",
    "wide formula": "\uff1dSUM(1)",
    "inner formula": 'a;=1+1; "@SUM(1)|-2',
    "tab formula": "\t=1+1",
    "no xml": "a\ufffe\uffff\x0b\x1fb]]><!-- -->",
    "yaml": "--- !!python/object:x {a: [b, *c]} # no\n...\n---",
    "newline": "one\n\n# Verdict: PASS\n\n- item\r\n| a | b |\n\x85\u2028two",
    "markdown": "**bold** _it_ [link](http://evil.example) ![image](http://evil.example/x.png) ~~gone~~",
    "autolink": "<http://evil.example> https://evil.example www.evil.example mailto:a@evil.example @someone #12",
    "heading": "# PASS",
    "list": "1. one",
    "rule": "---",
    "template": "{{ 7 * 7 }} {% include 'x' %} ${x}",
    "mathematics": r"$\frac{1}{0}$ $$ $",
    "rich markup": "[bold red]PASS[/] [link=http://evil.example]x[/link] :boom:",
    "right to left": "abc\u202egnp.exe\u2066 \u200f",
    "invisible": "a\u200bb\u00adc\ufeffd\U000e0041",
    "wide": "忘却" * 40,
    "zalgo": "e" + "\u0301" * 200,
    "nul": "a\x00b",
    "long": "x" * 10_000,
    "long words": "many words " * 1_000,
    "svg": "</text></svg><script>alert(1)</script>",
    "style": "</style><style>*{display:none}",
    "empty": "",
    "spaces": "   ",
}
FREE = {
    "sentence",
    "reasons",
    "reason",
    "dose",
    "variant",
    "worst_control",
    "id",
    "attack",
    "probe",
    "measure",
    "arm",
    "model",
    "message",
    "what",
    "why",
    "name",
    "reference",
    "digest",
    "dtype",
    "device",
    "architecture",
    "chat_template",
    "set",
    "events",
    "tool_version",
    "profile",
    "started",
    "command",
    "policy_digest",
    "spec_digest",
    "evidence_digest",
    "key",
    "dose_unit",
    "made",
    "keys",
    "deviations",
    "title",
    "source",
    "sources",
    "asks",
    "evidence",
    "sections",
}
HARMLESS = "harmless"


def poisoned(text: str, result: Result | None = None) -> Result:
    """A result in which every text from outside is this one."""

    def walk(value: Any, key: str = "", place: str = "") -> Any:
        if isinstance(value, dict):
            if key in ("controls", "versions", "proof"):
                return {f"{text}{number}": walk(each, text and "name") for number, each in enumerate(value.values())}
            return {name: walk(each, name, key) for name, each in value.items()}
        if isinstance(value, list):
            return [walk(each, key, place) for each in value]
        return text if isinstance(value, str) and (key in FREE or (key == "role" and place == "jobs")) else value

    data = json.loads(render(result or _with_all_texts(), "json"))
    policy = data["policy"]
    return Result.model_validate({**walk(data), "policy": policy})


def _with_all_texts() -> Result:
    """An error under a sealed plan, signed, with a short annex: more rows of long texts would shorten the tables."""
    result = annexed(sealed(sample.error(), "seed: another"))
    assert result.appendix is not None
    (annex, *_) = result.appendix.annexes
    short = result.appendix.model_copy(update={"annexes": (annex.model_copy(update={"rows": annex.rows[:2]}),)})
    return result.model_copy(update={"appendix": short})


def visible(text: str) -> bool:
    allowed = ("\n", "\u2060", "\ufe0f")
    return all(each in allowed or unicodedata.category(each)[0] != "C" for each in text)


def tokens(markdown: str) -> list[str]:
    """What the Markdown is made of, without its words."""
    found: list[str] = []
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown):
        found.append(token.type)
        found += [child.type for child in token.children or [] if child.type not in ("text", "text_special")]
    return found


class Tags(HTMLParser):
    """The elements and attributes of a page, without its words."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":
            self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("/" + tag, ()))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def tags(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    parser.close()
    return parser


def without_drawings(found: list[tuple[str, tuple[str, ...]]]) -> list[str]:
    return [tag for tag, _ in found if tag.strip("/") not in ("path", "use", "g", "defs", "text", "clipPath", "rect")]


@pytest.fixture(scope="module")
def harmless_markdown() -> list[str]:
    return tokens(render(poisoned(HARMLESS), "md"))


@pytest.fixture(scope="module")
def harmless_page() -> list[str]:
    return without_drawings(tags(render(poisoned(HARMLESS), "html")).found)


def test_the_poison_reaches_every_format() -> None:
    for text in (*(render(poisoned("venom"), name) for name in ("json", "md", "html")), screen(poisoned("venom"))):
        assert text.count("venom") > 5
    clean_names = {"checkpoint-npo", "OutOfMemoryError", "bitsandbytes", "LlamaForCausalLM"}
    page = render(poisoned("venom"), "html")
    assert not [name for name in clean_names if name in page]


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_json_is_ascii_and_keeps_the_text(kind: str) -> None:
    text = render(poisoned(HOSTILE[kind]), "json")
    assert text.replace("\n", "").isprintable() and text.isascii()
    assert json.loads(text)["command"] == HOSTILE[kind]


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_markdown_has_the_same_structure_as_with_a_harmless_text(kind: str, harmless_markdown: list[str]) -> None:
    text = render(poisoned(HOSTILE[kind]), "md")
    assert visible(text) and len(text) < 65_000
    found = tokens(text)
    assert not {"html_inline", "html_block", "link_open", "image", "fence", "hr"} & set(found)
    if HOSTILE[kind].strip():  # an empty name is said to be none, and so is no code
        assert found == harmless_markdown


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_html_has_the_same_elements_as_with_a_harmless_text(kind: str, harmless_page: list[str]) -> None:
    page = render(poisoned(HOSTILE[kind]), "html")
    assert visible(page) and len(page.encode()) < 1_000_000
    parsed = tags(page)
    assert without_drawings(parsed.found) == harmless_page
    attributes = {name for _, names in parsed.found for name in names}
    assert not {name for name in attributes if name.startswith("on")}
    assert attributes & {"src", "srcset"} == set()


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_the_terminal_obeys_nothing_and_keeps_its_width(kind: str) -> None:
    result = poisoned(HOSTILE[kind])
    text = screen(result)
    assert visible(text)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) < 70
    assert lines[0].startswith("ERROR") and lines[-1].startswith("ERROR (exit code 4).")
    colored = re.sub(r"\x1b\[[0-9;]*m", "", screen(result, color=True))
    assert colored == text


def test_a_formula_never_begins_a_cell() -> None:
    result = poisoned(HOSTILE["formula"])
    markdown, page = render(result, "md"), render(result, "html")
    assert "'=HYPERLINK" in markdown and "'=HYPERLINK" in screen(result)
    assert not re.search(r"(?m)(^|\| |- |`)=HYPERLINK", markdown)
    words = "".join(f"\0{word}" for word in tags(page).words)
    assert "\0'=HYPERLINK" in words and "\0=HYPERLINK" not in words


def test_links_mentions_and_references_are_broken_apart() -> None:
    text = render(poisoned(HOSTILE["autolink"]), "md")
    prose = re.sub(r"`[^`]*`", "", text)
    assert not re.search(r"://|www\.|mailto:|@\w|#\d", prose)


def test_the_right_to_left_override_is_gone_and_the_letters_stay() -> None:
    assert clean("abc\u202egnp.exe") == "abcgnp.exe"
    assert clean("שלום عليكم 忘却 Ünïcödé") == "שלום عليكم 忘却 Ünïcödé"


def test_cleaning_by_hand() -> None:
    assert clean("\x1b[31mred\x1b[0m\x1b]0;title\x07!") == "red!"
    assert clean("a\n\n b\tc\x00d") == "a b c d"
    assert clean("a \x1b]0;never ended") == "a 0;never ended"
    assert clean("\x00" * 10_000 + "hidden") == "…"
    assert clean("x" * 50, 10) == "x" * 9 + "…"
    assert clean("=1+1") == "'=1+1" and clean(clean("=1+1")) == "'=1+1"
    assert clean_part(" beside ") == " beside " and clean_part("  ") == " " and clean_part("") == ""
    assert code_span("a`b|c") == "`a'b¦c`" and code_span(" ") == "(no name)"
    assert escape_markdown("3.11.2 a_b") == "3.11.2 a\\_b"
    assert escape_markdown("1. one") == "1\\. one"
    assert escape_markdown(" 1. one") == " 1\\. one"


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=80))
def test_any_text_cleans_to_one_visible_line_and_stays_so(text: str) -> None:
    once = clean(text)
    assert visible(once) and "\n" not in once and clean(once) == once
    assert not once.startswith(("=", "+", "-", "@"))


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet=st.sampled_from("ab1 .-+*_`~<>[]()!|\\&#;:/@$={}\"'wx\n\t\x1b"), max_size=40))
def test_any_text_is_only_text_in_markdown(text: str) -> None:
    document = (
        f"- x\n- {escape_markdown(text)}\n\n| a | b |\n| --- | --- |\n| {escape_markdown(text)} | {code_span(text)} |\n"
    )
    word = "y" if clean(text) else ""
    reference = f"- x\n- {word}\n\n| a | b |\n| --- | --- |\n| y | {code_span(word)} |\n"
    assert tokens(document) == tokens(reference)
