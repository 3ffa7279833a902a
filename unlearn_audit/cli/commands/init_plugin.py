"""`init --plugin`: a package with one attack, one probe and their tests, which passes its tests as written."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.files import write_text

TEMPLATE = Path(__file__).with_name("plugin_template")
NAME, PACKAGE = "example-plugin", "example_plugin"
"""What the template calls the distribution and its import package."""

_GOOD = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ENDING = ".template"  # so that no tool takes the template for a part of this package


def plugin_files(name: str) -> dict[str, str]:
    """Path in the new package -> text, for a distribution of that name.

    Raises:
        SpecError: the name is not valid for a distribution and an import package.
    """
    package = name.replace("-", "_")
    if not _GOOD.fullmatch(name) or keyword.iskeyword(package):
        raise SpecError(
            f"--plugin {name}: expected lower-case letters, digits and single hyphens, a letter first; try `my-plugins`"
        )
    return {
        _renamed(path.relative_to(TEMPLATE).as_posix().removesuffix(_ENDING), package): _filled(
            path.read_text(encoding="utf-8"), name, package
        )
        for path in sorted(TEMPLATE.rglob(f"*{_ENDING}"))
    }


def write_plugin(name: str, directory: Path, *, force: bool) -> list[Path]:
    """Writes all files, or none.

    Raises:
        SpecError: the name is not valid, or a file already exists.
    """
    files = plugin_files(name)
    for path in files:
        if (directory / path).exists() and not force:
            raise SpecError(f"{directory / path}: already exists; --force overwrites it")
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        write_text(directory / path, text)
    return [directory / path for path in files]


def _renamed(path: str, package: str) -> str:
    first, _, rest = path.partition("/")
    return f"{package}/{rest}" if first == "package" else path


def _filled(text: str, name: str, package: str) -> str:
    return text.replace(NAME, name).replace(PACKAGE, package)
