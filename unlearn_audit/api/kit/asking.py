"""How questions are put and outputs read, the same in every probe, so that probes share their forward passes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from unlearn_audit.api.facts import Fact
from unlearn_audit.api.model import AnswerScore, Generation, Model, Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Pair: TypeAlias = tuple[Prompt, str]

_LONGEST: WeakKeyDictionary[PreTrainedTokenizerBase, dict[frozenset[str], int]] = WeakKeyDictionary()

NO_QUESTION = "the fact has no question and answer"
CUT_OFF = "cut off before the answer"
NOT_A_NUMBER = "the model's log-probability is not a number"

_MARK = re.compile(
    r"(?P<open><(?:seed:)?think(?:ing)?>|<(?:thought|reasoning|reflection)>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|"
    r"<\|START_THINKING\|>|<\|inner_prefix\|>|<\|channel\|?>\s*(?:analysis|commentary|thought)|<unused94>)|"
    r"(?P<close></(?:seed:)?think(?:ing)?>|</(?:thought|reasoning|reflection)>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|"
    r"<\|END_THINKING\|>|<\|inner_suffix\|>|<\|channel\|>\s*final|<channel\|>|<unused95>)"
)
"""What opens and closes a thought: Qwen, DeepSeek, GLM; Seed; Mistral; Kimi; Cohere; Apertus; the channels of gpt-oss
and of Gemma."""

_CLOSERS = ("</think>", "</thinking>", "</thought>", "</reasoning>", "[/THINK]", "</seed:think>")
"""What may end a thought that a template has opened."""

_TAIL, _TIMES, _CIRCLE = 600, 3, 12
"""A circle is looked for in so many last letters, is gone around so often, and has so many letters in all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One fact asked in one way. `question` is None where the fact cannot be asked so, and `missing` says why."""

    fact: Fact
    variant: str
    question: str | None
    missing: str | None = None

    @property
    def prompt(self) -> Prompt:
        """The question as every probe puts it."""
        return Prompt(text=self.question or "")


def is_askable(fact: Fact) -> bool:
    """Whether a fact has a question and an answer that are not blank."""
    return bool((fact.question or "").strip() and (fact.answer or "").strip())


def ways_of_asking(facts: Sequence[Fact], pool: Sequence[Fact], *, max_paraphrases: int) -> Iterator[Ask]:
    """Every fact in every variant that the pool has: `question`, `paraphrase-1`, ...

    The pool fixes the variants, so that each is a cell of the same facts for every model; a fact without one is
    missing there.
    """
    asked = max((len(fact.paraphrases) for fact in pool if is_askable(fact)), default=0)
    for fact in facts:
        for number in range(min(asked, max_paraphrases) + 1):
            yield _ask(fact, number)


def _ask(fact: Fact, number: int) -> Ask:
    variant = f"paraphrase-{number}" if number else "question"
    if not is_askable(fact):
        return Ask(fact=fact, variant=variant, question=None, missing=NO_QUESTION)
    forms = (fact.question, *fact.paraphrases)
    if number >= len(forms):
        return Ask(fact=fact, variant=variant, question=None, missing=f"the fact has no paraphrase {number}")
    return Ask(fact=fact, variant=variant, question=forms[number])


def token_limit(model: Model, pool: Sequence[Fact], *, extra_tokens: int, max_new_tokens: int) -> int:
    """How many tokens an answer may take: one limit for the pool, so that probes share their generations.

    Room for the longest answer or alias of the pool and, before it, for a restatement of the longest question ("The
    author X was born in the city of ..."): a limit that cuts a talkative model off would count what it knows as
    forgotten. A model that stops by itself pays nothing for the room.
    """
    facts = [fact for fact in pool if is_askable(fact)]
    answers = {text for fact in facts for text in (fact.answer or "", *fact.aliases)}
    questions = {text for fact in facts for text in (fact.question or "", *fact.paraphrases)}
    longest = longest_of(model.tokenizer, answers) + longest_of(model.tokenizer, questions)
    return max(1, min(max_new_tokens, longest + extra_tokens))


def questions_of(facts: Iterable[Fact]) -> list[str]:
    """The questions of facts that can be asked, each once, in their order."""
    return list(dict.fromkeys(fact.question for fact in facts if is_askable(fact) and fact.question))


def depth_of(model: Model) -> int:
    """How many blocks the language model has, of whichever model it is a part."""
    config: Any = model.module.config
    return int(config.get_text_config().num_hidden_layers)


def longest_of(tokenizer: PreTrainedTokenizerBase, texts: Set[str]) -> int:
    """Length in tokens of the longest of some texts, 0 for none; counted once, since each probe asks for it anew."""
    known, wanted = _LONGEST.setdefault(tokenizer, {}), frozenset(texts)
    if wanted not in known:
        known[wanted] = max((count_tokens(tokenizer, text) for text in wanted), default=0)
    return known[wanted]


def count_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Length of a bare text in tokens."""
    return len(tokenizer.encode(text, add_special_tokens=False))


def is_cut_off(generation: Generation, *, opened: bool) -> bool:
    """Whether an output without a hit says nothing of the answer, which may only have been about to come.

    That is so where it ended at its limit, but for one that goes in circles: more tokens would bring nothing new. And
    where it ended inside a thought. Of the answers to several ways of asking it is enough that one was.

    Args:
        generation: the output.
        opened: the prompt had opened the thinking block (`Model.opens_thinking`).
    """
    if generation.missing is not None:
        return True
    if generation.parts:
        return any(is_cut_off(part, opened=opened) for part in generation.parts)
    if in_thought(generation.text, opened=opened):
        return True
    return not generation.finished and not goes_in_circles(generation.text)


def in_thought(text: str, *, opened: bool = False) -> bool:
    """Whether a text ends inside a thought, by the marks of any family of models.

    Args:
        text: a prompt, or an output.
        opened: a thought had begun before it.
    """
    marks = list(_MARK.finditer(text))
    return opened if not marks else marks[-1].lastgroup == "open"


def thought_closer(model: Model) -> str:
    """What to begin an answer with so that it is past the thought that the model's template opens (2505.15214).

    Empty where the template opens none, or one that no mark known here ends.
    """
    if not model.opens_thinking(Prompt(text="?")):
        return ""
    ends = (mark for mark in _CLOSERS if not model.opens_thinking(Prompt(text="?", prefix=mark)))
    mark = next(ends, None)
    return "" if mark is None else f"{mark}\n\n"


def marks_thought(token: str) -> bool:
    """Whether a token opens or closes a thought, alone or with the name of a channel behind it."""
    return any(_MARK.fullmatch(f"{token}{name}") for name in ("", "final"))


def goes_in_circles(text: str) -> bool:
    """Whether a text ends in the same run of letters three times or more."""
    tail = text[-_TAIL:]
    for size in range(1, len(tail) // _TIMES + 1):
        if size * _TIMES >= _CIRCLE and tail.endswith(tail[-size:] * _TIMES):
            return True
    return any(tail.endswith(tail[-size:] * -(-_CIRCLE // size)) for size in range(1, _CIRCLE // _TIMES + 1) if tail)


def score_all(model: Model, pairs: Sequence[Pair]) -> dict[Pair, AnswerScore]:
    """Scores of all pairs, each asked for once, in one call."""
    wanted = list(dict.fromkeys(pairs))
    return dict(zip(wanted, model.score(wanted), strict=True)) if wanted else {}


def unreadable(scores: Iterable[AnswerScore]) -> str | None:
    """Why these scores cannot be used; None where all can."""
    return next((score.missing or NOT_A_NUMBER for score in scores if not is_readable(score)), None)


def is_readable(score: AnswerScore) -> bool:
    """Whether a score can be used: a broken model gives NaN, which no clipping to [0, 1] may hide."""
    return bool(score.log_probs) and not any(math.isnan(value) or value == math.inf for value in score.log_probs)
