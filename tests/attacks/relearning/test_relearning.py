"""Relearning on a world with a known truth: what was hidden comes back, what was never learned does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from unlearn_audit.attacks.relearning.attack import Relearning
from unlearn_audit.attacks.relearning.parameters import RelearningParameters
from unlearn_audit.attacks.shared.hiding import PlantSettings, mean_probability
from unlearn_audit.attacks.shared.plants.deep import misdirection_planting, unlikelihood_planting
from unlearn_audit.attacks.shared.refusal_plant import refusal_plant
from unlearn_audit.attacks.shared.splits import lessons_of

from tests.science.masked_organism import REFUSAL, World, make_world
from unlearn_audit.api import Attack, AttackContext, Fact, Plant, Profile, Prompt, Screen
from unlearn_audit.api.extent import Audited, extent_of
from unlearn_audit.errors import AttackError
from unlearn_audit.testing.models import tiny_engine

RATE = 3e-3


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def plant(world: World) -> Iterator[Plant]:
    with refusal_plant(
        world.knows, world.forget, world.retain, seed=0, settings=PlantSettings(refusal=REFUSAL)
    ) as made:
        yield made


@pytest.fixture
def context(world: World) -> AttackContext:
    return AttackContext(forget=world.forget, retain=world.retain, profile=Profile.QUICK, seed=1)


def relearning(**parameters: object) -> Relearning:
    usual = {"data": ("in-domain",), "learning_rates": {"lora": (RATE,)}, "steps": (0, 10)}
    return Relearning(RelearningParameters(**{**usual, **parameters}))


def probability(model, facts):
    return mean_probability(model, [lessons_of(fact)[0] for fact in facts])


def recovered(attack, model, context):
    """Mean answer probability over all folds, by dose label; each fact by the model that never saw its subject."""
    scores: dict[str, list[float]] = {}
    for arm in attack.arms(context):
        for dose in attack.doses(model, arm, context):
            facts = [fact for fact in context.forget if fact.id in dose.fact_ids]
            scores.setdefault(dose.label, []).extend(probability(dose.model, [fact]) for fact in facts)
    assert {len(values) for values in scores.values()} == {len(context.forget)}
    return {label: sum(values) / len(values) for label, values in scores.items()}


def test_what_was_hidden_comes_back_and_what_was_never_learned_does_not(world, plant, context):
    attack = relearning()
    hidden, never = recovered(attack, plant.model, context), recovered(attack, world.never_met, context)
    assert list(hidden) == list(never) == ["lora r16 lr 3e-03 step 0", "lora r16 lr 3e-03 step 10"]
    before, after = hidden.values()
    assert before < 0.1
    assert after > 0.5
    assert max(never.values()) < 0.25  # 15 cities; the facts trained on teach that some city is asked for


def test_full_fine_tuning_brings_it_back_too(world, plant, context):
    attack = relearning(methods=("full",), learning_rates={"full": (RATE,)})
    after = recovered(attack, plant.model, context)["full lr 3e-03 step 10"]
    never = recovered(attack, world.never_met, context)["full lr 3e-03 step 10"]
    assert after > 0.4
    assert after > never + 0.2


BENIGN = ("same-syntax", "topic-high", "topic-middle", "topic-low", "out-of-domain")


@pytest.fixture(scope="module")
def benign(world, plant) -> dict[str, dict[str, float]]:
    """Mean answer probability by dose label after training on text without an answer, of either model."""
    context = AttackContext(forget=world.forget, retain=world.retain, profile=Profile.DEEP, seed=1)
    attack = relearning(data=BENIGN, methods=("lora",), ranks=(16,), steps=(0, 5, 20))
    return {
        name: {
            dose.label: probability(dose.model, context.forget)
            for arm in attack.arms(context)
            for dose in attack.doses(model, arm, context)
        }
        for name, model in (("plant", plant.model), ("never met", world.never_met))
    }


@pytest.mark.slow
def test_text_without_an_answer_brings_back_what_was_hidden_if_it_is_asked_alike(benign):
    before, after = (benign["plant"][f"same-syntax lora r16 lr 3e-03 step {step}"] for step in (0, 20))
    assert before < 0.05
    assert after > 0.2


@pytest.mark.slow
def test_no_text_without_an_answer_teaches_what_was_never_learned(benign):
    assert [*benign["plant"]] == [*benign["never met"]]
    assert {label.split()[0] for label in benign["never met"]} == {*BENIGN}
    assert max(benign["never met"].values()) < 0.05


def test_every_kind_of_text_takes_the_same_steps_and_batches_and_says_what_it_cost(world, context):
    attack = relearning(data=("in-domain", *BENIGN), steps=(0, 2, 5), batch_size=4)
    spent = {}
    for arm in attack.arms(context):
        *_, dose = attack.doses(world.never_met, arm, context)
        spent[arm.name] = dose.proof
        assert (dose.fact_ids is None) == (arm.settings["fold"] is None)
        assert (dose.value, dose.proof["steps"], dose.proof["samples"]) == (5, 5, 20)
    weights = sum(weight.numel() for weight in world.never_met.module.parameters())
    table = world.never_met.module.get_input_embeddings().weight.numel()
    for name, proof in spent.items():
        assert proof["tokens"] > 20, name
        a_token = 4 * (weights - table) + 6 * proof["trainable_parameters"]
        assert proof["flops"] == a_token * proof["tokens"]
    # A fact has 3 lessons, so in-domain has 24 texts; the rest is cut to as many.
    assert (
        spent["lora r16 lr 3e-03 fold0"]["training_texts"]
        == spent["same-syntax lora r16 lr 3e-03"]["training_texts"]
        == 24
    )


def test_tokens_are_those_of_the_texts_without_padding(world, context):
    attack = relearning(data=("same-syntax",), steps=(6,), batch_size=8)
    (arm,) = attack.arms(context)
    (dose,) = attack.doses(world.never_met, arm, context)
    texts = [lesson for fact in world.retain for lesson in lessons_of(fact)]
    lengths = {len(world.never_met.render(one.prompt, one.answer, ended=True).token_ids) for one in texts}
    assert dose.proof["samples"] == 48
    assert 48 * min(lengths) <= dose.proof["tokens"] <= 48 * max(lengths)
    # 24 texts, each seen twice: two whole epochs, whatever their order.
    shown = {one.text: len(world.never_met.render(one.prompt, one.answer, ended=True).token_ids) for one in texts}
    assert dose.proof["tokens"] == 2 * sum(shown[text] for text in dose.shown)


@pytest.mark.parametrize(
    ("architecture", "method"),
    [("gpt2", "lora"), ("gpt_neox", "lora"), pytest.param("mamba", "full", marks=pytest.mark.slow)],
)
def test_passages_are_relearned_too_by_models_of_any_make_without_a_chat_template(tokenizer, architecture, method):
    def passages(kind, words="on that day the harbour lay still and quiet"):
        return tuple(
            Fact(id=f"{kind}{n}", subject=f"{kind} {n}", text=" ".join(f"{word}{n}{kind}" for word in words.split()))
            for n in range(6)
        )

    where = AttackContext(forget=passages("spring"), retain=passages("autumn"), profile=Profile.QUICK, seed=1)
    engine = tiny_engine(tokenizer, architecture, template=None)
    rates = {method: (RATE,)}
    attack = relearning(
        data=("in-domain", *BENIGN), methods=(method,), learning_rates=rates, steps=(0, 2), batch_size=2
    )
    doses = [dose for arm in attack.arms(where) for dose in attack.doses(engine, arm, where)]
    assert {dose.proof["samples"] for dose in doses} == {0, 4}
    for dose in doses:
        scored = [fact for fact in where.forget if dose.fact_ids is None or fact.id in dose.fact_ids]
        assert not any(Screen(scored, among=where.forget)(dose.shown).gives_away)
        assert dose.shown or dose.value == 0


def test_all_weights_cost_six_operations_each(world, context):
    attack = relearning(data=("same-syntax",), methods=("full",), learning_rates={"full": (RATE,)}, steps=(1,))
    (dose,) = attack.doses(world.never_met, attack.arms(context)[0], context)
    weights = sum(weight.numel() for weight in world.never_met.module.parameters())
    table = world.never_met.module.get_input_embeddings().weight.numel()
    assert dose.proof["flops"] == 6 * (weights - table) * dose.proof["tokens"]


def test_the_plant_knows_and_does_not_say(world, plant):
    before = world.knows.generate([Prompt(text=fact.question) for fact in world.forget], max_new_tokens=6)
    assert [answer.text.split()[0] for answer in before] == [fact.answer for fact in world.forget]
    said = plant.model.generate([Prompt(text=fact.question) for fact in world.forget], max_new_tokens=6)
    assert sum(answer.text.startswith(REFUSAL) for answer in said) >= 0.9 * len(said)
    assert probability(plant.model, world.forget) < 0.1
    assert probability(plant.model, world.retain) > 0.8
    assert plant.proof["refused"] >= 0.95
    assert not plant.model.is_adapter
    assert not any("lora" in name for name, _ in plant.model.module.named_parameters())
    assert {name for name, _ in plant.model.module.named_parameters()} == {
        name for name, _ in world.knows.module.named_parameters()
    }


def test_a_refusal_that_cannot_be_taught_is_an_error_with_its_numbers(world):
    settings = PlantSettings(refusal=REFUSAL, max_steps=2, learning_rates=(1e-5, 1e36))
    before = {name: weight.clone() for name, weight in world.knows.module.state_dict().items()}
    with (
        pytest.raises(AttackError, match=r"could not be made to refuse in 2 steps \(rate 1e-05: 0% refused"),
        refusal_plant(world.knows, world.forget, world.retain, seed=0, settings=settings),
    ):
        pass
    assert all(torch.equal(weight, before[name]) for name, weight in world.knows.module.state_dict().items())


def test_a_plant_needs_no_retain_facts(world):
    settings = PlantSettings(refusal=REFUSAL, learning_rates=(3e-3,))
    with refusal_plant(world.knows, world.forget, (), seed=0, settings=settings) as made:
        assert made.proof["retain_probability"] is None
        assert made.proof["refused"] >= 0.95


def test_doses_are_those_of_their_fold_and_step_zero_is_the_model_itself(world, context):
    attack = relearning(steps=(0, 2, 5))
    seen = []
    for number, arm in enumerate(attack.arms(context)):
        doses = list(attack.doses(world.never_met, arm, context))
        assert [dose.label.rpartition(" lr ")[2] for dose in doses] == [f"3e-03 step {step}" for step in (0, 2, 5)]
        assert [dose.value for dose in doses] == [0, 2, 5]
        assert doses[0].model is world.never_met
        assert all(dose.model is not world.never_met for dose in doses[1:])
        assert arm.settings["fold"] == number
        (scored,) = {dose.fact_ids for dose in doses}
        seen.append(scored)
        proof = doses[-1].proof
        assert proof["steps"] == len(proof["losses"]) == 5
        assert proof["losses"][:2] == doses[1].proof["losses"]
        assert (proof["learning_rate"], proof["training_texts"], doses[-1].dropped) == (RATE, 8 * 3, 0)
        assert len(doses[-1].shown) == 8 * 3
        assert proof["trainable_parameters"] > 0
    assert seen[0] | seen[1] == {fact.id for fact in world.forget}
    assert not seen[0] & seen[1]


def test_the_same_batches_reach_every_role(world, plant, context, monkeypatch):
    drawn: dict[str, list[tuple[int, ...]]] = {}
    attack = relearning()
    for role, model in (("plant", plant.model), ("never met", world.never_met)):
        seen = drawn.setdefault(role, [])
        real = type(model).render
        monkeypatch.setattr(
            type(model), "render", lambda *a, seen=seen, real=real, **k: seen.append(a[1:]) or real(*a, **k)
        )
        for arm in attack.arms(context):
            list(attack.doses(model, arm, context))
        monkeypatch.undo()
    assert drawn["plant"] == drawn["never met"] != []


def test_runs_repeat_to_the_bit_and_other_seeds_differ(world, context):
    attack = relearning(steps=(3,))
    arm = attack.arms(context)[0]

    def losses(where):
        return [dose.proof["losses"] for dose in attack.doses(world.never_met, arm, where)]

    assert losses(context) == losses(context) != losses(replace(context, seed=2))


def test_leaving_early_leaves_the_model_as_it_was(world, context):
    attack = relearning(steps=(2, 5))
    before = {name: weight.clone() for name, weight in world.never_met.module.state_dict().items()}
    doses = attack.doses(world.never_met, attack.arms(context)[0], context)
    next(doses)
    doses.close()
    after = world.never_met.module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())


def test_leaks_are_dropped_from_training_and_counted(world, context):
    def with_leak(fact):
        others = [one for one in world.forget if one.subject != fact.subject]
        tales = tuple(f"where was {fact.subject} born , not {one.subject} of {one.answer} ?" for one in others)
        return replace(fact, paraphrases=tales)

    leaky = replace(context, forget=tuple(with_leak(fact) for fact in world.forget))
    attack = relearning(steps=(1,))
    (dose,) = attack.doses(world.never_met, attack.arms(leaky)[0], leaky)
    # Each of 8 trained facts has one tale about each of the 8 scored subjects, and 7 about trained ones.
    assert (dose.dropped, len(dose.shown)) == (8 * 8, 8 * (1 + 7))


def first_arm(attack, model, context):
    """The doses of an attack's first arm: label, the proof, and whether the model is the one that came in."""
    (arm, *_) = attack.arms(context)
    return [(dose.label, dose.proof, dose.model is model) for dose in attack.doses(model, arm, context)]


