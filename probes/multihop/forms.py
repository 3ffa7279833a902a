"""The forms in which a chain is put: in one breath, by turns, and with the other name told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from unlearn_audit.api import Fact, Model, Prompt
from unlearn_audit.api.kit.asking import Ask

from ..shared.exposure import prompted
from .chains import ALIAS, THREE_HOP, TWO_HOP, VARIANTS, Chain


class Form(StrEnum):
    """How a chain is put; the value is what its name ends in."""

    ONCE = ""
    ASKED = "-asked"
    GIVEN = "-given"


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A kind of chain in one form."""

    kind: str
    form: Form

    @property
    def name(self) -> str:
        """The variant's name: two-hop, two-hop-asked, alias-given."""
        return self.kind + self.form


_WITH_BRIDGE = (TWO_HOP, THREE_HOP, ALIAS)
WAYS = (
    *(Way(kind=kind, form=Form.ONCE) for kind in VARIANTS),
    *(Way(kind=kind, form=Form.ASKED) for kind in _WITH_BRIDGE),
    Way(kind=ALIAS, form=Form.GIVEN),
)
"""No chain is asked with the fact's own answer told: what lies beyond it needs no knowledge of the fact."""


def chain_in(chain: Chain, way: Way) -> bool:
    """Whether a chain can be put in this form."""
    if way.form is Form.ASKED:
        return bool(chain.turns)
    return way.form is Form.ONCE or chain.given_fact is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A fact, a way, the name under which it is asked, and the chain; or why there is none."""

    fact: Fact
    way: Way
    variant: str
    chain: Chain | None
    missing: str | None = None


def put(model: Model, wanted: Sequence[Wanted], limit: int) -> list[Ask]:
    """Every question as it is put to this model; by turns, it stands behind the model's own answers to the first ones.

    Args:
        model: what is asked.
        wanted: what to put.
        limit: most new tokens of an answer on the way.
    """
    earlier: dict[int, tuple[str, ...]] = {}
    stopped: dict[int, str] = {}
    by_turns = [place for place, one in enumerate(wanted) if one.chain is not None and one.way.form is Form.ASKED]
    for turn in range(max((len(_turns(wanted[place])) for place in by_turns), default=0) - 1):
        going = [p for p in by_turns if p not in stopped and turn < len(_turns(wanted[p])) - 1]
        prompts = [Prompt(text=_turns(wanted[place])[turn], earlier=earlier.get(place, ())) for place in going]
        said = model.generate(prompts, max_new_tokens=limit) if prompts else []
        for place, prompt, answer in zip(going, prompts, said, strict=True):
            if answer.missing is not None:
                stopped[place] = answer.missing
            earlier[place] = (*prompt.earlier, prompt.text, answer.text.strip())
    return [_ask(one, earlier.get(place, ()), stopped.get(place)) for place, one in enumerate(wanted)]


def _turns(wanted: Wanted) -> tuple[str, ...]:
    return () if wanted.chain is None else wanted.chain.turns


def _ask(wanted: Wanted, earlier: tuple[str, ...], stopped: str | None) -> Ask:
    chain = wanted.chain
    if chain is None or stopped is not None:
        return prompted(wanted.fact, wanted.variant, None, stopped or wanted.missing)
    if wanted.way.form is Form.ASKED:
        return prompted(chain.asked, wanted.variant, Prompt(text=chain.turns[-1], earlier=earlier), None)
    fact = chain.given_fact if wanted.way.form is Form.GIVEN else chain.asked
    text = "" if fact is None else fact.question or ""
    return prompted(chain.asked, wanted.variant, Prompt(text=text), None)
