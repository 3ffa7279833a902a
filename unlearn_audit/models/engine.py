"""The one engine for model work: answers (greedy or drawn), their scores, hidden states, for any list of prompts.

Work is sorted by length and cut into batches under a token budget; a batch that does not fit is halved, and that is
recorded. Scores are the same at any batch size (to 1e-4 in float32): scoring pads on the right, where a causal model
cannot see it; generation pads on the left, with a mask, unless the model turns out to mind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from unlearn_audit.api import AnswerScore, Generation, Model, Prompt, Rendered
from unlearn_audit.api.kit.blocks import takes_logits_to_keep
from unlearn_audit.api.kit.memory import release_memory
from unlearn_audit.api.kit.training.openings import logits_behind
from unlearn_audit.errors import AuditError
from unlearn_audit.models.adapters import adapted_layers, merged
from unlearn_audit.models.batching import (
    Answer,
    Budget,
    Item,
    Memory,
    by_room,
    context_of,
    run_batched,
    run_by_length,
    too_long,
)
from unlearn_audit.models.modules.forks import fork_module
from unlearn_audit.models.modules.tally import Tally
from unlearn_audit.models.prompting import Way, composed, joined, likeliest, put_soft_rows
from unlearn_audit.models.rendering import Renderer
from unlearn_audit.models.shared_prefix import Group, answer_score, by_width, group_rows, in_passes, score_groups
from unlearn_audit.models.writing.openings import Continuation, Opening, openings
from unlearn_audit.models.writing.sampling import Draw, Sampler, Sampling
from unlearn_audit.models.writing.stops import Stops

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A model with its tokenizer, template and batching: the `Model` of the plug-in API.

    Attributes:
        tally: counts the tokens that go through it, and through what is made from it.
    """

    module: torch.nn.Module
    renderer: Renderer
    budget: Budget
    tally: Tally = field(default_factory=Tally)
    left_padding: bool = True
    shares_prefixes: bool = False
    repeats_prompts: bool = False
    shares_openings: bool = False
    rows_leave: bool = False
    ways: tuple[Way, ...] = ()
    draws: Sampling | None = None
    ends: bool = True
    memory: dict[Hashable, Memory[Any, Any]] | None = None
    listener: Callable[[Sequence[Prompt], Sequence[Generation]], None] | None = None

    def __post_init__(self) -> None:
        """Counts what goes through the module."""
        self.tally.watch(self.module)

    def heard_by(self, listener: Callable[[Sequence[Prompt], Sequence[Generation]], None]) -> Engine:
        """The same model; `listener` is told what it is asked to write, and what it answers."""
        return replace(self, listener=listener)

    def remembering(self) -> Engine:
        """The same model, answering the same question once. For as long as its weights do not change."""
        return replace(self, memory={})

    def _complete(
        self, kind: Hashable, items: Sequence[Item], compute: Callable[[list[Item]], list[Answer]]
    ) -> list[Answer]:
        if self.memory is None:
            return compute(list(items))
        return self.memory.setdefault(kind, Memory()).complete(items, compute)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; not to be changed."""
        return self.renderer.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the first weights are, and inputs go."""
        return next(self.module.parameters()).device

    @property
    def context(self) -> int | None:
        """Most tokens that the model reads at a time; None where its settings name no limit."""
        return context_of(getattr(self.module, "config", None))

    @property
    def is_adapter(self) -> bool:
        """Whether the module is a PEFT model."""
        return hasattr(self.module, "peft_config") and hasattr(self.module, "merge_and_unload")

    def render(self, prompt: Prompt, answer: str, *, ended: bool = False) -> Rendered:
        """The rendered conversation, for training on the answer; with the end of the turn where `ended`."""
        return self.renderer.render(self._put(prompt)[0], answer, ended=ended)

    @property
    def switches_thinking(self) -> bool:
        """Whether the chat template asks otherwise with thinking on than off."""
        return self.renderer.switches_thinking

    def opens_thinking(self, prompt: Prompt) -> bool:
        """Whether the prompt leaves the model inside a thinking block."""
        return self.renderer.opens_thinking(self._put(prompt)[0])

    def asked(self, *ways: Way) -> Engine:
        """The same weights, to which every prompt is put as `ways` rewrite it."""
        return replace(self, ways=composed(ways, self.ways), memory=None)

    def drawn(self, *, count: int, seed: int, temperature: float = 1.0) -> Engine:
        """The same weights, which answer with `count` draws, one to a line."""
        how = Sampling(count=count, max_new_tokens=1, seed=seed, temperature=temperature)
        return replace(self, draws=how, memory=None)

    def unending(self) -> Engine:
        """The same weights, kept from ending an answer before the limit."""
        return replace(self, ends=False, memory=None)

    def _put(self, prompt: Prompt) -> list[Prompt]:
        """The prompt in every way in which it is put."""
        return [way(prompt) for way in self.ways] or [prompt]

    @contextmanager
    def with_soft_prompt(self, embeddings: torch.Tensor) -> Iterator[Model]:
        """A fork before whose every answer stand these input embeddings."""
        with torch.inference_mode(mode=False), self.fork() as fork:
            soft_ids = put_soft_rows(fork.module, embeddings)
            renderer = replace(self.renderer, soft_ids=(*self.renderer.soft_ids, *soft_ids))
            yield replace(self.with_module(fork.module), renderer=renderer)

    def with_module(self, module: torch.nn.Module) -> Engine:
        """The same tokenizer, template and batching around other weights."""
        return replace(self, module=module, memory=None)

    @contextmanager
    def fork(self, *, copy_weights: bool = False) -> Iterator[Model]:
        """A model whose modules can be replaced freely; shares storage unless `copy_weights`."""
        yield self.with_module(fork_module(self.module, copy_weights=copy_weights))
        release_memory()

    @contextmanager
    def merged(self) -> Iterator[Model]:
        """A fork with the adapter folded into its base; a plain fork where there is none."""
        if not (self.is_adapter or adapted_layers(self.module)):
            with self.fork() as fork:
                yield fork
            return
        # Merging writes into the base weights, so it needs a copy of its own.
        with self.fork(copy_weights=True) as fork:
            yield self.with_module(merged(fork.module))

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[Generation]:
        """Greedy answers, in the order of the prompts."""
        answers = self._complete(max_new_tokens, prompts, lambda new: self._answer_all(new, max_new_tokens))
        if self.listener is not None:
            self.listener(prompts, answers)
        return answers

    def _answer_all(self, prompts: list[Prompt], max_new_tokens: int) -> list[Generation]:
        if self.draws is not None:
            how = replace(self.draws, max_new_tokens=max_new_tokens)
            return [joined(several) for several in self._sample_all(prompts, how)]
        put = [self._put(prompt) for prompt in prompts]
        found = iter(self._generate_all([each for several in put for each in several], max_new_tokens))
        return [joined([next(found) for _ in several]) for several in put]

    def _generate_all(self, prompts: list[Prompt], max_new_tokens: int) -> list[Generation]:
        ids = [self.renderer.prompt_ids(prompt) for prompt in prompts]
        answers: dict[int, Generation] = {}
        for room, places in by_room(ids, max_new_tokens, self.context).items():
            if room == 0:
                answers |= {place: _unread(len(ids[place]), self.context) for place in places}
                continue
            found = self._generate_rows([ids[place] for place in places], room)
            answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(ids))]

    def _generate_rows(self, ids: list[list[int]], max_new_tokens: int) -> list[Generation]:
        answers: dict[int, Generation] = {}
        for opening in openings(ids) if self.shares_openings else [Opening(places=tuple(range(len(ids))), shared=0)]:
            rows = [ids[place] for place in opening.places]
            lengths = [len(row) + max_new_tokens for row in rows]
            run = partial(self._generate, shared=opening.shared, max_new_tokens=max_new_tokens)
            answers.update(zip(opening.places, self.in_batches(rows, lengths, run), strict=True))
        return [answers[place] for place in range(len(ids))]

    def in_batches(
        self, items: list[Item], lengths: list[int], run: Callable[[list[Item]], list[Answer]]
    ) -> list[Answer]:
        """Answers to prompts, which share a batch with longer ones only where left padding changes nothing."""
        in_turn = run_batched if self.left_padding else run_by_length
        return in_turn(items, lengths, self.budget, run)

    @torch.inference_mode()
    def sample(
        self, prompts: Sequence[Prompt], *, count: int, max_new_tokens: int, seed: int, temperature: float = 1.0
    ) -> list[list[Generation]]:
        """`count` answers to each prompt, drawn from the model's own distribution."""
        how = Sampling(count=count, max_new_tokens=max_new_tokens, seed=seed, temperature=temperature)
        answers = self._complete(how, prompts, lambda new: self._sample_all(new, how))
        if self.listener is not None:
            asked = [prompt for prompt, several in zip(prompts, answers, strict=True) for _ in several]
            self.listener(asked, [answer for several in answers for answer in several])
        return answers

    def _sample_all(self, prompts: list[Prompt], how: Sampling) -> list[list[Generation]]:
        put = [[how.draws(each, self.renderer.prompt_ids(each)) for each in self._put(prompt)] for prompt in prompts]
        found = iter(self._draw_all([draw for several in put for one in several for draw in one], how))
        answers = [[[next(found) for _ in one] for one in several] for several in put]
        return [[joined(each) for each in zip(*several, strict=True)] for several in answers]

    def _draw_all(self, draws: list[Draw], how: Sampling) -> list[Generation]:
        answers: dict[int, Generation] = {}
        for room, places in by_room([draw.ids for draw in draws], how.max_new_tokens, self.context).items():
            if room == 0:
                answers |= {place: _unread(len(draws[place].ids), self.context) for place in places}
                continue
            sampler, chosen = self.sampler(self.greedy(room), how.temperature), [draws[place] for place in places]
            run = partial(self._drawn, sampler)
            found = self.in_batches(chosen, [len(draw.ids) + room for draw in chosen], run)
            answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(draws))]

    def _drawn(self, sampler: Sampler, draws: list[Draw]) -> list[Generation]:
        return [self._answer(new_ids) for new_ids in sampler.draw(draws)]

    def sampler(self, config: GenerationConfig, temperature: float) -> Sampler:
        """Draws answers with these settings."""
        return Sampler(
            module=self.module,
            config=config,
            pad_id=self.pad_id,
            device=self.device,
            temperature=temperature,
            shares_prompts=self.repeats_prompts,
            stops=self.stops,
        )

    def _generate(self, rows: list[list[int]], *, shared: int, max_new_tokens: int) -> list[Generation]:
        return [self._answer(row) for row in self.continuation(max_new_tokens).new_ids(rows, shared)]

    def continuation(self, max_new_tokens: int) -> Continuation:
        """Answers prompts greedily."""
        return Continuation(
            module=self.module,
            config=self.greedy(max_new_tokens),
            pad_id=self.pad_id,
            device=self.device,
            stops=self.stops,
            leaves=self.rows_leave and self.ends,
        )

    def greedy(self, max_new_tokens: int) -> GenerationConfig:
        """Plain greedy search: none of the checkpoint's own sampling settings or penalties."""
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            min_new_tokens=None if self.ends else max_new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            eos_token_id=sorted(self.renderer.stops.ends) or None,
            pad_token_id=self.pad_id,
        )

    @property
    def stops(self) -> Stops:
        """What ends an answer; nothing but the limit where answers may not end."""
        return self.renderer.stops if self.ends else Stops(ends=frozenset())

    @property
    def pad_id(self) -> int:
        """What fills up rows; masked."""
        pad = self.tokenizer.pad_token_id
        if pad is None:
            pad = self.tokenizer.eos_token_id
        return 0 if pad is None else int(pad)

    def _answer(self, new_ids: list[int]) -> Generation:
        end = self.stops.place(new_ids)
        # In the plain form the stopping token may hold text before its line break.
        kept = new_ids if end is None else new_ids[: end + 1]
        text = self._decoded(kept)
        if self.renderer.chat_template is None and end is not None:
            text = text.strip().partition("\n")[0]
        return Generation(text=text.strip(), finished=end is not None or not self.ends, new_tokens=len(kept))

    def _decoded(self, token_ids: list[int]) -> str:
        """What tokens say: without the special ones, but for those that open and close a thought."""
        marks = self.renderer.thought_marks
        said, start = "", 0
        for place in [at for at, token in enumerate(token_ids) if token in marks]:
            said += self.tokenizer.decode(token_ids[start:place], skip_special_tokens=True) + marks[token_ids[place]]
            start = place + 1
        return said + str(self.tokenizer.decode(token_ids[start:], skip_special_tokens=True))

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[AnswerScore]:
        """Scores of (prompt, answer) pairs, in order."""
        return self._complete(None, pairs, self._best_all)

    def _best_all(self, pairs: list[tuple[Prompt, str]]) -> list[AnswerScore]:
        put = [[(prompt, answer) for prompt in self._put(asked)] for asked, answer in pairs]
        found = iter(self._score_all([pair for several in put for pair in several]))
        return [likeliest([next(found) for _ in several]) for several in put]

    def _score_all(self, pairs: list[tuple[Prompt, str]]) -> list[AnswerScore]:
        rendered = [self.renderer.render(prompt, answer) for prompt, answer in pairs]
        read = [place for place, row in enumerate(rendered) if not self._is_too_long(len(row.token_ids))]
        found = dict(zip(read, self._score_read([pairs[i] for i in read], [rendered[i] for i in read]), strict=True))
        return [found[place] if place in found else _unscored(row, self.context) for place, row in enumerate(rendered)]

    def _is_too_long(self, tokens: int) -> bool:
        return self.context is not None and tokens > self.context

    def _score_read(self, pairs: list[tuple[Prompt, str]], rendered: list[Rendered]) -> list[AnswerScore]:
        if not self.shares_prefixes:
            return run_batched(rendered, [len(row.token_ids) for row in rendered], self.budget, self.score_rows)
        groups = group_rows([prompt for prompt, _ in pairs], rendered, self.budget.tokens)
        alone = [group for group in groups if len(group.rows) == 1 or group.shared == 0]
        shared = [group for group in groups if len(group.rows) > 1 and group.shared > 0]
        rows = [row for group in alone for row in group.rows]
        found = dict(
            zip(
                (place for group in alone for place in group.places),
                run_batched(rows, [len(row.token_ids) for row in rows], self.budget, self.score_rows),
                strict=True,
            )
        )
        for alike in by_width(shared):
            scored = run_batched(alike, [group.tokens for group in alike], self.budget, self._score_groups)
            for group, scores in zip(alike, scored, strict=True):
                found.update(zip(group.places, scores, strict=True))
        return [found[place] for place in range(len(pairs))]

    def _score_groups(self, batch: list[Group]) -> list[list[AnswerScore]]:
        passes = in_passes(batch, self.context)
        return [one for groups in passes for one in score_groups(self.module, groups, self.pad_id, self.device)]

    def score_rows(self, rows: list[Rendered]) -> list[AnswerScore]:
        """Scores of one batch of rendered answers, each read whole."""
        width = max(len(row.token_ids) for row in rows)
        first = min(row.is_answer.index(True) for row in rows) - 1
        keep = width - first
        logits = self.last_logits([row.token_ids for row in rows], keep)
        return [answer_score(logits[place], row, width - keep) for place, row in enumerate(rows)]

    def logits_of(self, row: Sequence[int]) -> torch.Tensor:
        """Logits at every position of one row of token ids: float32, (tokens, vocabulary)."""
        return self.last_logits([row], len(row))[0]

    def last_logits(self, rows: Sequence[Sequence[int]], keep: int) -> torch.Tensor:
        """Logits of the last `keep` positions of right-padded rows: float32, (rows, keep, vocabulary)."""
        input_ids, mask = self._right_padded(rows)
        if takes_logits_to_keep(self.module):
            out = self.module(input_ids=input_ids, attention_mask=mask, use_cache=False, logits_to_keep=keep)
            return torch.as_tensor(out.logits).float()
        out = self.module(input_ids=input_ids, attention_mask=mask, use_cache=False)
        return torch.as_tensor(out.logits)[:, -keep:].float()

    def logits_behind(self, rows: Sequence[Sequence[int]], shared: int) -> torch.Tensor:
        """Logits from place `shared` on, of rows that open alike up to there: float32, (rows, places, vocabulary)."""
        return logits_behind(self.module, *self._right_padded(rows), shared).float()

    def _right_padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and mask, both (rows, longest), padded where a causal model cannot see it."""
        width = max(map(len, rows))
        input_ids = [[*row, *[self.pad_id] * (width - len(row))] for row in rows]
        mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
        return torch.tensor(input_ids, device=self.device), torch.tensor(mask, device=self.device)

    @torch.inference_mode()
    def hidden_states(self, prompts: Sequence[Prompt], *, layers: Sequence[int]) -> torch.Tensor:
        """Residual stream at the last prompt token: float32, (prompts, layers, width), on the CPU; NaN where unread."""
        ids = [self.renderer.prompt_ids(self._put(prompt)[0]) for prompt in prompts]
        read = [place for place, row in enumerate(ids) if not self._is_too_long(len(row))]
        if not read:
            longest = max(map(len, ids), default=0)
            raise AuditError(
                f"no prompt can be read: {too_long(longest, self.context)}" if ids else "no prompt is given"
            )

        def run(rows: list[list[int]]) -> list[torch.Tensor]:
            input_ids, mask = self._right_padded(rows)
            few = {"logits_to_keep": 1} if takes_logits_to_keep(self.module) else {}
            out = self.module(
                input_ids=input_ids, attention_mask=mask, output_hidden_states=True, use_cache=False, **few
            )
            chosen = [out.hidden_states[layer] for layer in layers]
            return [
                torch.stack([states[place, len(row) - 1].float().cpu() for states in chosen])
                for place, row in enumerate(rows)
            ]

        states = torch.stack(run_batched([ids[i] for i in read], [len(ids[i]) for i in read], self.budget, run))
        found = states.new_full((len(ids), *states.shape[1:]), math.nan)
        found[read] = states
        return found

    def unread(self, asked: Prompt | Rendered) -> str | None:
        """Why a prompt, or a prompt with its answer, is not read: it is longer than the context; None where it is."""
        row = asked.token_ids if isinstance(asked, Rendered) else self.renderer.prompt_ids(self._put(asked)[0])
        return too_long(len(row), self.context) if self._is_too_long(len(row)) else None

    @property
    def module_dtype(self) -> torch.dtype:
        """Type of the first floating-point weight."""
        return next(p.dtype for p in self.module.parameters() if p.is_floating_point())


def _unread(tokens: int, context: int | None) -> Generation:
    return Generation(text="", finished=False, new_tokens=0, missing=too_long(tokens, context))


def _unscored(row: Rendered, context: int | None) -> AnswerScore:
    answer = sum(row.is_answer)
    return AnswerScore(
        log_probs=(math.nan,) * answer, greedy=(False,) * answer, missing=too_long(len(row.token_ids), context)
    )
