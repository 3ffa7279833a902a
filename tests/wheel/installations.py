"""Installations to test: the wheel, or an editable install, in an environment of its own.

A linked environment holds what the wheel's metadata asks for and nothing else: the distributions of this environment,
linked file by file. It takes a second and no network. What it cannot show (that an index has them all) is shown by the
slow variant, which pip installs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable, Iterator
from email.message import Message
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.warm import Warm

ROOT = Path(__file__).parents[2]
LIBRARY = f"lib/python{sysconfig.get_python_version()}/site-packages"


class Installation:
    """An environment with our tool in it."""

    def __init__(self, home: Path) -> None:
        self.python = home / "bin" / "python"
        self.library = home / LIBRARY
        self._env = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", str(home)), "COLUMNS": "100"}
        self._warm: Warm | None = None

    def run(self, *args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """`python -m unlearn_audit ARGS` with nothing of this process's environment, in a copy of a warm process."""
        if self._warm is None:
            self._warm = Warm(self.python, env=self._env)
        return self._warm.command(*args, cwd=cwd)

    def started(self, *args: object, cwd: Path, path: Path) -> subprocess.CompletedProcess[str]:
        """The same in an interpreter that is started for it, `path` first to import from."""
        command = [str(self.python), "-m", "unlearn_audit", *map(str, args)]
        env = {**self._env, "PYTHONPATH": str(path)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)

    def close(self) -> None:
        """Ends the warm process."""
        if self._warm is not None:
            self._warm.close()


def built(out: Path, *, editable: bool = False) -> Path:
    """The wheel of this checkout, or the one by which pip makes an editable install of it."""
    build = "build_editable" if editable else "build_wheel"
    script = f"import sys; from hatchling.build import {build} as build; print(build(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(out)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


def metadata(wheel: Path) -> Message:
    """What a wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def requirements(wheel: Path, extra: str = "") -> list[Requirement]:
    """What a wheel asks for here, without extras or with one."""
    wanted = map(Requirement, metadata(wheel).get_all("Requires-Dist") or [])
    return [one for one in wanted if _holds(one, ("", extra))]


def closure(wanted: Iterable[Requirement]) -> set[str]:
    """The distributions of this environment that these need, and all that those need."""
    found: dict[str, set[str]] = {}
    waiting = list(wanted)
    while waiting:
        one = waiting.pop()
        extras = found.setdefault(canonicalize_name(one.name), set())
        new = {"", *one.extras} - extras
        if new:
            extras |= new
            needed = map(Requirement, distribution(one.name).requires or [])
            waiting += [each for each in needed if _holds(each, tuple(new))]
    return set(found)


def _holds(one: Requirement, extras: Iterable[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)


def linked(home: Path, wheel: Path, extra: str = "") -> Installation:
    """The wheel beside links to what it asks for."""
    venv.create(home, with_pip=False, symlinks=True)
    installation = Installation(home)
    for name in sorted(closure(requirements(wheel, extra))):
        for source in _tops(name):
            if not (installation.library / source.name).exists():
                (installation.library / source.name).symlink_to(source)
    _pip("--python", installation.python, "install", "--no-deps", "--no-index", wheel)
    return installation


def _tops(name: str) -> Iterator[Path]:
    found = distribution(name)
    tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
    assert tops, f"{name} lists no files"
    return (Path(str(found.locate_file(top))) for top in sorted(tops))


def installed(home: Path, wheel: Path) -> Installation:
    """The wheel with what pip finds for it, in a fresh environment."""
    venv.create(home, with_pip=False, symlinks=True)
    installation = Installation(home)
    _pip("--python", installation.python, "install", "-c", ROOT / "constraints.txt", wheel)
    return installation


def _pip(*args: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