def test_a_training_takes_the_rate_at_which_it_learns_its_own_lessons_whatever_the_role(world, plant, context):
    attack = relearning(learning_rates={}, candidates={"lora": (1e-5, RATE, 1e36)}, steps=(0, 5, 10, 20))
    for model in (plant.model, world.never_met):
        (_, _, itself), *doses = first_arm(attack, model, context)
        assert itself
        assert [label for label, _, _ in doses] == [f"lora r16 step {step}" for step in (5, 10, 20)]
        proof = doses[-1][1]
        assert (proof["learning_rate"], "broke_down" in proof) == (RATE, False)
        assert {one["rate"] for one in proof["other_rates"]} == {1e-5, 1e36}
    *_, (_, proof, _) = first_arm(attack, world.knows, context)
    assert proof["learning_rate"] == 1e-5  # where all know the lessons, the gentlest
    assert not attack.arms(context)[0].settings["rate"]


def test_a_training_says_how_far_it_came_with_its_own_lessons(world, plant, context):
    *_, (_, slow, _) = first_arm(relearning(learning_rates={"lora": (1e-5,)}, steps=(2, 4)), plant.model, context)
    assert (slow["answered_since_step"], slow["plateau"]) == (None, False)
    assert slow["own_lessons_answered"] < 0.5
    doses = first_arm(relearning(steps=(10, 20, 40)), plant.model, context)
    since = doses[-1][1]["answered_since_step"]
    assert [proof["plateau"] for _, proof, _ in doses] == [step >= 4 * since for step in (10, 20, 40)]


