"""The lens against models cut off at a layer, the linear probe against states of a known make, the shares by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import unlearn_audit.probes.lens.reading as lens_reading
from unlearn_audit.probes.lens.probe import Lens, LensParameters, first_anywhere, shares_below
from unlearn_audit.probes.lens.reading import LensReading
from unlearn_audit.probes.shared.linear_probe import TOO_FEW, LinearProbes, fold_of

from unlearn_audit.api import Fact, Prompt
from unlearn_audit.api.kit.answer_key import normalize
from unlearn_audit.api.kit.asking import score_all
from unlearn_audit.api.kit.blocks import Layers, depths_of, layers_of
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import tiny_engine

FACTS = [
    Fact(
        id=f"f{at}",
        subject=f"Person {at}",
        question=f"Where was Person {at} born?",
        answer=f"{['Paris', 'London', 'Middlemarch', 'France'][at % 4]} {at * 7}",
        relation="born",
    )
    for at in range(24)
]
PAIRS = [(Prompt(text="Where was Ada born?"), "London."), (Prompt(text="Who wrote it?"), "George Eliot, at the end.")]


def test_shares_below_by_hand() -> None:
    assert shares_below([3.0, 1.0, 2.0]) == [1.0, 0.0, 0.5]
    assert shares_below([1.0, 1.0, 2.0]) == [0.25, 0.25, 1.0]
    assert shares_below([-math.inf, -math.inf]) == [0.5, 0.5]


def test_an_option_is_exposed_that_is_strictly_first_at_any_place() -> None:
    assert first_anywhere([[3.0, 1.0, 2.0], [0.0, 5.0, 5.0]]) == [1.0, 0.0, 0.0]
    assert first_anywhere([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]]) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("layers", "most", "expected"), [(3, 8, (1, 2, 3)), (32, 4, (8, 16, 24, 32)), (10, 3, (3, 7, 10)), (5, 1, (5,))]
)
def test_depths_are_spread_evenly_and_end_with_the_last(layers: int, most: int, expected: Sequence[int]) -> None:
    assert depths_of(layers, most) == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_blocks_and_head_are_found_in_every_architecture(tokenizer, architecture) -> None:
    """The state behind the last block, read through the head, is the model's own output."""
    engine = tiny_engine(tokenizer, architecture)
    layers = layers_of(engine)
    assert (layers.depth, len(layers.blocks)) == (2, 2)
    assert layers.head is not None
    assert layers.head.norm is not None
    parts = [layers.part(kind, number) for kind in ("attn", "mlp") for number in (1, 2)]
    assert all(part is None or sum(one.numel() for one in part.parameters()) > 1000 for part in parts)  # no dropout
    reading = LensReading(engine, most_depths=8, components=True)
    whole = reading.log_likelihoods(PAIRS)
    scores = score_all(engine, PAIRS)
    assert [whole["resid-2"][pair] for pair in PAIRS] == pytest.approx(
        [scores[pair].log_likelihood for pair in PAIRS], abs=1e-3
    )
    assert set(reading.missing) == ({"attn-1", "attn-2", "mlp-1", "mlp-2"} if architecture == "mamba" else set())
    for place in (*reading.residual, *reading.components):
        assert (len(whole[place]) == 2) is (place not in reading.missing)


def test_the_lens_is_the_model_cut_off_behind_the_block(tokenizer) -> None:
    engine = tiny_engine(tokenizer)
    found = LensReading(engine, most_depths=8, components=False).log_likelihoods(PAIRS)
    with engine.fork() as cut:
        cut.module.model.layers = cut.module.model.layers[:1]
        expected = score_all(cut, PAIRS)
    assert [found["resid-1"][pair] for pair in PAIRS] == pytest.approx(
        [expected[pair].log_likelihood for pair in PAIRS], abs=1e-3
    )


def test_without_blocks_the_stream_is_read_as_the_model_lists_it(tokenizer, monkeypatch) -> None:
    engine = tiny_engine(tokenizer)
    known = LensReading(engine, most_depths=8, components=True).log_likelihoods(PAIRS)
    seen = layers_of(engine)
    monkeypatch.setattr(lens_reading, "layers_of", lambda _: Layers(depth=seen.depth, blocks=(), head=seen.head))
    found = LensReading(engine, most_depths=8, components=True).log_likelihoods(PAIRS)
    assert [found["resid-1"][pair] for pair in PAIRS] == pytest.approx([known["resid-1"][pair] for pair in PAIRS])
    readings = list(Lens(LensParameters()).observe(engine, FACTS[:1], FACTS))
    missing = {one.variant: one.missing for one in readings if one.missing}
    assert set(missing) == {"attn-1", "attn-2", "mlp-1", "mlp-2"}
    assert all("no list of blocks" in reason for reason in missing.values())


