"""Reports of a finished audit: one writer per format, found as a plug-in. None needs a model library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from unlearn_audit.api.plugins import WRITERS, named
from unlearn_audit.api.writer import Material, Writer
from unlearn_audit.evidence.files import refuse_no_folder, write_bytes, write_text
from unlearn_audit.verdict.result import Result

__all__ = [
    "Material",
    "Writer",
    "annexes",
    "formats",
    "page",
    "parts",
    "render",
    "sections",
    "several",
    "targets",
    "write",
    "write_to",
    "writer_named",
    "writers",
]


def writer_named(name: str) -> Writer:
    """The writer of that format; loads no other.

    Raises:
        SpecError: there is none, or it is broken; suggests the nearest name and lists all.
    """
    return named(WRITERS, Writer, name, "--format")()  # type: ignore[type-abstract]


def render(result: Result | Material, format: str) -> str | bytes:
    """The report in one format; from a bare result, only in formats that need no observations.

    Raises:
        SpecError: there is no such format.
    """
    return writer_named(format).render(result if isinstance(result, Material) else Material(result=result))


def write(result: Result, directory: Path, formats: Iterable[str]) -> tuple[Path, ...]:
    """Writes reports under their own names and returns their paths, in the order asked for.

    Only the owner can enter a new directory: an audit's results are confidential until they are
    signed.
    """
    writers = [writer_named(name) for name in formats]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return write_to(Material(result=result), [(each, directory / each.file_name) for each in writers])


def write_to(material: Material, targets: Sequence[tuple[Writer, Path]]) -> tuple[Path, ...]:
    """Writes reports into files. All are rendered before the first is written; each appears whole or not at all."""
    paths = tuple(path for _, path in targets)
    for path in paths:
        refuse_no_folder(path)
    documents = [writer.render(material) for writer, _ in targets]
    for path, document in zip(paths, documents, strict=True):
        if isinstance(document, bytes):
            write_bytes(path, document)
        else:
            write_text(path, document)
    return paths
