"""Builds the site, strictly, and checks that every public name of the package stands in it. Needs the extra `docs`.

python docs/site.py            build/site; exit 1 where a link is broken or a public name is missing
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import zlib
from functools import cached_property
from pathlib import Path
from types import FunctionType, ModuleType

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
_HEAD_LINES = 4  # of an inventory in Sphinx's format
_DOCUMENTED = (FunctionType, property, cached_property)
_RAISED = re.compile(r"^ +(\w+Error):", re.M)


def inventory(site: Path = SITE) -> set[str]:
    """The names that the reference documents."""
    content = (site / "objects.inv").read_bytes()
    for _ in range(_HEAD_LINES):
        content = content.partition(b"\n")[2]
    return {line.split(" ")[0] for line in zlib.decompress(content).decode().splitlines()}


def public() -> set[str]:
    """Where each public name is defined or exported."""
    import unlearn_audit
    from unlearn_audit import api, testing

    own = {f"{unlearn_audit._HOMES[name]}.{name}" for name in unlearn_audit.__all__}
    exported = {f"{room.__name__}.{name}": getattr(room, name) for room in (api, testing) for name in room.__all__}
    return own | {one.__name__ if isinstance(one, ModuleType) else name for name, one in exported.items()}


def raised() -> set[str]:
    """Where each error of ours is defined that the documentation of a public name says it raises."""
    import unlearn_audit
    from unlearn_audit import errors

    names = [getattr(unlearn_audit, name) for name in unlearn_audit.__all__]
    members = [member for name in names for member in vars(name).values() if isinstance(member, _DOCUMENTED)]
    said = {found for one in [*names, *members] for found in _RAISED.findall(inspect.getdoc(one) or "")}
    return {f"{errors.__name__}.{name}" for name in said if hasattr(errors, name)}


def main() -> int:
    """Builds and checks."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]  # with --quiet, warnings would not count
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return 1
    missing = sorted((public() | raised()) - inventory())
    for name in missing:
        print(f"{name} is public and stands on no page of docs/reference", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
