"""The site's hooks: what a link out of docs/ becomes, and how a notebook is a page. `make docs` builds all of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
assert _SPEC is not None and _SPEC.loader is not None
hooks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hooks)
CONFIG = SimpleNamespace(repo_url="https://example.org/x")


@pytest.mark.parametrize(
    ("page", "link", "placed"),
    [
        ("ci.md", "workers.md#slurm", "workers.md#slurm"),
        ("ci.md", "../README.md#install", "https://example.org/x/blob/main/README.md#install"),
        ("architecture.md", "../unlearn_audit/cli/", "https://example.org/x/tree/main/unlearn_audit/cli"),
        ("examples/smollm2_tofu.md", "../ci.md", "../ci.md"),
        ("python.md", "notebooks/first_audit.ipynb", "notebooks/first_audit.md"),
        ("design.md", "generate.py", "https://example.org/x/blob/main/docs/generate.py"),
        ("ci.md", "https://example.org/#a", "https://example.org/#a"),
        ("ci.md", "#here", "#here"),
    ],
)
def test_a_link_leads_to_a_page_or_to_the_repository(page: str, link: str, placed: str) -> None:
    file = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert hooks.on_page_markdown(f"see [this]({link}).", file, CONFIG, None) == f"see [this]({placed})."


def test_a_notebook_is_its_text_and_its_code() -> None:
    cells = [{"cell_type": "markdown", "source": ["# A\n", "b"]}, {"cell_type": "code", "source": ["x = 1"]}]
    assert hooks.as_markdown({"cells": cells}) == "# A\nb\n\n```python\nx = 1\n```\n"


def test_every_page_has_its_place() -> None:
    def pages(node: object) -> list[str]:
        if isinstance(node, str):
            return [node]
        inner = node.values() if isinstance(node, dict) else node
        return [page for one in inner for page in pages(one)]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    there = {path.relative_to(ROOT / "docs").with_suffix(".md").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    there |= {f"notebooks/{path.stem}.md" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert sorted(listed) == sorted(there)
