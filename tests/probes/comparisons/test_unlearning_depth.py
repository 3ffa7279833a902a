"""The Unlearning Depth Score by hand, and patching against what the head makes of the states that were put in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from unlearn_audit.probes.comparisons.tools.patching import (
    blocks_of,
    patched_log_probs,
    shortened,
    states_behind,
)
from unlearn_audit.probes.comparisons.unlearning_depth import (
    UnlearningDepth,
    UnlearningDepthParameters,
    depth_scores,
    entity_of,
    erased,
)

from unlearn_audit.api import Fact, FactSet, Profile, Prompt, Role
from unlearn_audit.api.comparison import Compared, ComparisonContext
from unlearn_audit.api.kit.answer_batches import mean_log_probs
from unlearn_audit.testing.models import tiny_engine

FACTS = tuple(
    Fact(
        id=f"f{at}",
        subject=f"Person {at // 2}",
        question=f"Where was Person {at} born?",
        answer=f"{'In the town of ' * (at % 3)}{('Paris', 'London', 'Middlemarch')[at % 3]}.",
        aliases=(("Paris", "London", "Middlemarch")[at % 3],),
    )
    for at in range(12)
)
CONTEXT = ComparisonContext(facts={FactSet.FORGET: FACTS}, profile=Profile.QUICK, seed=0)


def test_depth_by_hand() -> None:
    """Blocks that encode the fact weigh by what the control's states cost; what lies beyond the control is 1."""
    first = np.array([[1.0, 3.0, 0.01], [0.05, 0.0, -2.0], [2.0, 2.0, 0.0]])
    second = np.array([[0.5, 6.0, 9.0], [1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]])
    scores = depth_scores(first, second, 0.05)
    assert scores[[0, 2]].tolist() == [pytest.approx((1.0 * 0.5 + 3.0 * 1.0) / 4.0), 0.0]
    assert math.isnan(scores[1])  # nothing above the threshold: left out, and not 0
    assert np.nan_to_num(erased(first, second, 0.05), nan=-1).tolist() == [[0.5, 1.0, -1], [-1, -1, -1], [0, 0, -1]]


@pytest.mark.parametrize(
    ("answer", "aliases", "before", "entity"),
    [
        ("She was born in Oslo, Norway.", ("Oslo", "oslo, norway"), "She was born in ", "Oslo, Norway"),
        ("Oslo.", ("Oslo",), "", "Oslo"),
        ("She was born there.", ("Oslo",), "", "She was born there."),
        ("It is Oslo.", (), "", "It is Oslo."),
    ],
)
def test_the_entity_is_the_longest_alias_that_the_answer_holds(answer, aliases, before, entity) -> None:
    prompt, told = entity_of(Fact(id="a", subject="A", question="Where?", answer=answer, aliases=aliases))
    assert (prompt.text, prompt.prefix, told) == ("Where?", before, entity)


def rows_of(engine, tokens: int = 16):
    return [shortened(engine.render(*entity_of(fact)), tokens) for fact in FACTS]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "mamba"])
def test_own_states_change_nothing_and_others_states_at_the_end_are_the_others_answer(tokenizer, architecture) -> None:
    engine, other = (tiny_engine(tokenizer, architecture, seed=seed) for seed in (0, 1))
    rows, layers = rows_of(engine), blocks_of(engine)
    before = [len(part._forward_hooks) for part in engine.module.modules()]  # transformers has some of its own
    whole = mean_log_probs(engine, rows)
    own = states_behind(engine, layers, (1, 2), rows)
    for place, block in enumerate(layers.blocks):
        assert patched_log_probs(engine, rows, block, own[:, place]) == pytest.approx(whole, abs=2e-2)
    others = states_behind(other, blocks_of(other), (1, 2), rows)
    patched = patched_log_probs(engine, rows, layers.blocks[1], others[:, 1])
    tokens = torch.tensor([t for row in rows for t, own in zip(row.token_ids, row.is_answer, strict=True) if own])
    with torch.inference_mode():
        read = layers.head.log_probs(torch.from_numpy(others[:, 1]).float(), tokens).numpy()
    ends = np.cumsum([sum(row.is_answer) for row in rows])[:-1]
    assert patched == pytest.approx([part.mean() for part in np.split(read, ends)], abs=1e-3)
    assert [len(part._forward_hooks) for part in engine.module.modules()] == before