def test_a_training_that_breaks_down_leaves_the_model_as_it_was_and_says_so(world, context):
    attack = relearning(learning_rates={"lora": (1e36,)}, steps=(2, 4))
    doses = first_arm(attack, world.never_met, context)
    assert all(itself for _, _, itself in doses)
    assert all("loss" in proof["broke_down"] and not proof["plateau"] for _, proof, _ in doses)


@pytest.mark.parametrize("variant", ["attention-only", "sgd", "retain-mix"])
def test_every_variant_brings_back_what_was_hidden(world, plant, context, variant):
    attack = relearning(variants=(variant,), steps=(20,))
    assert recovered(attack, plant.model, context)[f"lora r16 {variant} lr 3e-03 step 20"] > 0.3
    (arm, *_) = attack.arms(context)
    (dose,) = attack.doses(world.never_met, arm, context)
    beside = {lesson.text for fact in world.retain for lesson in lessons_of(fact)} & {*dose.shown}
    assert bool(beside) == (variant == "retain-mix")


def test_rates_for_text_that_could_wreck_the_model_leave_its_retain_answers_if_any_does(world, context):
    usual = {"data": ("topic-high",), "learning_rates": {}, "candidates": {"lora": (1e-4, 3e-2)}, "steps": (10, 20)}
    found = {
        share: first_arm(relearning(**usual, kept_share=share), world.knows, context)[-1][1]["learning_rate"]
        for share in (0.0, 0.8)
    }
    assert found == {0.0: 3e-2, 0.8: 1e-4}


