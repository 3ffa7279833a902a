"""Where code comes from: distribution, version and a digest of the sources, of each plug-in and of our own engine.

A plug-in is more than the file of its class. Its digest covers every module that it imports, directly or not, as far as
those belong to its own distribution or to none; of other distributions the versions are kept. Our own modules count for
everything where every job goes through them (`engine_source`), and for one plug-in where it alone imports them.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from importlib.util import find_spec
from inspect import getmodulename
from pathlib import Path

import unlearn_audit
from unlearn_audit.api.composition import Composition
from unlearn_audit.api.plugins import OWN_DISTRIBUTION
from unlearn_audit.errors import AuditError, IntegrityError
from unlearn_audit.evidence.digests import sha256_json
from unlearn_audit.evidence.records import PluginRecord
from unlearn_audit.models.digests import file_digest

ENGINE = ("api", "models", "run", "facts", "plan/stand_ins.py")
"""Rooms and files, below our package, that every job goes through."""

_MOST_DATA_BYTES = 2**24
_NAME = re.compile(r"^Name:\s*(\S+)", re.MULTILINE)
_OWN, _STANDARD = "unlearn_audit", "python"


def provenance(kind: str, name: str, plugin: type) -> PluginRecord:
    """Where a plug-in comes from.

    Args:
        kind: `attack`, `probe` or `comparison`.
        name: the plug-in's.
        plugin: its class.
    """
    if parts := _parts(plugin):
        return _together(kind, name, [provenance(kind, part.__name__, part) for part in parts])
    closure = _closure(plugin.__module__)
    distribution = _distribution_of(plugin.__module__)
    return PluginRecord(
        kind=kind,
        name=name,
        distribution=distribution,
        version=_version(distribution),
        source=closure.digest,
        libraries={library: _version(library) for library in sorted(closure.libraries)},
    )


def _parts(plugin: type) -> tuple[type, ...]:
    """The attacks of a composition, which has no code of its own."""
    return plugin.parts if issubclass(plugin, Composition) else ()


def _together(kind: str, name: str, parts: Sequence[PluginRecord]) -> PluginRecord:
    return PluginRecord(
        kind=kind,
        name=name,
        distribution=", ".join(dict.fromkeys(part.distribution for part in parts)),
        version=", ".join(dict.fromkeys(part.version for part in parts)),
        source=sha256_json([part.source for part in parts]),
        libraries={library: version for part in parts for library, version in part.libraries.items()},
    )


@cache
def engine_source() -> str:
    """One digest over the sources that every job goes through."""
    home = Path(unlearn_audit.__file__).parent
    return sha256_json({file.relative_to(home).as_posix(): digest for file, digest in _engine_files().items()})


@cache
def _engine_files() -> dict[Path, str]:
    home = Path(unlearn_audit.__file__).parent
    return {file: _digest(file) for part in ENGINE for file in _python_below(home / part)}


def check_sources(plugins: Iterable[type]) -> None:
    """Refuses code that is no longer what was digested in this process: a module that is imported late would be new.

    Args:
        plugins: the classes that make evidence; the engine is looked at as well.

    Raises:
        IntegrityError: naming a file.
    """
    alone = [part for one in plugins for part in _parts(one) or (one,)]
    for files in (_engine_files(), *(_closure(one.__module__).read for one in alone)):
        for file, digest in files.items():
            try:
                same = file_digest(file) == digest
            except AuditError:
                same = False
            if not same:
                raise IntegrityError(f"{file}: changed since the audit was planned; run it again with the new code")


def _python_below(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


@dataclass
class _Closure:
    """What a module reaches by its imports.

    Attributes:
        files: name -> digest, of modules and of data files in their packages.
        read: the same by path.
        libraries: other distributions.
    """

    files: dict[str, str] = field(default_factory=dict)
    read: dict[Path, str] = field(default_factory=dict)
    libraries: set[str] = field(default_factory=set)

    def add(self, name: str, file: Path) -> None:
        self.files[name] = self.read[file] = _digest(file)

    @property
    def digest(self) -> str:
        return sha256_json(self.files)


@cache
def _closure(module: str) -> _Closure:
    found, home = _Closure(), _distribution_of(module)
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        owner = _distribution_of(name)
        if owner not in (home, ""):
            if owner not in (OWN_DISTRIBUTION, _STANDARD):
                found.libraries.add(owner)
            continue
        spec = None if _is_engine(name) else _spec(name)
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            continue
        file = Path(spec.origin)
        found.add(name, file)
        if spec.submodule_search_locations is not None and name.count("."):
            for data in _data_in(file.parent):
                found.add(f"{name}/{data.name}", data)
        if file.suffix == ".py":
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            waiting += _imports(package, file.read_bytes())
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return found


def _is_engine(name: str) -> bool:
    """Whether a module is part of what `engine_source` covers, or of what no evidence depends on."""
    return name == _OWN or (name.startswith(f"{_OWN}.") and name.split(".")[1] not in ("attacks", "probes"))


@cache
def _imports(package: str, source: bytes) -> tuple[str, ...]:
    """The modules that a source imports, wherever in it; a name out of a package may be a module or not."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found += (base, *(f"{base}.{alias.name}" for alias in node.names))
    return tuple(dict.fromkeys(found))


def _spec(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, AttributeError, ValueError):  # a name that is no module, or one without a spec
        return None


def _data_in(folder: Path) -> list[Path]:
    """Files beside a package's modules that it may read: texts, tables, templates."""
    there = (path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix not in (".py", ".pyc"))
    return [path for path in there if path.stat().st_size <= _MOST_DATA_BYTES]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _distribution_of(module: str) -> str:
    """The distribution that a module belongs to; empty for one that is in none; itself for the standard library."""
    top = module.partition(".")[0]
    if top == _OWN:
        return OWN_DISTRIBUTION
    if top in sys.stdlib_module_names:
        return _STANDARD
    return min(_owners().get(top, [""]))


@cache
def _owners() -> dict[str, list[str]]:
    """Top-level module -> the distributions that bring it.

    As `importlib.metadata.packages_distributions`, which makes an object of every installed file: seven times as slow.
    """
    found: dict[str, list[str]] = {}
    for one in distributions():
        named = _NAME.search(one.read_text("METADATA") or one.read_text("PKG-INFO") or "")
        for top in _tops(one) if named else ():
            found.setdefault(top, []).append(named[1] if named else "")
    return found


def _tops(one: Distribution) -> set[str]:
    if declared := (one.read_text("top_level.txt") or "").split():
        return set(declared)
    files = (one.read_text("RECORD") or one.read_text("installed-files.txt") or "").splitlines()
    tops = (line.partition(",")[0].partition("/") for line in files)
    return {top if inside else getmodulename(top) or "" for top, inside, _ in tops} - {"", "__pycache__", ".."}


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except (PackageNotFoundError, ValueError):
        return "unknown"
