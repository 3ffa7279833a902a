"""YAML as users write it: bounded, each key once, aliases that cannot explode. Every fault has its file and line."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from unlearn_audit.api.user_files import DEEPEST, LARGEST_SETTINGS, read_text
from unlearn_audit.errors import SpecError

MOST_VALUES = 20_000
"""Keys and values of a file, aliases written out."""

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same language, read twenty times as fast
_MERGE = "tag:yaml.org,2002:merge"
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class _Loader(_Base):  # type: ignore[misc]
    """Refuses a key that stands twice; a key that overrides a merged one (`<<`) stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            name = (key.tag, key.value)
            if name in seen:
                raise _at(key.start_mark, f"the key {key.value!r} stands twice; remove one of them")
            seen.add(name)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return found


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file.

    Raises:
        SpecError: no such file, or not a YAML mapping; names file and line.
    """
    text = read_text(path, LARGEST_SETTINGS)
    try:
        _refuse_bulk(text)
        content = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise SpecError(f"{path}{line}: expected valid YAML: {getattr(error, 'problem', None) or error}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # a date that does not exist, say
        raise SpecError(f"{path}: expected valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise SpecError(f"{path}: expected a mapping of keys to values; `unlearn-audit init` writes one")
    _refuse_other_keys(content, path)
    return content


def _refuse_bulk(text: str) -> None:
    """Refuses a file before it is built: too many values, too deep, or aliases that write out to too many."""
    size_of: dict[str, int] = {}
    open_sizes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, _Base):
        if isinstance(event, _CLOSING):
            anchor, start = open_sizes.pop()
            if anchor:
                size_of[anchor] = total - start
            continue
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in size_of:
                raise _at(event.start_mark, f"the alias *{event.anchor} names nothing that is complete before it")
            total += size_of[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                size_of[event.anchor] = 1
        elif isinstance(event, _OPENING):
            open_sizes.append((event.anchor, total))
            total += 1
        if total > MOST_VALUES or len(open_sizes) > DEEPEST:
            limit = f"{MOST_VALUES} values" if total > MOST_VALUES else f"{DEEPEST} levels of nesting"
            raise _at(event.start_mark, f"expected at most {limit}; check that it is the right file")


def _at(mark: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _refuse_other_keys(content: object, path: Path) -> None:
    """Refuses keys that are no text: `on` is true in YAML, and no setting is called so."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            other = next((key for key in one if not isinstance(key, str)), None)
            if other is not None:
                raise SpecError(f"{path}: expected names as keys, got {other!r}; write it in quotes")
        if isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