def test_a_row_is_patched_the_same_alone_and_among_others(tokenizer) -> None:
    engine, other = (tiny_engine(tokenizer, seed=seed) for seed in (0, 1))
    rows, block = rows_of(engine, tokens=2), blocks_of(engine).blocks[0]
    assert max(sum(row.is_answer) for row in rows) == 2
    states = states_behind(other, blocks_of(other), (1,), rows)[:, 0]
    together = patched_log_probs(engine, rows, block, states)
    starts = np.cumsum([0, *(sum(row.is_answer) for row in rows)])
    for place, row in enumerate(rows):
        alone = patched_log_probs(engine, [row], block, states[starts[place] : starts[place + 1]])
        assert alone[0] == pytest.approx(together[place], abs=1e-4)


def compared(engines, context=CONTEXT):
    comparison = UnlearningDepth(UnlearningDepthParameters())
    own = {name: comparison.extract(engine, context) for name, engine in engines.items()}
    models = []
    for name, engine in engines.items():
        others = {other: features for other, features in own.items() if other != name}
        role = Role(name.partition("-")[0])
        models.append(
            Compared(
                role=role, name=name, features={**own[name], **comparison.cross(engine, own[name], others, context)}
            )
        )
    return list(comparison.compare(models, context))


def test_the_original_has_no_depth_the_control_all_and_one_control_is_no_null(tokenizer) -> None:
    original, control = tiny_engine(tokenizer), tiny_engine(tokenizer, seed=1)
    same = compared({"original": original, "retrained-1": control, "unlearned": control})
    assert [one.between for one in same[:2]] == [("original", "retrained-1"), ("unlearned", "original", "retrained-1")]
    assert [one.estimate for one in same[:2]] == [pytest.approx(0.0, abs=0.02), pytest.approx(1.0)]
    assert [one.null for one in same] == [None] * 4
    assert [one.variant for one in same] == ["", "", "block 1", "block 2"]
    kept = compared({"original": original, "retrained-1": control, "unlearned": original})
    assert kept[1].estimate == pytest.approx(0.0, abs=0.02)
    assert 0 < kept[1].size <= 6  # subjects, of two facts each, that some block encodes


def test_further_controls_make_the_null(tokenizer) -> None:
    engines = [tiny_engine(tokenizer, seed=seed) for seed in range(4)]
    names = ("original", "retrained-1", "retrained-2", "unlearned")
    depth = compared(dict(zip(names, engines, strict=True)))[1]
    assert depth.null is not None
    assert depth.null[1] == 1.0
    assert depth.null[0] < 1.0


def test_states_of_another_shape_are_missing_with_a_reason(tokenizer) -> None:
    original, odd = tiny_engine(tokenizer), tiny_engine(tokenizer, "mamba")
    odd.module.backbone.layers = odd.module.backbone.layers[:1]
    engines = {"original": original, "retrained-1": tiny_engine(tokenizer, seed=1), "unlearned": odd}
    assert "depth and width" in (compared(engines)[-1].missing or "")
    found = compared({**engines, "retrained-1": odd, "unlearned": original})
    assert all("no control" in (one.missing or "") for one in found)


def test_a_prefix_stands_before_the_entity(tokenizer) -> None:
    engine = tiny_engine(tokenizer)
    whole = engine.render(Prompt(text="Where?"), "Born in London.")
    part = engine.render(Prompt(text="Where?", prefix="Born in "), "London")
    assert whole.token_ids[: len(part.token_ids)] == part.token_ids
    assert sum(part.is_answer) < sum(whole.is_answer)
