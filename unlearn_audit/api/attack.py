"""The interface of an attack: what an adversary does to a model, dose by dose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Self

if TYPE_CHECKING:
    import torch
from unlearn_audit.api.extent import Audited
from unlearn_audit.api.facts import Fact
from unlearn_audit.api.model import Model
from unlearn_audit.api.terms import Access, Json, P_co, Parameters, Profile
from unlearn_audit.errors import AttackError


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A part of an attack that is run, cached and retried on its own (one quantizer; one learning rate and fold).

    Attributes:
        doses: how many it will yield; `share` of the facts is scored at each; `training_texts` are
            answers trained on, repeats included. Used only for the plan's time estimate.
        repeated: of a seeded attack, run with every seed of the profile; else with the first alone, as one more thing
            that is tried. With `seeds` in the spec, every arm is repeated.
    """

    name: str
    settings: Mapping[str, Json] = field(default_factory=dict)
    doses: int = 1
    share: float = 1.0
    training_texts: int = 0
    repeated: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfReach:
    """Something that the plan skips, and why; every report lists it.

    Attributes:
        applies: false if the audit does not have what it works on (an adapter, an original, a retain set). An
            attack of which nothing applies is skipped; one that cannot run for another reason is an ERROR.
    """

    what: str
    why: str
    applies: bool = True

    def names(self, arm: Arm) -> bool:
        """Whether `what` is the arm, or the first words of its name."""
        return arm.name == self.what or arm.name.startswith(f"{self.what} ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dose:
    """An attacked model at one strength.

    Attributes:
        label: names the dose within its attack; the same for every role.
        value: its place on the dose axis (bits, steps, ...), or None.
        fact_ids: the facts that may be scored at this dose; None for all. An attack that trains gives its eval split.
        proof: what shows that the attack took place (module types, bytes, losses); kept with the evidence. An
            attack that trains says under `plateau` whether it went as far as it had to: an arm that did not, at its
            last dose, has no power.
        shown: every text that the model was trained on, or sees in each prompt; the runner screens them for
            the facts that are scored at this dose, and a text that gives one away is an ERROR.
        dropped: how many other texts the attack dropped because they give a scored fact away (see `Screen`).
    """

    label: str
    value: float | None
    model: Model
    fact_ids: frozenset[str] | None = None
    proof: Mapping[str, Json] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    dropped: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plant:
    """A model made from the original with a known truth: the knowledge is present, but hidden.

    Attributes:
        proof: what shows both; kept with the evidence.
    """

    model: Model
    proof: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planting:
    """How to make the positive control of an attack (design, section 6.2).

    Attributes:
        name: arms with the same name share one plant, even across attacks.
        kind: how it hides, in a word: `refusal`, `unlikelihood`, `misdirection`, `rounding`, `adapter`, or your own.
            Power is told by kind: what undoes a shallow refusal need not undo anything deeper.
        make: makes the plant from the original; it lives until the context ends, and the original is unchanged.
            Raises AttackError if the knowledge cannot be hidden in this way.
    """

    name: str
    make: Callable[[Model, AttackContext], AbstractContextManager[Plant]]
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class AttackContext:
    """What an attack may use besides the model. The same in every role, so an attack cannot tell which role it is in.

    Attributes:
        forget: the facts to recover; `retain`: generic text and utility; never the eval split for training.
        seed: derived from the audit's seed and the attack, the same for every role.
        served: names of the artefacts that are served (`--served`).
        prepared: what `Attack.prepare` returned for this audit.
        scratch: an empty directory, removed afterwards.
        has_original: whether the audit has an original; also known while it is being planned.
        audited: sizes of the checkpoint under audit; None outside of an audit.
        load_original: how the run loads the original; attacks call `original`.
        has_base: whether the audit has a public base (`--base`, or an adapter's own); known while it is being planned.
        load_base: how the run loads it; attacks call `base`.
    """

    forget: tuple[Fact, ...]
    retain: tuple[Fact, ...]
    profile: Profile
    seed: int
    served: tuple[str, ...] = ()
    prepared: Mapping[str, Json] = field(default_factory=dict)
    scratch: Path = Path()
    has_original: bool = False
    audited: Audited | None = None
    load_original: Callable[[], torch.nn.Module] | None = None
    has_base: bool = False
    load_base: Callable[[], torch.nn.Module] | None = None

    def original(self) -> torch.nn.Module:
        """The original's bare module on the CPU, adapters merged. Must not be changed.

        For diagnostics, and for attacks that say so (`Attack.with_original`). Also available in the roles of the
        original and of a plant, as a second copy of the weights.

        Raises:
            AttackError: the audit has no original (`has_original`), or it is still being planned.
        """
        if not self.has_original:
            raise AttackError("this audit has no original to compare with; check `has_original` first")
        if self.load_original is None:
            raise AttackError("no weights are loaded while an audit is being planned; ask for the original in `doses`")
        return self.load_original()

    def base(self) -> torch.nn.Module:
        """The public base's bare module on the CPU. Must not be changed; for attacks that say so (`Attack.with_base`).

        Raises:
            AttackError: the audit has no base (`has_base`), or it is still being planned.
        """
        if not self.has_base:
            raise AttackError("this audit has no public base; check `has_base` first")
        if self.load_base is None:
            raise AttackError("no weights are loaded while an audit is being planned; ask for the base in `doses`")
        return self.load_base()


class Attack(ABC, Generic[P_co]):
    """What an adversary does to a model. Yields attacked models, one per dose; never judges itself.

    The same arms and doses run on every role, at equal budget. A class is cheap to import (no torch at the top).

    Attributes:
        dose_unit: what the values of its doses count, for the axes of figures: steps, bits; empty where they have none.
        seeded: it makes random draws, and is repeated with as many seeds as the spec says; others run once.
        served: the owner applies it before serving (quantization), so it also affects users of the API. The whole
            probe battery runs on its first arm, in `quick` where the policy names what is served.
        of_artifacts: each of its arms is a file that is served (`AttackContext.served`), and in the checkpoint's role
            the model that it gets is that file's; the whole probe battery runs on each.
        baseline: it does nothing; the whole probe battery runs under it.
        toward_answers: it optimizes toward the scored answers themselves (a suffix, a soft prompt), and so may
            elicit any answer. Each of its arms then runs once more toward twin answers (sham; design 6.6):
            `AttackContext.forget` holds those, and the attack cannot tell the difference.
        with_original: it puts the original itself into what it makes. What comes back need not be the checkpoint's, so
            it is reported and decides nothing.
        with_base: it works with the public base (`AttackContext.base`), and says in `out_of_reach` that it cannot
            without.
        profiles: in which profiles it runs unless the spec names attacks; one that is named runs in all.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    access: ClassVar[Access]
    dose_unit: ClassVar[str] = ""
    seeded: ClassVar[bool] = False
    served: ClassVar[bool] = False
    of_artifacts: ClassVar[bool] = False
    baseline: ClassVar[bool] = False
    toward_answers: ClassVar[bool] = False
    with_original: ClassVar[bool] = False
    with_base: ClassVar[bool] = False
    profiles: ClassVar[frozenset[Profile]] = frozenset(Profile)
    extra: ClassVar[str | None] = None
    Parameters: ClassVar[type[Parameters]]

    def __init__(self, parameters: P_co) -> None:
        self.parameters = parameters

    @abstractmethod
    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """The arms of this attack, in the order in which they run; known before any model is loaded."""

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Parts that cannot run here (memory, a missing extra), each with its reason."""
        return ()

    def sparingly(self, profile: Profile) -> Self:
        """The same attack with few arms and doses, as a part of a composition; itself by default."""
        return self

    def prepare(self, original: Model, context: AttackContext) -> Mapping[str, Json]:
        """Choices made once on the original and on plants made from it, never on the checkpoint under audit."""
        return {}

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """How to hide the original's knowledge in the way that this arm is meant to undo; None if there is no way."""
        return None

    def plantings(self, arm: Arm, context: AttackContext) -> Sequence[Planting]:
        """All ways of hiding that this arm is tested on, of different names; `planting` alone by default.

        One that cannot be made says so, costs the arm the power that it would have shown, and stops nothing.
        """
        planting = self.planting(arm, context)
        return () if planting is None else (planting,)

    @abstractmethod
    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """Attacked models, weakest first. Once the generator is closed, the given model must be as before."""
