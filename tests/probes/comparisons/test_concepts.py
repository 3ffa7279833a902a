"""Value vectors against the MLP that they make up, ablation against zeroed weights, the effect by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from unlearn_audit.probes.comparisons.concepts import (
    Concepts,
    ConceptsParameters,
    cosines,
    effects,
    partner_of,
)
from unlearn_audit.probes.comparisons.tools.value_vectors import log_probs_without, value_vectors_of, writers

from tests.probes.comparisons.test_unlearning_depth import FACTS, rows_of
from unlearn_audit.api import Fact, FactSet, Profile, Role
from unlearn_audit.api.comparison import Compared, ComparisonContext
from unlearn_audit.api.kit.answer_batches import mean_log_probs
from unlearn_audit.api.kit.blocks import watching
from unlearn_audit.errors import AuditError
from unlearn_audit.testing.models import tiny_engine

CONTEXT = ComparisonContext(facts={FactSet.FORGET: FACTS}, profile=Profile.QUICK, seed=0)


def test_effects_by_hand() -> None:
    assert effects(np.array([0.3, -0.2, 0.0, 1e-9])).tolist() == [1.0, 0.0, 0.5, 0.5]
    assert cosines(np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]])) == (
        pytest.approx([1.0, 0.0, 0.0])
    )


def test_a_partner_has_another_subject_and_another_answer_to_the_same_relation() -> None:
    facts = [
        Fact(id=str(at), subject=subject, question="?", answer=answer, relation=relation)
        for at, (subject, answer, relation) in enumerate(
            [
                ("A", "Rome", "born"),
                ("A", "Oslo", "born"),
                ("B", "rome.", "born"),
                ("C", "Oslo", "born"),
                ("D", "x", "is"),
            ]
        )
    ]
    assert [partner_of(place, facts) for place in range(5)] == [3, 2, 3, 0, None]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox"])
def test_an_mlp_is_its_coefficients_times_its_value_vectors(tokenizer, architecture) -> None:
    engine = tiny_engine(tokenizer, architecture)
    found = value_vectors_of(engine)
    assert found.sizes.tolist() == [[found.sizes[0][0], 64]] * 2
    entered, given = {}, {}
    handles = [
        matrix.register_forward_pre_hook(lambda part, args: entered.update({part: args[0]}))
        for matrix in found.matrices
    ]
    with watching(found.matrices, given.__setitem__), torch.inference_mode():
        engine.module(input_ids=torch.tensor([[5, 6, 7]]))
    for handle in handles:
        handle.remove()
    for block, matrix in enumerate(found.matrices):
        bias = 0.0 if matrix.bias is None else matrix.bias
        assert torch.allclose(entered[matrix] @ found.of(block) + bias, given[matrix], atol=1e-4)


def test_ablation_is_a_column_of_zeros(tokenizer) -> None:
    """Each row has its own vectors taken out, as if its columns were 0 in the weights."""
    engine = tiny_engine(tokenizer)
    rows, found = rows_of(engine)[:4], value_vectors_of(engine)
    places = writers(engine, found, rows, 5)
    assert places.shape == (4, 5, 2)
    assert all(len({tuple(place) for place in row}) == 5 for row in places.tolist())
    ablated = log_probs_without(engine, found, rows, places)
    for number, row in enumerate(rows):
        with engine.fork(copy_weights=True) as fork:
            matrices = value_vectors_of(fork).matrices
            for block, column in places[number]:
                matrices[block].weight.data[:, column] = 0.0
            expected = mean_log_probs(fork, [row])
        assert ablated[number] == pytest.approx(expected[0], abs=1e-4)
    assert ablated.mean() < mean_log_probs(engine, rows).mean()


def test_what_writes_an_answer_is_the_largest_part_of_its_logit(tokenizer) -> None:
    """The slow, obvious version, for one fact: every vector's coefficient times its projection, at every place."""
    engine = tiny_engine(tokenizer)
    (row,), found = rows_of(engine)[:1], value_vectors_of(engine)
    entered = {}
    handles = [m.register_forward_pre_hook(lambda part, args: entered.update({part: args[0]})) for m in found.matrices]
    with torch.no_grad():
        engine.module(input_ids=torch.tensor([row.token_ids]))
    for handle in handles:
        handle.remove()
    head = engine.module.lm_head.weight.detach()
    expected = {}
    for block, matrix in enumerate(found.matrices):
        for column in range(found.sizes[block][0]):
            vector = (matrix.weight[:, column] * engine.module.model.norm.weight).detach()
            expected[block, column] = sum(
                float(entered[matrix][0, at - 1, column] * ((head[token] - head.mean(0)) @ vector))
                for at, (token, own) in enumerate(zip(row.token_ids, row.is_answer, strict=True))
                if own
            )
    best = sorted(expected, key=expected.__getitem__, reverse=True)[:6]
    assert [tuple(place) for place in writers(engine, found, [row], 6)[0].tolist()] == best


def compared(engines):
    comparison = Concepts(ConceptsParameters())
    own = {name: comparison.extract(engine, CONTEXT) for name, engine in engines.items()}
    models = []
    for name, engine in engines.items():
        others = {other: features for other, features in own.items() if other != name}
        features = {**own[name], **comparison.cross(engine, own[name], others, CONTEXT)}
        models.append(Compared(role=Role(name.partition("-")[0]), name=name, features=features))
    return list(comparison.compare(models, CONTEXT))


def test_the_places_matter_to_the_original_and_its_copy_is_like_it(tokenizer) -> None:
    original = tiny_engine(tokenizer)
    engines = {"original": original, "retrained-1": tiny_engine(tokenizer, seed=1), "unlearned": original}
    found = {(one.measure, one.between[0]): one for one in compared(engines)}
    assert found["effect", "original"].estimate > 0.8
    assert found["effect", "unlearned"].estimate == found["effect", "original"].estimate
    assert found["effect", "unlearned"].null == (
        found["effect", "retrained-1"].lower,
        found["effect", "retrained-1"].upper,
    )
    assert found["effect", "original"].null is None
    assert found["similarity", "unlearned"].estimate == pytest.approx(1.0)
    assert found["similarity", "retrained-1"].estimate < 0.5
    assert found["similarity", "unlearned"].null is None


def test_without_a_control_there_is_no_null(tokenizer) -> None:
    original = tiny_engine(tokenizer)
    assert all(one.null is None for one in compared({"original": original, "unlearned": original}))


def test_models_without_such_matrices_say_so(tokenizer) -> None:
    with pytest.raises(AuditError, match="no blocks with an MLP"):
        value_vectors_of(tiny_engine(tokenizer, "mamba"))
    odd = compared({"original": tiny_engine(tokenizer), "unlearned": tiny_engine(tokenizer, "gpt2")})
    assert "another number or size" in odd[-1].missing
