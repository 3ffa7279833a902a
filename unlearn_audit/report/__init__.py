"""Writers: result -> JSON, Markdown, HTML, terminal. Pure functions of `Result`; none needs a model library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from unlearn_audit.api import AuditError
from unlearn_audit.evidence import write_text
from unlearn_audit.result import Result

__all__ = ["FORMATS", "Format", "UnknownFormatError", "render", "write"]


class UnknownFormatError(AuditError):
    """A report format that there is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A report format: its file's name, and the module whose `render` writes it, imported when it is first used."""

    file_name: str
    module: str

    def render(self, result: Result) -> str:
        """The whole report, as text."""
        text: str = import_module(self.module).render(result)
        return text


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": Format(file_name="result.json", module="unlearn_audit.report.as_json"),
        "md": Format(file_name="report.md", module="unlearn_audit.report.markdown"),
        "html": Format(file_name="report.html", module="unlearn_audit.report.html"),
    }
)


def render(result: Result, format: str) -> str:
    """The report in one of `FORMATS`.

    Raises:
        UnknownFormatError: there is no such format.
    """
    return _format(format).render(result)


def write(result: Result, directory: Path, formats: Iterable[str]) -> tuple[Path, ...]:
    """Writes reports and returns their paths, in the order asked for.

    All are rendered before the first is written, and each appears whole or not at all, by atomic rename. A new
    directory can be entered by its owner alone: an audit's results are nobody else's business until they are signed.
    """
    chosen = [_format(name) for name in formats]
    texts = [each.render(result) for each in chosen]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = tuple(directory / each.file_name for each in chosen)
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text)
    return paths


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise UnknownFormatError(f"There is no report format {name!r}. Choose from: {', '.join(FORMATS)}.")
    return FORMATS[name]
