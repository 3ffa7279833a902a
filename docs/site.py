"""Builds the site, strictly, and checks that every public name of the package stands in it. Needs the extra `docs`.

python docs/site.py            build/site; exit 1 where a link is broken or a public name is missing
"""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
_HEAD_LINES = 4  # of an inventory in Sphinx's format


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


def main() -> int:
    """Builds and checks."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]  # with --quiet, warnings would not count
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return 1
    missing = sorted(public() - inventory())
    for name in missing:
        print(f"{name} is public and stands on no page of docs/reference", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
