"""Plug-ins by name, through entry points, ours like anyone's; loaded when asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from unlearn_audit.api.attack import Attack
from unlearn_audit.api.composition import SIGN, composition
from unlearn_audit.api.probe import Probe
from unlearn_audit.api.problems import did_you_mean, first_problem
from unlearn_audit.api.terms import Parameters
from unlearn_audit.errors import SpecError

if TYPE_CHECKING:
    from unlearn_audit.api.comparison import Comparison
    from unlearn_audit.api.preset import FactPreset
    from unlearn_audit.api.writer import Writer

ATTACKS = "unlearn_audit.attacks"
PROBES = "unlearn_audit.probes"
COMPARISONS = "unlearn_audit.comparisons"
WRITERS = "unlearn_audit.writers"
PRESETS = "unlearn_audit.presets"
OWN_DISTRIBUTION = "unlearn-audit"
_KINDS = {"FactPreset": "preset"}
"""What people call a kind of plug-in, where it is not its class in small letters."""

Plugin = TypeVar("Plugin", bound="Attack[Any] | Probe[Any] | Comparison[Any] | Writer | FactPreset")
Measuring = TypeVar("Measuring", bound="Attack[Any] | Probe[Any] | Comparison[Any]")


@dataclass(frozen=True, kw_only=True)
class Listed(Generic[Plugin]):
    """A plug-in as found: its class, or why it cannot be loaded."""

    name: str
    distribution: str
    plugin: type[Plugin] | None
    broken: str | None = None


def available(group: str, kind: type[Plugin]) -> dict[str, Listed[Plugin]]:
    """All plug-ins of a group by name, ours first; a broken one is listed as broken.

    Raises:
        SpecError: two distributions claim one name.
    """
    return {point.name: _load(point, owner, kind) for point, owner in _points(group).values()}


def names(group: str) -> list[str]:
    """The names in a group, ours first; loads none of them."""
    return list(_points(group))


def named(group: str, kind: type[Plugin], name: str, where: str) -> type[Plugin]:
    """The plug-in of that name; loads no other.

    Raises:
        SpecError: there is none, it is broken, or two distributions claim one name.
    """
    points = _points(group)
    if name not in points:
        raise SpecError(_unknown(name, kind, list(points), where))
    return _whole(_load(*points[name], kind), where)


def build(
    group: str, kind: type[Measuring], wanted: Mapping[str, Mapping[str, Any]] | None, where: str
) -> dict[str, Measuring]:
    """The wanted plug-ins with their parameters; all of our own where nothing is named.

    Raises:
        SpecError: an unknown name, a broken plug-in that was asked for, or a wrong parameter.
    """
    listed = available(group, kind)
    if wanted is None:
        wanted = {name: {} for name, entry in listed.items() if entry.distribution == OWN_DISTRIBUTION}
    built: dict[str, Measuring] = {}
    for name, settings in wanted.items():
        plugin = _found(name, listed, kind, where)
        built[name] = plugin(_parameters(plugin, settings, f"{where}.{name}"))
    return built


def _found(name: str, listed: Mapping[str, Listed[Measuring]], kind: type[Measuring], where: str) -> type[Measuring]:
    """The plug-in of a name; of `a+b`, the composition of two attacks."""
    first, sign, second = name.partition(SIGN)
    if name not in listed and sign and issubclass(kind, Attack):
        parts = (_found(part, listed, kind, where) for part in (first, second))
        return composition(name, *parts)  # type: ignore[return-value, arg-type]
    if name not in listed:
        raise SpecError(_unknown(name, kind, list(listed), where))
    return _whole(listed[name], where)


def _points(group: str) -> dict[str, tuple[EntryPoint, str]]:
    """The entry points of a group by name, each with its distribution's name, ours first."""
    owners: dict[int, str] = {}  # by distribution: each reads its metadata anew for its name
    found: dict[str, tuple[EntryPoint, str]] = {}
    for point in entry_points(group=group):
        owner = "unknown distribution" if point.dist is None else owners.get(id(point.dist)) or point.dist.name
        owners[id(point.dist)] = owner
        other, whose = found.get(point.name, (point, owner))
        if other.value != point.value:
            raise SpecError(f"two distributions provide {point.name!r}: {whose} and {owner}; uninstall one of them")
        found[point.name] = point, owner
    ordered = sorted(found.values(), key=lambda pair: pair[1] != OWN_DISTRIBUTION)
    return {point.name: (point, owner) for point, owner in ordered}


def _unknown(name: str, kind: type[Any], known: list[str], where: str) -> str:
    return f"{where}: no {_KINDS.get(kind.__name__, kind.__name__.lower())} named {name!r}{did_you_mean(name, known)}"


def _whole(entry: Listed[Plugin], where: str) -> type[Plugin]:
    if entry.plugin is None:
        raise SpecError(f"{where}: {entry.name!r} of {entry.distribution} is broken: {entry.broken}")
    return entry.plugin


def _parameters(plugin: type[Any], settings: Mapping[str, Any], where: str) -> Parameters:
    model: type[Parameters] = plugin.Parameters
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        first = first_problem(error)
        if first.unknown:
            hint = did_you_mean(first.key, list(model.model_fields))
            raise SpecError(f"{where}: unknown key {first.key!r}{hint}") from error
        if first.missing:
            raise SpecError(f"{where}: {first.key!r} is required") from error
        raise SpecError(f"{where}.{first.key}: {first.message} (got {first.value!r})") from error


def _load(point: EntryPoint, owner: str, kind: type[Plugin]) -> Listed[Plugin]:
    try:
        plugin = point.load()
        if not (isinstance(plugin, type) and issubclass(plugin, kind)):
            raise TypeError(f"{point.value} is not a {kind.__name__}")
    except Exception as error:  # a third party's module: whatever it raises, only that plug-in is broken
        broken = f"{type(error).__name__}: {error}"
        return Listed(name=point.name, distribution=owner, plugin=None, broken=broken)
    return Listed(name=point.name, distribution=owner, plugin=plugin)
