"""Where reports go: each to a file, or one of them to the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from unlearn_audit.api.writer import Material, Writer
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.files import refuse_special
from unlearn_audit.report import write_to, writer_named


class Format(Protocol):
    """What can be asked for by name."""

    @property
    def name(self) -> str:
        """Of the format."""

    @property
    def file_name(self) -> str:
        """What its file is called in a folder."""

    @property
    def binary(self) -> bool:
        """Whether it cannot go to stdout."""


F = TypeVar("F", bound=Format)


@dataclass(frozen=True, kw_only=True)
class Targets(Generic[F]):
    """Formats with their files, and the one that goes to stdout."""

    files: tuple[tuple[F, Path], ...]
    screen: F | None = None


def deliver(material: Material, wanted: Sequence[str]) -> None:
    """Writes what `-f FORMAT` and `-f FORMAT=FILE` ask for. All is rendered before anything is written.

    Raises:
        SpecError: as `parse_targets`.
        AuditError: a file cannot be written.
    """
    targets = parse_targets(wanted)
    shown = None if targets.screen is None else targets.screen.render(material)
    try:
        write_to(material, targets.files)
    except OSError as error:
        raise AuditError(f"{error.filename}: cannot be written ({error.strerror})") from error
    if isinstance(shown, str):
        sys.stdout.write(shown)


def parse_targets(wanted: Sequence[str]) -> Targets[Writer]:
    """What `-f FORMAT` and `-f FORMAT=FILE` ask for of the writers; errors as `targets_of`."""
    return targets_of(wanted, writer_named)


def targets_of(wanted: Sequence[str], named: Callable[[str], F]) -> Targets[F]:
    """What `-f FORMAT` and `-f FORMAT=FILE` ask for; a directory as FILE takes the format's own file name.

    Args:
        wanted: as they were given.
        named: the format of a name, or a SpecError.

    Raises:
        SpecError: an unknown format, a binary one or a second one for stdout, a file that cannot be written; a link, a
            device or a named pipe is neither followed nor replaced.
    """
    files: list[tuple[F, Path]] = []
    screen: F | None = None
    for each in wanted:
        name, equals, target = each.partition("=")
        writer = named(name)
        if equals:
            files.append((writer, _file(writer, each, target, [path for _, path in files])))
        elif writer.binary:
            raise SpecError(
                f"--format {name}: is binary and cannot go to stdout; name a file: -f {name}={writer.file_name}"
            )
        elif screen is not None:
            raise SpecError(
                f"--format {name}: only one format can go to stdout, and {screen.name} already does; name a file: "
                f"-f {name}={writer.file_name}"
            )
        else:
            screen = writer
    return Targets(files=tuple(files), screen=screen)


def _file(writer: Format, asked: str, target: str, taken: Sequence[Path]) -> Path:
    if not target:
        raise SpecError(f"--format {asked}: expected a file after the =, e.g. -f {writer.name}={writer.file_name}")
    path = Path(target) / writer.file_name if Path(target).is_dir() else Path(target)
    if not path.parent.is_dir():
        raise SpecError(f"--format {asked}: {path.parent} is not a directory; create it first")
    refuse_special(path)  # before anything is written
    if path in taken:
        raise SpecError(f"--format {asked}: two formats cannot share the file {path}; name another")
    return path
