"""A linear probe from hidden states to answers, trained on other subjects and read on the subject that is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from unlearn_audit.api import Fact, Model, Prompt
from unlearn_audit.api.kit.answer_key import normalize
from unlearn_audit.api.kit.asking import is_askable

FloatArray = npt.NDArray[np.float64]
FOLDS = 2
PENALTIES = np.logspace(-1, 5, 13)

TOO_FEW = "too few other subjects to train a probe on"
NO_EMBEDDING = "the architecture has no output embedding to aim a probe at"
NOT_NUMBERS = "the model's states are not numbers"


def fold_of(fact: Fact) -> int:
    """Which half of the subjects a fact is in: by a hash of the subject alone."""
    return hashlib.sha256(f"probe\x1f{normalize(fact.subject)}".encode()).digest()[0] % FOLDS


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A probe of one fold and depth, with the means of its training facts by relation."""

    probe: Any
    spread: FloatArray
    states: Mapping[str | None, FloatArray]
    answers: Mapping[str | None, FloatArray]

    def along(self, fact: Fact, state: FloatArray, targets: FloatArray) -> FloatArray:
        """Cosine of each answer with what the probe says, both relative to their relation's mean."""
        said = self.probe.predict(((state - self.states[fact.relation]) / self.spread)[None])[0]
        away = targets - self.answers[fact.relation]
        size = np.linalg.norm(away, axis=1) * np.linalg.norm(said)
        found: FloatArray = away @ said / np.maximum(size, 1e-12)
        return found


class LinearProbes:
    """Ridge regressions from the state at the last prompt token to the answer, one for each half of the subjects.

    An answer is the mean of the output embeddings of its tokens, so that answers which no training fact has can be
    told too. States and answers are taken relative to the mean of their relation among the training facts: what is
    left to predict is what tells subjects apart. The penalty is chosen by leave-one-out error on the training facts.

    Args:
        model: what is probed; its own probes are trained on it.
        pool: the facts to train on, each for the other half alone.
        depths: blocks behind which states are read, counted from 1.
        minimum_subjects: fewest subjects that train a probe.
    """

    def __init__(self, model: Model, pool: Sequence[Fact], *, depths: Sequence[int], minimum_subjects: int) -> None:
        self._model = model
        self._depths = tuple(depths)
        self._embedding = _embedding_of(model)
        self._targets: dict[tuple[str, str], FloatArray] = {}
        self._unread: dict[str, str] = {}
        askable = [fact for fact in pool if is_askable(fact)]
        self._states = self._states_of([fact.question or "" for fact in askable])
        self._facts = [fact for fact in askable if fact.question not in self._unread]
        self._trained = [self._train(fold, minimum_subjects) for fold in range(FOLDS)] if self._readable else []

    @property
    def _readable(self) -> bool:
        return self._embedding is not None and all(np.isfinite(states).all() for states in self._states.values())

    def prepare(self, facts: Sequence[Fact]) -> None:
        """Takes the states of facts that are not of the pool."""
        asked = [fact.question or "" for fact in facts if is_askable(fact)]
        self._states |= self._states_of([question for question in asked if question not in self._states])

    def alignments(self, fact: Fact, options: Sequence[str]) -> list[list[float]] | str:
        """For each depth, how well each answer agrees with what the probe says of a fact; or why there is nothing."""
        if self._embedding is None:
            return NO_EMBEDDING
        question = fact.question or ""
        if question in self._unread:
            return self._unread[question]
        states = self._states[question]
        if not self._readable or not np.isfinite(states).all():
            return NOT_NUMBERS
        trained = self._trained[fold_of(fact)]
        if trained is None or fact.relation not in trained[0].states:
            return TOO_FEW
        targets = np.stack([self._target(fact, option) for option in options])
        return [one.along(fact, states[place], targets).tolist() for place, one in enumerate(trained)]

    def _train(self, fold: int, minimum_subjects: int) -> list[_Trained] | None:
        """The probes that score a fold, one for each depth, trained on all but that fold."""
        facts = [fact for fact in self._facts if fold_of(fact) != fold]
        if len({normalize(fact.subject) for fact in facts}) < minimum_subjects:
            return None
        answers = np.stack([self._target(fact, fact.answer or "") for fact in facts])
        states = np.stack([self._states[fact.question or ""] for fact in facts])
        relations = [fact.relation for fact in facts]
        return [_fitted(states[:, place], answers, relations) for place in range(len(self._depths))]

    def _states_of(self, questions: Sequence[str]) -> dict[str, FloatArray]:
        """Question -> (depths, width), of those that the model reads; why it does not read the others is kept."""
        told = {one: self._model.unread(Prompt(text=one)) for one in dict.fromkeys(questions)}
        self._unread |= {one: why for one, why in told.items() if why is not None}
        asked = [one for one, why in told.items() if why is None]
        if not asked:
            return {}
        found = self._model.hidden_states([Prompt(text=one) for one in asked], layers=list(self._depths))
        return dict(zip(asked, found.double().numpy(), strict=True))

    def _target(self, fact: Fact, answer: str) -> FloatArray:
        """The mean output embedding of an answer's tokens, as they stand behind the question."""
        place = (fact.question or "", answer)
        if place not in self._targets:
            row = self._model.render(Prompt(text=place[0]), answer)
            ids = [token for token, own in zip(row.token_ids, row.is_answer, strict=True) if own]
            self._targets[place] = self._rows(ids)
        return self._targets[place]

    def _rows(self, token_ids: Sequence[int]) -> FloatArray:
        weight = self._embedding
        if weight is None:
            raise ValueError(NO_EMBEDDING)
        rows: FloatArray = weight[list(token_ids)].detach().float().cpu().double().mean(dim=0).numpy()
        return rows


def _embedding_of(model: Model) -> torch.Tensor | None:
    """Weights of the output embedding, else of the input embedding; None if they are not a plain matrix."""
    for name in ("get_output_embeddings", "get_input_embeddings"):
        try:
            weight = getattr(getattr(model.module, name)(), "weight", None)
        except (AttributeError, NotImplementedError):
            continue
        if isinstance(weight, torch.Tensor) and weight.ndim == 2 and weight.is_floating_point():
            return weight
    return None


def _fitted(states: FloatArray, answers: FloatArray, relations: Sequence[str | None]) -> _Trained:
    from sklearn.linear_model import RidgeCV

    state_means, answer_means = _means(states, relations), _means(answers, relations)
    centred = states - np.stack([state_means[relation] for relation in relations])
    aims = answers - np.stack([answer_means[relation] for relation in relations])
    spread = np.maximum(centred.std(axis=0), 1e-6)
    probe = RidgeCV(alphas=PENALTIES, fit_intercept=False).fit(centred / spread, aims)
    return _Trained(probe=probe, spread=spread, states=state_means, answers=answer_means)


def _means(rows: FloatArray, relations: Sequence[str | None]) -> dict[str | None, FloatArray]:
    return {
        relation: rows[[own == relation for own in relations]].mean(axis=0) for relation in dict.fromkeys(relations)
    }