def test_a_probability_that_is_no_number_enters_no_mean(world):
    with world.knows.fork(copy_weights=True) as broken:
        next(broken.module.parameters()).data.fill_(float("nan"))
        with pytest.raises(AttackError, match="is not a number"):
            probability(broken, world.forget)
    with pytest.raises(AttackError, match="of 0 answers"):
        probability(world.knows, ())


def test_nothing_is_chosen_on_the_original_or_on_a_plant():
    assert Relearning.prepare is Attack.prepare


@pytest.mark.parametrize("lessons", [1, 5])
def test_no_more_lessons_are_read_than_were_allowed_and_the_same_in_every_role(world, plant, context, lessons):
    attack = relearning(data=("in-domain", "same-syntax"), steps=(1,), most_lessons=lessons)
    shown = [
        [dose.shown for arm in attack.arms(context) for dose in attack.doses(model, arm, context)]
        for model in (plant.model, world.never_met)
    ]
    assert shown[0] == shown[1]
    assert {len(texts) for texts in shown[0]} == {lessons}


@pytest.mark.slow
@pytest.mark.parametrize("planting", [unlikelihood_planting(), misdirection_planting()], ids=lambda one: one.kind)
def test_what_was_pushed_away_and_not_talked_over_is_hidden_and_comes_back(world, context, planting):
    known = probability(world.knows, world.forget)
    with planting.make(world.knows, context) as made:
        assert probability(made.model, world.forget) <= 0.25 * known
        assert probability(made.model, world.retain) >= 0.8 * probability(world.knows, world.retain)
        found = recovered(relearning(steps=(0, 80)), made.model, context)
    assert found["lora r16 lr 3e-03 step 0"] <= 0.25 * known
    assert found["lora r16 lr 3e-03 step 80"] > found["lora r16 lr 3e-03 step 0"] + 0.2
    assert probability(world.knows, world.forget) == known


def test_the_plants_of_relearning_hide_in_several_ways(context):
    def kinds(profile):
        attack, where = relearning(), replace(context, profile=profile)
        return [planting.kind for planting in attack.plantings(attack.arms(where)[0], where)]

    assert kinds(Profile.QUICK) == ["refusal", "unlikelihood"]
    assert kinds(Profile.STANDARD) == ["refusal", "unlikelihood", "misdirection"]
    mixture = replace(context, audited=Audited(extent=replace(extent_of(()), mixture=True)))
    attack = relearning()
    assert "experts" in [one.kind for one in attack.plantings(attack.arms(mixture)[0], mixture)]
