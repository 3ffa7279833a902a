"""What all checks share: how a broken promise is told, what every plug-in says of itself, and a model as it was."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self, TypeVar

import torch
from pydantic import ValidationError

from unlearn_audit.api import Access
from unlearn_audit.api.terms import Parameters

Kind = TypeVar("Kind")
Settings = Mapping[str, object]

_HEAVY = ("torch", "transformers", "sklearn", "peft")


class ContractError(AssertionError):
    """A plug-in broke a promise of its interface."""


def promise(kept: bool, sentence: str) -> None:
    """Raises with the sentence where a promise was not kept."""
    if not kept:
        raise ContractError(sentence)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for as long as it is open: on a model this small, more of them only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def check_identity(plugin: type[Any], interface: type[Any]) -> None:
    """What every plug-in is and says of itself."""
    title = plugin.__qualname__
    promise(issubclass(plugin, interface), f"{title} must derive from {interface.__name__}")
    absent = sorted(getattr(plugin, "__abstractmethods__", ()))
    promise(not absent, f"{title} must implement {', '.join(absent)}")
    for attribute in ("name", "summary"):
        value = getattr(plugin, attribute, None)
        promise(isinstance(value, str) and bool(value), f"{title}.{attribute} must be a text; it is {value!r}")
    promise(plugin.summary[0].isupper(), f"{title}.summary must begin with a capital: {plugin.summary!r}")
    promise(plugin.summary.endswith("."), f"{title}.summary must end with a full stop: {plugin.summary!r}")
    promise(bool(inspect.getdoc(plugin)), f"{title} must have a docstring: it becomes its page in the documentation")
    loaded = _heavy_imports(plugin)
    promise(not loaded, f"the module of {title} imports {loaded} at the top; import it where it is used, to list fast")


def check_science(plugin: type[Any]) -> None:
    """What attacks, probes and comparisons say besides: paper, access, parameters."""
    title = plugin.__qualname__
    paper = getattr(plugin, "paper", None)
    good = isinstance(paper, str) and (paper == "" or paper[:4].isdigit())
    promise(good, f"{title}.paper must be an arXiv id or empty; it is {paper!r}")
    access = getattr(plugin, "access", None)
    promise(isinstance(access, Access), f"{title}.access must be an Access; it is {access!r}")
    kind = getattr(plugin, "Parameters", None)
    promise(
        isinstance(kind, type) and issubclass(kind, Parameters),
        f"{title}.Parameters must be a class derived from api.Parameters; it is {kind!r}",
    )
    try:
        plugin.Parameters.model_validate({"no_such_key": 1})
    except ValidationError as error:
        refused = any(each["type"] == "extra_forbidden" for each in error.errors())
        promise(refused, f"{title}.Parameters must refuse an unknown key as such; it says: {error}")
    else:
        raise ContractError(f"{title}.Parameters must refuse an unknown key; it takes {{'no_such_key': 1}}")


def built(plugin: type[Kind], parameters: Settings | None) -> Kind:
    """The plug-in with its parameters."""
    kind: Any = plugin
    made: Kind = kind(kind.Parameters.model_validate(dict(parameters or {})))
    return made


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """All of a model that a plug-in must leave as it was."""

    weights: Mapping[str, torch.Tensor]
    types: tuple[type, ...]
    trains: tuple[bool, ...]

    @classmethod
    def of(cls, module: torch.nn.Module) -> Self:
        """A copy."""
        return cls(
            weights={name: value.detach().clone() for name, value in module.state_dict().items()},
            types=tuple(type(part) for part in module.modules()),
            trains=tuple(parameter.requires_grad for parameter in module.parameters()),
        )

    def check(self, module: torch.nn.Module, when: str) -> None:
        """Whether it is so still."""
        now = type(self).of(module)
        promise(now.weights.keys() == self.weights.keys(), f"{when}, the model has other tensors than before")
        changed = [name for name, value in self.weights.items() if not torch.equal(value, now.weights[name])]
        promise(not changed, f"{when}, the model's weights are not what they were: {', '.join(changed[:3])}")
        promise(now.types == self.types, f"{when}, modules of the model are still replaced")
        promise(now.trains == self.trains, f"{when}, other weights of the model require a gradient than before")


def _heavy_imports(plugin: type[Any]) -> str:
    """Heavy packages among the globals of its module; what is imported for types alone is none of them."""
    named = vars(sys.modules[plugin.__module__]).values()
    return ", ".join(sorted({one.__name__ for one in named if isinstance(one, ModuleType) and one.__name__ in _HEAVY}))
