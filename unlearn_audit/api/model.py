"""A model as attacks and probes see it, and what goes in and comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a model is asked.

    Attributes:
        text: the user's message, or the text to continue when `chat` is false.
        system: a system message; the chat template's own default where None.
        prefix: how the model's answer begins; generation goes on from there.
        chat: write `text` through the chat template (or the plain question form where the model has none).
        thinking: switch the model's thinking on or off, where its template can; the template's default where None.
        earlier: the conversation before `text`: messages of the user and of the model by turns.
    """

    text: str
    system: str | None = None
    prefix: str = ""
    chat: bool = True
    thinking: bool | None = None
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """An answer, greedy or drawn.

    Attributes:
        finished: false if it hit the length limit.
        missing: why there is no answer: the prompt is longer than what the model reads.
        parts: the answers it consists of, if a model was asked in several ways (`Model.asked`).
    """

    text: str
    finished: bool
    new_tokens: int
    parts: tuple[Generation, ...] = ()
    missing: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerScore:
    """Teacher-forced score of one answer.

    Attributes:
        log_probs: natural log-probability of each answer token given all before it.
        greedy: whether each answer token is the model's first choice at its position.
        missing: why there is no score: prompt and answer are longer than what the model reads.
    """

    log_probs: tuple[float, ...]
    greedy: tuple[bool, ...]
    missing: str | None = None

    @property
    def log_likelihood(self) -> float:
        """Sum over the answer's tokens, in nats."""
        return math.fsum(self.log_probs)

    @property
    def probability(self) -> float:
        """P(answer | prompt) ** (1 / tokens), in [0, 1]: the length-normalized probability of TOFU (2401.06121)."""
        mean = self.log_likelihood / len(self.log_probs)
        return math.exp(min(0.0, mean)) if mean == mean else math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A prompt with its answer as token ids; `is_answer` marks the answer's tokens.

    None of the template's are marked, but for those that end an answer where they were asked for.
    """

    token_ids: tuple[int, ...]
    is_answer: tuple[bool, ...]


class Model(Protocol):
    """A loaded model of any role, as attacks and probes see it. Neither can tell which role it has."""

    @property
    def module(self) -> torch.nn.Module:
        """The weights, in evaluation mode. Change them only on a fork."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; must not be changed."""

    @property
    def device(self) -> torch.device:
        """Where inputs go."""

    @property
    def context(self) -> int | None:
        """Most tokens that it reads at a time, prompt and answer together; None where its settings name no limit."""

    @property
    def is_adapter(self) -> bool:
        """Whether the module is a PEFT model: a base with an adapter on top."""

    @property
    def switches_thinking(self) -> bool:
        """Whether the chat template's prompt differs with thinking on and off."""

    def opens_thinking(self, prompt: Prompt) -> bool:
        """Whether the prompt, as the template writes it, leaves the model inside a thinking block."""

    def generate(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[Generation]:
        """Greedy answers, in the order of the prompts."""

    def sample(
        self, prompts: Sequence[Prompt], *, count: int, max_new_tokens: int, seed: int, temperature: float = 1.0
    ) -> list[list[Generation]]:
        """`count` answers to each prompt, drawn from the model's own distribution (no top-k, no top-p).

        Draws depend only on the prompt, the seed and the number of the sample: not on other prompts or on
        batches (except for rounding), and the noise is the same for every model. The first of many samples are those of
        few. As the temperature goes to 0, the answers become the greedy one.
        """

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[AnswerScore]:
        """Scores of (prompt, answer) pairs, the answer written as the chat template would write it."""

    def hidden_states(self, prompts: Sequence[Prompt], *, layers: Sequence[int]) -> torch.Tensor:
        """Residual stream at the last prompt token: float32, shape (prompts, layers, width), on the CPU.

        NaN for a prompt that is longer than what the model reads; `unread` says so beforehand.

        Raises:
            AuditError: every prompt is longer.
        """

    def unread(self, asked: Prompt | Rendered) -> str | None:
        """Why a prompt, or a prompt with its answer, is not read: it is longer than the context; None where it is."""

    def render(self, prompt: Prompt, answer: str, *, ended: bool = False) -> Rendered:
        """The rendered conversation, for training on the answer.

        Where `ended`, what ends an answer is a part of it: who is taught answers alone forgets how to end them. A text
        that goes on from another (`Prompt.chat` off) has no end.
        """

    def fork(self, *, copy_weights: bool = False) -> AbstractContextManager[Model]:
        """A model whose modules can be replaced freely while the caller's stays as it is.

        Shares the weights' storage unless `copy_weights`: replace modules, never write into a shared tensor.
        """

    def with_module(self, module: torch.nn.Module) -> Model:
        """The same tokenizer, template and batching around other weights."""

    def merged(self) -> AbstractContextManager[Model]:
        """A fork with the adapter folded into its base, a training's as well; a plain fork where there is none."""

    def asked(self, *ways: Callable[[Prompt], Prompt]) -> Model:
        """The same weights, with every prompt rewritten by `ways` (a suffix, a disguise).

        With several ways, as for an attacker who asks more than once, the answers are joined, one per line, and an
        answer gets the score of the way in which it is likeliest. `render` and `hidden_states` use only the first way.
        """

    def drawn(self, *, count: int, seed: int, temperature: float = 1.0) -> Model:
        """The same weights, which answer with `count` draws in place of the likeliest words.

        `generate` joins them, one to a line, as for an attacker who asks again. Draws are those of `sample`. Scores
        stay as they are.
        """

    def unending(self) -> Model:
        """The same weights, kept from ending an answer: what `generate` gives is read up to its limit, and is whole."""

    def with_soft_prompt(self, embeddings: torch.Tensor) -> AbstractContextManager[Model]:
        """A fork with these input embeddings before every answer, shape (length, width).

        They come at the end of the prompt, after the template's own opening of the answer, and are the output of the
        input embedding, so they must include any scale that it applies. They train as the parameter `soft` of
        the fork's input embedding.
        """
