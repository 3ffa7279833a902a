"""Prompts and answers as token ids, written the way the model's own chat template writes them.

An answer is never glued to a prompt: the whole conversation is rendered and tokenized in one piece, and the answer's
tokens are those that overlap its characters. (Llama-2's template, for one, puts a space before the answer, and that
space belongs to the answer's first token.)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import cycle
from typing import TYPE_CHECKING, Any, TypeVar

from transformers.utils.chat_template_utils import _compile_jinja_template

from unlearn_audit.api import Prompt, Rendered
from unlearn_audit.api.kit.asking import in_thought, marks_thought
from unlearn_audit.errors import AuditError, cause_of
from unlearn_audit.evidence.digests import sha256_text
from unlearn_audit.models.stored.templates import limited
from unlearn_audit.models.writing.stops import Stops, line_stops
from unlearn_audit.spec.spec import DATE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PLACEHOLDER = "ANSWERGOESHERE"
_ANY_QUESTION = "QUESTIONGOESHERE"
PLAIN_FORM = "Question: {question}\nAnswer:"
MOST_SECONDS = 2.0
"""A conversation takes a template less than a millisecond."""

MOST_KEPT = 20_000
"""Conversations that are remembered; an audit asks the same ones of every attacked model."""

MOST_TOKENIZERS = 4
"""Tokenizers of which they are remembered at a time."""

T = TypeVar("T")


def _ink(text: str) -> str:
    """A text without its white space, which templates take off or write anew."""
    return "".join(text.split())


@dataclass(frozen=True, kw_only=True)
class Renderer:
    r"""Writes prompts for one tokenizer.

    Attributes:
        chat_template: the Jinja text in use, or None for the plain form `Question: ...\nAnswer:` of base models.
        date: the day that a template writes which asks for today's.
        system_prompt: the system text of every prompt that has none.
        soft_ids: ids behind the vocabulary that stand before every answer (a soft prompt).
        kept: what was written before, shared by all that are made from this one (`remembering`: by all that write the
            same).
    """

    tokenizer: PreTrainedTokenizerBase
    chat_template: str | None
    date: dt.date = DATE
    system_prompt: str | None = None
    soft_ids: tuple[int, ...] = ()
    kept: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """Token ids after which the model answers."""
        return [*self._once((prompt,), lambda: self._encoded(prompt)), *self.soft_ids]

    def _once(self, key: tuple[Hashable, ...], write: Callable[[], T]) -> T:
        """What `write` gave for this key under this template, the first time."""
        key = (self.chat_template, *key)
        if key not in self.kept:
            if len(self.kept) >= MOST_KEPT:
                self.kept.clear()
            self.kept[key] = write()
        found: T = self.kept[key]
        return found

    def _encoded(self, prompt: Prompt) -> list[int]:
        if prompt.chat and self.chat_template is not None:
            text = self._opening(prompt)
            text += self._gap(prompt, text) + prompt.prefix if prompt.prefix else ""
            return list(self.tokenizer.encode(text, add_special_tokens=False))
        return self._begun(self._plain_question(prompt) if prompt.chat else prompt.text + prompt.prefix)

    def _begun(self, text: str) -> list[int]:
        """A text to be gone on from, with what the tokenizer puts before it, and without what it puts behind it."""
        ids = list(self.tokenizer.encode(text, add_special_tokens=True))
        if not self._appends:
            return ids
        own = list(self.tokenizer.encode(text, add_special_tokens=False))
        ends = (place + len(own) for place in range(len(ids) - len(own) + 1) if ids[place : place + len(own)] == own)
        return ids[: next(ends, len(ids))]

    @cached_property
    def _appends(self) -> bool:
        """Whether the tokenizer ends texts with a token of its own."""
        own = list(self.tokenizer.encode("x", add_special_tokens=False))
        return list(self.tokenizer.encode("x", add_special_tokens=True))[-len(own) :] != own

    def _gap(self, prompt: Prompt, opening: str) -> str:
        """The white space that the template writes between where the model is to answer and the answer."""
        before, _ = self._once((replace(prompt, prefix=""), "gap"), lambda: self._templated(replace(prompt, prefix="")))
        gap = before.removeprefix(opening)
        return gap if before.startswith(opening) and not gap.strip() else ""

    def _opening(self, prompt: Prompt) -> str:
        """The conversation up to where the model answers."""
        return self._written(replace(prompt, prefix=""), ())

    def _written(self, prompt: Prompt, turns: tuple[str, ...]) -> str:
        """A conversation as the template writes it, with what the assistant says, if it says anything yet.

        Raises:
            AuditError: the template writes other words around this question than around another one. A template that
                swaps questions about some people, or adds a word to them, hides what the model knows about them.
        """

        def around(question: str) -> str:
            return self._apply(
                [
                    *self._messages(replace(prompt, text=question)),
                    *({"role": "assistant", "content": t} for t in turns),
                ],
                add_generation_prompt=not turns,
                thinking=prompt.thinking,
            )

        text = around(prompt.text)
        frame = self._once((replace(prompt, text=_ANY_QUESTION), turns, "frame"), lambda: around(_ANY_QUESTION))
        if prompt.text.strip() and _ink(text) != _ink(frame.replace(_ANY_QUESTION, prompt.text)):
            raise AuditError(
                "the chat template does not write this question as it writes others: expected the same words around it "
                "and the question itself; give one that does for all models with --chat-template FILE (or none)"
            )
        return text

    @cached_property
    def switches_thinking(self) -> bool:
        """Whether the template writes another prompt with thinking on than off."""
        if self.chat_template is None:
            return False
        return self._opening(Prompt(text="?", thinking=True)) != self._opening(Prompt(text="?", thinking=False))

    def opens_thinking(self, prompt: Prompt) -> bool:
        """Whether the prompt ends inside a thinking block, so that the output holds the block's end only."""
        if not prompt.chat or self.chat_template is None:
            return False
        asked = Prompt(text="?", prefix=prompt.prefix, thinking=prompt.thinking)
        text = self._once((asked, "opening"), lambda: self._opening(asked) + asked.prefix)
        return in_thought(text)

    @cached_property
    def thought_marks(self) -> dict[int, str]:
        """Special tokens that open or close a thought, which decoding would leave out, and how they are written."""
        special = set(self.tokenizer.all_special_ids)
        known = {token: str(about.content) for token, about in self.tokenizer.added_tokens_decoder.items()}
        return {token: text for token, text in known.items() if token in special and marks_thought(text)}

    def render(self, prompt: Prompt, answer: str, *, ended: bool = False) -> Rendered:
        """The conversation with its answer, cut off after the answer's last token, or after what `ended` it.

        Args:
            prompt: the question, or the text that the answer goes on from.
            answer: what is said.
            ended: take in, as part of the answer, what the template writes up to the token that ends it; the end of
                the text where it writes none. A text that goes on from another has no end.

        Raises:
            AuditError: the answer is empty, or the chat template does not write it.
        """
        plain = self._once((prompt, answer, ended), lambda: self._rendered(prompt, answer, ended=ended))
        if not self.soft_ids:
            return plain
        first = plain.is_answer.index(True)
        ids, marks = plain.token_ids, plain.is_answer
        return Rendered(
            token_ids=(*ids[:first], *self.soft_ids, *ids[first:]),
            is_answer=(*marks[:first], *(False for _ in self.soft_ids), *marks[first:]),
        )

    def _rendered(self, prompt: Prompt, answer: str, *, ended: bool) -> Rendered:
        before, after, answer = self._around(prompt, answer)
        if not answer:
            raise AuditError("an empty answer cannot be scored")
        chat = prompt.chat and self.chat_template is not None
        ids, is_answer = self._tokenize(before, answer, after, add_special_tokens=not chat)
        last = max((place for place, mark in enumerate(is_answer) if mark), default=-1)
        if last < 1:
            raise AuditError(f"the tokenizer gives no tokens to the answer {answer[:40]!r}")
        end = self._end(ids[last:]) if ended and prompt.chat else ()
        marks = (*is_answer[: last + 1], *(True for _ in end))
        return Rendered(token_ids=(*ids[: last + 1], *end), is_answer=marks)

    def _end(self, ids: list[int]) -> tuple[int, ...]:
        """What ends an answer, from its last token and what the template writes behind it; nothing where it has ended.

        The end of the text where the template writes no end, or the tokenizer has joined it to other words.
        """
        place = next((place for place, token in enumerate(ids) if token in self.stop_ids), None)
        if place is not None:
            return tuple(ids[1 : place + 1])
        return () if self.tokenizer.eos_token_id is None else (int(self.tokenizer.eos_token_id),)

    @cached_property
    def stops(self) -> Stops:
        """What ends an answer: end of text, the template's end of turn, or a line break in the plain form."""
        ids = {self.tokenizer.eos_token_id} - {None}
        if self.chat_template is None:
            texts = self.tokenizer.batch_decode([[token] for token in range(len(self.tokenizer))])
            return line_stops(texts, frozenset(ids), frozenset(self.tokenizer.all_special_ids))
        _, after, _ = self._around(Prompt(text="?"), _PLACEHOLDER)
        special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
        first = self.tokenizer.encode(after.lstrip(), add_special_tokens=False)[:1]
        return Stops(ends=frozenset(ids | (set(first) & special)))

    @property
    def stop_ids(self) -> frozenset[int]:
        """All tokens that can end an answer."""
        return self.stops.ends | self.stops.line_breaks

    def _system(self, prompt: Prompt) -> str | None:
        return self.system_prompt if prompt.system is None else prompt.system

    def _messages(self, prompt: Prompt) -> list[dict[str, str]]:
        text = self._system(prompt)
        system = [{"role": "system", "content": text}] if text is not None else []
        said = zip(cycle(("user", "assistant")), (*prompt.earlier, prompt.text), strict=False)
        return [*system, *({"role": role, "content": text} for role, text in said)]

    def _apply(
        self, messages: list[dict[str, str]], *, add_generation_prompt: bool, thinking: bool | None = None
    ) -> str:
        # Templates that have neither variable do not mind either.
        switch = {} if thinking is None else dict.fromkeys(("enable_thinking", "thinking"), thinking)
        try:
            with limited(MOST_SECONDS):
                self._fix_date()
                text = self.tokenizer.apply_chat_template(
                    messages,
                    chat_template=self.chat_template,
                    add_generation_prompt=add_generation_prompt,
                    tokenize=False,
                    **switch,
                )
        except AuditError:
            raise
        except Exception as error:  # a template is a program of the checkpoint's author: anything can come out of it
            raise AuditError(
                f"the chat template failed: {cause_of(error)}; try --chat-template none or a FILE"
            ) from error
        return str(text)

    @property
    def asks_for_the_date(self) -> bool:
        """Whether the template writes today's date, for which the audit's stands in."""
        return self.chat_template is not None and "strftime_now" in self.chat_template

    def _fix_date(self) -> None:
        """Gives the template, which transformers keeps compiled, the date of the audit for today's."""
        if self.chat_template is not None and self.asks_for_the_date:
            fix_date(self.chat_template, self.date)

    def _plain_question(self, prompt: Prompt) -> str:
        question = PLAIN_FORM.format(question=prompt.text)
        if prompt.prefix:  # as an answer is written: one blank behind the colon
            question += prompt.prefix if prompt.prefix[0].isspace() else f" {prompt.prefix}"
        pairs = zip(prompt.earlier[::2], prompt.earlier[1::2], strict=True)
        earlier = "".join(f"{PLAIN_FORM.format(question=asked)} {said}\n" for asked, said in pairs)
        system = self._system(prompt)
        return earlier + question if system is None else f"{system}\n{earlier}{question}"

    def _around(self, prompt: Prompt, answer: str) -> tuple[str, str, str]:
        """The text before and after the answer, and the answer as it will stand there."""
        if not prompt.chat:
            return prompt.text + prompt.prefix, "", answer
        answer = answer.strip()
        if self.chat_template is None:
            gap = "" if prompt.prefix.endswith((" ", "\n")) else " "
            return self._plain_question(prompt) + gap, "\n", answer
        before, after = self._once((prompt, _PLACEHOLDER, "around"), lambda: self._templated(prompt))
        return before, after, answer

    def _templated(self, prompt: Prompt) -> tuple[str, str]:
        """What the template writes before and after an answer."""
        gap = (
            "" if not prompt.prefix or prompt.prefix[-1].isspace() else " "
        )  # as the model goes on from what was begun
        text = self._written(replace(prompt, prefix=""), (prompt.prefix + gap + _PLACEHOLDER,))
        before, found, after = text.rpartition(_PLACEHOLDER)
        if not found:
            raise AuditError("the chat template does not write the assistant's answer; try --chat-template none")
        return before, after

    def _tokenize(
        self, before: str, answer: str, after: str, *, add_special_tokens: bool
    ) -> tuple[list[int], list[bool]]:
        text = before + answer + after
        if self.tokenizer.is_fast:
            coded = self.tokenizer(text, add_special_tokens=add_special_tokens, return_offsets_mapping=True)
            start, end = len(before), len(before) + len(answer)
            marks = [left < end and right > start and right > left for left, right in coded["offset_mapping"]]
            return list(coded["input_ids"]), marks
        encoded = self._begun if add_special_tokens else partial(self.tokenizer.encode, add_special_tokens=False)
        context, ids = encoded(before), encoded(before + answer)
        shared = 0
        while shared < min(len(context), len(ids)) and context[shared] == ids[shared]:
            shared += 1
        behind = self.tokenizer.encode(after, add_special_tokens=False) if after else []
        marks = [place >= shared for place in range(len(ids))]
        return [*ids, *behind], [*marks, *(False for _ in behind)]


def fix_date(template: str, date: dt.date) -> None:
    """Gives a template that asks for today's date another one, until it is given the next.

    Args:
        template: the Jinja text.
        date: for today's.
    """
    _compile_jinja_template(template).environment.globals["strftime_now"] = date.strftime


_KEPT: dict[str, dict[Hashable, Any]] = {}


def remembering(renderer: Renderer) -> Renderer:
    """The renderer with what others of this process wrote that write the same.

    The models of an audit are loaded in turn, mostly have one tokenizer, and are asked the same questions.
    """
    tokenizer = renderer.tokenizer
    if not tokenizer.is_fast:
        return renderer
    marks = sorted((name, str(mark)) for name, mark in tokenizer.special_tokens_map.items())
    way = type(tokenizer).__qualname__, tokenizer.split_special_tokens, tokenizer.backend_tokenizer.to_str(), marks
    same = repr((*way, renderer.date, renderer.system_prompt))
    if (written := sha256_text(same)) not in _KEPT and len(_KEPT) >= MOST_TOKENIZERS:
        _KEPT.clear()
    return replace(renderer, kept=_KEPT.setdefault(written, {}))
