"""Names that have changed: what was written under an old one can still be read, and a notice says so once.

A spec or a policy may use an old name. A finished run keeps the names that it was written with. A run whose spec uses
an old name writes `result.json` under that name, so that scripts that read its findings go on working.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from unlearn_audit.errors import Notice

ATTACKS = {"none": "as-is"}
"""Old name -> new name of an attack."""

_ID = re.compile(r"(?<![\w/.-])(?P<attack>[a-z][a-z0-9-]*)(?=/[a-z*])")
_BY_ATTACK = frozenset({"plants", "plant_arms", "served_arms"})
"""Keys of a result under which mappings have an attack's name as key."""


class OldName(Notice):
    """An old name is in use; it still works."""


def current(name: str) -> str:
    """What is now the name of an attack, of `attack/probe`, or of a glob over these."""
    found = re.match(r"[^/.]+", name)
    new = ATTACKS.get(found[0]) if found else None
    if found is None or new is None:
        return name
    warnings.warn(f"the attack {found[0]!r} is now called {new!r}; the old name still works", OldName, stacklevel=2)
    return new + name[found.end() :]


def asked_as(attacks: Mapping[str, Any]) -> dict[str, str]:
    """New name -> old name, of the attacks that a spec names by an old one."""
    return {new: old for old, new in ATTACKS.items() if old in attacks}


def renamed(value: Any, names: Mapping[str, str], key: str = "") -> Any:
    """A JSON value of a result, with attacks renamed wherever it names one.

    That is under `attack`, as a key of what is by attack, and at the head of a finding's id, in text as well. A policy
    stays as it was written: its digest is over its words.
    """
    if isinstance(value, dict):
        items = {name: item if name == "policy" else renamed(item, names, name) for name, item in value.items()}
        return {names.get(name, name): item for name, item in items.items()} if key in _BY_ATTACK else items
    if isinstance(value, list):
        return [renamed(item, names, key) for item in value]
    if not isinstance(value, str):
        return value
    if key == "attack":
        return names.get(value, value)
    return _ID.sub(lambda found: names.get(found["attack"], found["attack"]), value)
