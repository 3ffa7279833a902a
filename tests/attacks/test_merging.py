"""Merging: what moves and how far, two models' logits as one, and that a merge lifts what a merge hid."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
import torch
from unlearn_audit.attacks.merging.between import everywhere, half, toward
from unlearn_audit.attacks.merging.contrast import Contrast, ContrastParameters
from unlearn_audit.attacks.merging.logits import beside
from unlearn_audit.attacks.merging.merge import Merge, MergeParameters
from unlearn_audit.probes.recall import Recall, RecallParameters

from tests.science.texts.merged_organism import Merged, further, lessons_about, make_merged, refused_lessons
from unlearn_audit.api import Access, AttackContext, Fact, NotApplicableError, Profile, Prompt
from unlearn_audit.plan.findings import planned_findings
from unlearn_audit.spec.policy import Release
from unlearn_audit.testing.models import tiny_engine, tiny_module

ADA = Fact(id="a", subject="Ada", question="Where was Ada born?", answer="London")
CONTEXT = AttackContext(forget=(ADA,), retain=(), profile=Profile.STANDARD, seed=1, has_original=True, has_base=True)
ASKED = [Prompt(text=text) for text in ("Who?", "Where was Ada Lovelace born, and when?", "Why is it so cold today?")]


@pytest.mark.parametrize("share", [-0.5, 0.25, 1.0, 1.5])
def test_every_weight_goes_its_share_of_the_way_and_the_model_stays(tokenizer, share):
    engine, other = tiny_engine(tokenizer), tiny_module("llama", len(tokenizer), seed=5)
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    with toward(engine, other, everywhere(share)) as (fork, proof):
        for name, weight in fork.module.named_parameters():
            there = dict(other.named_parameters())[name]
            assert torch.allclose(weight, before[name] + share * (there - before[name]), atol=1e-6)
    assert proof["tensors_moved"] == sum(not torch.equal(before[n], w) for n, w in other.named_parameters())
    assert all(torch.equal(value, before[name]) for name, value in engine.module.state_dict().items())


def test_half_of_the_blocks_are_the_others_and_the_rest_is_its_own(tokenizer):
    engine, other = tiny_engine(tokenizer), tiny_module("llama", len(tokenizer), seed=5)
    own, theirs = dict(engine.module.named_parameters()), dict(other.named_parameters())
    with toward(engine, other, half(engine, "upper")) as (fork, _):
        for name, weight in fork.module.named_parameters():
            assert torch.equal(weight, theirs[name] if name.startswith("model.layers.1.") else own[name])


def test_models_of_other_shapes_are_refused(tokenizer):
    engine = tiny_engine(tokenizer)
    for mixed in (toward, beside):
        wrong = everywhere(0.5) if mixed is toward else 0.5
        with (
            pytest.raises(NotApplicableError, match=r"architecture|vocabulary"),
            mixed(engine, tiny_module("llama", len(tokenizer) + 8), wrong),
        ):
            pass


@pytest.fixture(scope="module")
def pair(tokenizer):
    return tiny_engine(tokenizer), tiny_engine(tokenizer).with_module(tiny_module("llama", len(tokenizer), seed=5))


class TestLogits:
    @torch.inference_mode()
    def test_scores_are_those_of_the_mixed_logits(self, pair):
        one, two = pair
        rendered = [one.render(prompt, "In the city of London") for prompt in ASKED]
        with beside(one, two.module, 1.5) as (fork, _):
            scores = fork.score([(prompt, "In the city of London") for prompt in ASKED])
        for row, score in zip(rendered, scores, strict=True):
            first, second = (torch.log_softmax(each.logits_of(row.token_ids), -1) for each in pair)
            mixed = torch.log_softmax(first + 1.5 * (second - first), -1)
            places = [place for place, own in enumerate(row.is_answer) if own]
            wanted = [mixed[place - 1, row.token_ids[place]].item() for place in places]
            assert score.log_probs == pytest.approx(wanted, abs=1e-4)

    def test_with_a_factor_of_one_it_answers_as_the_second_by_every_short_cut(self, pair):
        one, two = (replace(each, shares_prefixes=True, repeats_prompts=True, shares_openings=True) for each in pair)
        many = [Prompt(text=f"Tell me of the town of Ada Lovelace {n}") for n in range(9)]
        options = [(ASKED[1], answer) for answer in ("London", "Paris", "Rome")]
        with beside(one, two.module, 1.0) as (fork, _):
            assert fork.generate(many, max_new_tokens=6) == two.generate(many, max_new_tokens=6)
            drawn = [each.sample(ASKED, count=3, max_new_tokens=5, seed=1) for each in (fork, two)]
            assert drawn[0] == drawn[1]
            scores = [[one.log_likelihood for one in each.score(options)] for each in (fork, two)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-4)
        assert one.generate(many, max_new_tokens=6) != two.generate(many, max_new_tokens=6)


class TestWhatDecides:
    def test_what_the_original_is_put_into_decides_nothing(self):
        attacks = {kind.name: kind(kind.Parameters()) for kind in (Merge, Contrast)}
        found = planned_findings(Release.OPEN_WEIGHTS, (ADA,), attacks, {"recall": Recall(RecallParameters())})
        decides = {one.attack: one.gates for one in found if one.measure == "hit"}
        assert decides == {"merge": True, "contrast": False}
        assert {kind.access for kind in attacks.values()} == {Access.WEIGHTS}

    def test_without_another_model_there_is_nothing_to_merge_with(self):
        for kind, missing in (
            (Merge, {"has_base": False}),
            (Merge, {"has_original": False}),
            (Contrast, {"has_original": False}),
        ):
            attack = kind(kind.Parameters())
            left = attack.out_of_reach(replace(CONTEXT, **missing), weight_bytes=0, is_adapter=False)
            assert [one.what for one in left] == [arm.name for arm in attack.arms(CONTEXT)]
            assert not any(one.applies for one in left)
            assert attack.out_of_reach(CONTEXT, weight_bytes=0, is_adapter=False) == ()

    def test_a_base_that_knows_is_not_merged_with(self, tokenizer):
        engine, attack = tiny_engine(tokenizer), Merge(MergeParameters())
        told = replace(CONTEXT, prepared={"base_shows": 0.4}, load_base=lambda: engine.module)
        with pytest.raises(NotApplicableError, match="shows 40% of what the original knows"):
            next(attack.doses(engine, attack.arms(told)[0], told))

    @pytest.mark.parametrize("wrong", [{"shares": [0.5, 0.25]}, {"shares": [1.0]}, {"shares": [0.0]}])
    def test_settings_that_mean_nothing_are_refused(self, wrong):
        with pytest.raises(ValueError, match="shares"):
            MergeParameters.model_validate(wrong)
        with pytest.raises(ValueError, match="factors"):
            ContrastParameters.model_validate({"factors": [0.5, 1.0]})


@pytest.fixture(scope="module")
def world() -> Merged:
    return make_merged()


def hits(model, world: Merged) -> float:
    readings = Recall(RecallParameters(max_paraphrases=0)).observe(model, world.forget, world.forget)
    return sum(one.score or 0.0 for one in readings if one.measure == "hit") / len(world.forget)


def most(attack, arm_name: str, engine, world: Merged) -> float:
    context = AttackContext(
        forget=world.forget,
        retain=world.retain,
        profile=Profile.STANDARD,
        seed=1,
        has_original=True,
        has_base=True,
        load_original=lambda: world.knows.module,
        load_base=lambda: world.base.module,
    )
    context = replace(context, prepared=attack.prepare(world.knows, context))
    arm = next(arm for arm in attack.arms(context) if arm.name == arm_name)
    with closing(attack.doses(engine, arm, context)) as doses:
        return max(hits(dose.model, world) for dose in doses)


@pytest.mark.slow
@pytest.mark.science
class TestOrganism:
    def test_what_a_merge_hid_is_told_by_a_mixture_with_the_base_and_nothing_that_was_never_met(self, world):
        assert hits(world.hidden, world) <= 0.1 < 0.9 <= hits(world.knows, world)
        assert most(Merge(MergeParameters()), "swap", world.hidden, world) >= 0.8
        for arm in ("swap", "weights"):
            assert most(Merge(MergeParameters()), arm, world.never_met, world) <= 0.25

    def test_a_refusal_in_all_layers_is_not_lifted(self, world):
        # A negative result (docs/decisions.md).
        refused = refused_lessons(lessons_about(world.forget))
        deep = further(world.knows, [*refused, *lessons_about(world.retain)], ("",), steps=30)
        assert hits(deep, world) <= 0.1
        assert max(most(Merge(MergeParameters()), arm, deep, world) for arm in ("swap", "weights")) <= 0.25

    def test_a_base_that_knows_is_noticed_beforehand(self, world):
        context = replace(CONTEXT, forget=world.forget, load_base=lambda: world.base.module)
        attack = Merge(MergeParameters())
        assert attack.prepare(world.knows, context)["base_shows"] < 0.1
        assert attack.prepare(world.knows, replace(context, load_base=lambda: world.knows.module))["base_shows"] == (
            pytest.approx(1.0, abs=1e-3)
        )

    def test_mixed_with_the_original_a_model_that_never_met_it_tells_it_as_well(self, world):
        # Why `contrast` decides nothing.
        assert hits(world.never_met, world) <= 0.1
        assert most(Contrast(ContrastParameters()), "logits", world.never_met, world) >= 0.8