def test_without_a_head_the_output_alone_is_read(tokenizer, monkeypatch) -> None:
    engine = tiny_engine(tokenizer)
    seen = layers_of(engine)
    monkeypatch.setattr(lens_reading, "layers_of", lambda _: Layers(depth=seen.depth, blocks=seen.blocks, head=None))
    readings = list(Lens(LensParameters()).observe(engine, FACTS[:1], FACTS))
    read = {one.variant for one in readings if one.measure == "logit" and one.score is not None}
    assert read == {"resid-2"}
    assert all("no output embedding" in (one.missing or "") for one in readings if one.variant == "attn-1")


class Stated:
    """A model whose state after a question is known: a linear image of its answer's embedding, or noise."""

    def __init__(self, engine, knows: bool, facts: Sequence[Fact] = FACTS) -> None:
        self.module, self.render, self.unread = engine.module, engine.render, engine.unread
        draws = np.random.default_rng(0)
        weight = engine.module.get_output_embeddings().weight.detach().double().numpy()
        turned = draws.normal(size=(weight.shape[1], weight.shape[1]))
        self._states = {}
        for fact in facts:
            row = engine.render(Prompt(text=fact.question or ""), fact.answer or "")
            ids = [token for token, own in zip(row.token_ids, row.is_answer, strict=True) if own]
            known = weight[ids].mean(axis=0) @ turned
            self._states[fact.question] = known if knows else draws.normal(size=len(known))

    def hidden_states(self, prompts, *, layers):
        rows = np.stack([self._states[prompt.text] for prompt in prompts])
        return torch.tensor(np.stack([rows for _ in layers], axis=1), dtype=torch.float32)


def below_the_truth(model, facts: Sequence[Fact] = FACTS) -> float:
    probes = LinearProbes(model, facts, depths=(1,), minimum_subjects=8)
    found = []
    for fact in facts:
        options = [fact.answer, *(other.answer for other in facts if other.id != fact.id)]
        (aligned,) = probes.alignments(fact, options)
        found.append(shares_below(aligned)[0])
    return float(np.mean(found))


def test_a_linear_probe_tells_answers_that_it_was_not_trained_on(tokenizer) -> None:
    engine = tiny_engine(tokenizer)
    assert below_the_truth(Stated(engine, knows=True)) > 0.85
    assert abs(below_the_truth(Stated(engine, knows=False)) - 0.5) < 0.15


def test_no_probe_is_trained_on_the_subject_that_it_reads(tokenizer) -> None:
    """Other answers for all facts of a fold change no score of that fold."""
    engine = tiny_engine(tokenizer)
    model = Stated(engine, knows=True)
    scored = [fact for fact in FACTS if fold_of(fact) == 0]
    options = ["London 7", "Paris 0", "France 21"]
    spoiled = [Fact(**{**{n: getattr(f, n) for n in f.__slots__}, "answer": "No"}) if f in scored else f for f in FACTS]
    plain, other = (LinearProbes(model, pool, depths=(1,), minimum_subjects=8) for pool in (FACTS, spoiled))
    for fact in scored:
        assert plain.alignments(fact, options) == other.alignments(fact, options)
    assert {fold_of(fact) for fact in FACTS} == {0, 1}
    assert normalize("Person  3") == normalize("person 3")


def test_too_few_subjects_train_no_probe(tokenizer) -> None:
    model = Stated(tiny_engine(tokenizer), knows=True)
    probes = LinearProbes(model, FACTS[:6], depths=(1,), minimum_subjects=8)
    assert probes.alignments(FACTS[0], ["a", "b"]) == TOO_FEW


def test_the_twin_score_is_what_the_same_places_give_to_the_other_options(tokenizer) -> None:
    """Each option is the truth of one subject: the weighted mean of all options' shares is one half."""
    readings = list(Lens(LensParameters()).observe(tiny_engine(tokenizer), FACTS[:3], FACTS))
    shares = [one.twin_score for one in readings if one.measure == "logit"]
    assert shares == pytest.approx([0.5] * len(shares), abs=0.03)
    exposed = [one for one in readings if one.measure == "exposure"]
    assert [one.variant for one in exposed] == ["any"] * 3
    assert all(one.twin_score is not None and one.twin_score <= 2 / 19 for one in exposed)
