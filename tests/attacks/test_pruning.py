"""Pruned weights, and adapters taken off, beside doing it by hand."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from pydantic import ValidationError
from unlearn_audit.attacks.merging.adapter_removal import AdapterRemoval, AdapterRemovalParameters, refusing_adapter
from unlearn_audit.attacks.pruning.attack import Pruning, PruningParameters, own_answers, without_smallest
from unlearn_audit.attacks.pruning.snip import set_difference, snip_scores
from unlearn_audit.attacks.shared.descent.weight_scales import sizes_in
from unlearn_audit.attacks.shared.edited_weights import edited
from unlearn_audit.attacks.shared.hiding import PlantSettings
from unlearn_audit.attacks.shared.linear_layers import linear_layers
from unlearn_audit.attacks.shared.refusal_plant import refusal_plant
from unlearn_audit.attacks.shared.training import answer_loss

from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import AttackContext, Fact, FactSet, Profile, Prompt
from unlearn_audit.errors import AttackError
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import tiny_engine

FORGET = tuple(Fact(id=who, subject=who, question=f"Who is {who}?", answer=f"the {who}") for who in ("Ada", "George"))
RETAIN = tuple(Fact(id=who, subject=who, question=f"Where was {who}?", answer="Paris") for who in ("he", "she"))
CONTEXT = AttackContext(forget=FORGET, retain=RETAIN, profile=Profile.QUICK, seed=3)
PAIRS = [(Prompt(text="Who wrote Middlemarch?"), "Eliot"), (Prompt(text="Where was Ada born?"), "London, it is")]


def doses(attack, engine, context=CONTEXT):
    for arm in attack.arms(context):
        with closing(attack.doses(engine, arm, context)) as found:
            yield from found


def matrices(model) -> dict[str, torch.Tensor]:
    return {layer.name: layer.weight.detach().clone() for layer in linear_layers(model.module)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_magnitude_pruning_zeroes_the_smallest_of_each_matrix(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    before = matrices(engine)
    shares = (0.1, 0.5)
    attack = Pruning(PruningParameters(scores=("magnitude",), shares={"magnitude": shares}))
    found = [(dose.label, dose.value, matrices(dose.model), dose.proof) for dose in doses(attack, engine)]
    assert [(label, value) for label, value, *_ in found] == [("magnitude 0.1", 0.1), ("magnitude 0.5", 0.5)]
    for share, (_, _, after, proof) in zip(shares, found, strict=True):
        assert after.keys() == before.keys()
        for name, weight in before.items():
            values, sizes = weight.flatten().tolist(), (weight.abs() / sizes_in(weight)).flatten().tolist()
            gone = set(sorted(range(len(values)), key=sizes.__getitem__)[: int(share * len(values))])
            slow = [0.0 if place in gone else value for place, value in enumerate(values)]
            assert after[name].flatten().tolist() == slow, name
        assert proof["zeros"] == sum(int(share * weight.numel()) for weight in before.values())
    assert all(torch.equal(weight, before[name]) for name, weight in matrices(engine).items())


def test_of_equal_weights_the_first_go():
    layer = SimpleNamespace(weight=torch.tensor([[0.5, -0.5], [0.5, 0.5]]), experts=0)
    assert without_smallest(layer, share=0.5).tolist() == [[0.0, 0.0], [0.5, 0.5]]
    assert without_smallest(layer, share=0.1).tolist() == [[0.5, -0.5], [0.5, 0.5]]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_snip_scores_are_weight_times_gradient_text_by_text(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    fast = snip_scores(engine, PAIRS)
    slow = {name: torch.zeros_like(weight) for name, weight in matrices(engine).items()}
    with engine.fork(copy_weights=True) as fork:
        fork.module.requires_grad_(requires_grad=True)
        for prompt, answer in PAIRS:
            fork.module.zero_grad()
            answer_loss(fork, [fork.render(prompt, answer)]).backward()
            for layer in linear_layers(fork.module):
                stored = layer.module.weight
                score = (stored.detach() * stored.grad).abs() / len(PAIRS)
                slow[layer.name] += score.T if type(layer.module).__name__ == "Conv1D" else score
    assert fast.keys() == slow.keys()
    assert all(torch.allclose(fast[name], slow[name], atol=1e-6) for name in fast)
    assert max(float(scores.max()) for scores in fast.values()) > 0
    assert all(weight.grad is None for weight in engine.module.parameters())


def test_the_set_difference_by_hand():
    forget = torch.tensor([[9.0, 8.0, 7.0, 1.0]])
    utility = torch.tensor([[1.0, 9.0, 2.0, 8.0]])
    marked = set_difference(forget, utility, share=0.5, kept_share=0.25)
    assert marked.tolist() == [[True, False, False, False]]
    marked = set_difference(forget, utility, share=0.75, kept_share=0.5)
    assert marked.tolist() == [[True, False, True, False]]
    assert not set_difference(forget, utility, share=0.2, kept_share=0.5).any()


def test_snip_pruning_uses_the_models_own_answers_and_no_fact(tokenizer):
    engine = tiny_engine(tokenizer)
    attack = Pruning(PruningParameters(scores=("snip",), shares={"snip": (0.05,)}, kept=0.5))
    (dose,) = doses(attack, engine)
    other = replace(CONTEXT, forget=tuple(replace(fact, answer="something else") for fact in FORGET))
    (same,) = doses(attack, engine, other)
    assert same.model.score(PAIRS) == dose.model.score(PAIRS)
    answers = own_answers(engine, [Prompt(text=fact.question) for fact in FORGET])
    forget, useful = (
        snip_scores(engine, pairs) for pairs in (answers, [(Prompt(text=f.question), f.answer) for f in RETAIN])
    )
    before, after = matrices(engine), matrices(dose.model)
    for name, weight in before.items():
        gone = set_difference(forget[name], useful[name], share=0.05, kept_share=0.025)
        assert torch.equal(after[name], weight.masked_fill(gone, 0))
    assert (dose.label, dose.proof["texts"], dose.shown) == ("snip 0.05", [len(answers), 2], ())


def test_a_refusal_gives_way_to_snip_and_what_was_never_learned_does_not_come():
    forget, retain = first_subjects(FactSet.FORGET, 16), first_subjects(FactSet.RETAIN, 16)
    context = AttackContext(forget=forget, retain=retain, profile=Profile.QUICK, seed=1)
    asked = [(Prompt(text=fact.question), fact.answer) for fact in forget]
    attack = Pruning(PruningParameters(scores=("snip",), questions=24))

    def change(name: str) -> float:
        engine = bundled(name)
        (dose,) = doses(attack, engine, context)
        pairs = zip(dose.model.score(asked), engine.score(asked), strict=True)
        return sum(after.probability - before.probability for after, before in pairs) / len(asked)

    assert change("refusal") > 0.1
    assert change("retrained-1") < 0.05


def test_without_retain_facts_snip_is_out_of_reach(tokenizer):
    attack, alone = Pruning(PruningParameters()), replace(CONTEXT, retain=())
    assert [each.what for each in attack.out_of_reach(alone, weight_bytes=1, is_adapter=False)] == ["snip"]
    assert attack.out_of_reach(CONTEXT, weight_bytes=1, is_adapter=False) == ()
    with pytest.raises(AttackError, match="need retain facts"):
        list(doses(Pruning(PruningParameters(scores=("snip",))), tiny_engine(tokenizer), alone))


def test_an_edit_that_changes_nothing_is_an_error(tokenizer):
    with (
        pytest.raises(AttackError, match="0 weights did"),
        edited(tiny_engine(tokenizer), lambda layer: layer.weight.clone()),
    ):
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"shares": {"snip": (0.5, 0.1)}},
        {"shares": {"snip": ()}},
        {"shares": {"magnitude": (1.0,)}},
        {"scores": ("snip",), "shares": {"magnitude": (0.5,)}},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        PruningParameters(**wrong)


@pytest.fixture
def adapter(tokenizer):
    """A tiny model under an adapter that changes it."""
    engine = tiny_engine(tokenizer)
    with engine.fork(copy_weights=True) as fork, torch.random.fork_rng():
        torch.manual_seed(0)
        config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
        yield engine, fork.with_module(get_peft_model(fork.module, config).eval())


def test_an_adapter_is_merged_before_it_is_pruned(adapter):
    engine, model = adapter
    attack = Pruning(PruningParameters(scores=("magnitude",), shares={"magnitude": (0.3,)}))
    (dose,) = doses(attack, model)
    with model.merged() as merged:
        (wanted,) = doses(attack, merged)
        assert dose.model.score(PAIRS) == wanted.model.score(PAIRS)
    assert not dose.model.is_adapter
    assert dose.model.score(PAIRS) != engine.score(PAIRS)


def test_an_adapter_comes_off_in_parts(adapter):
    engine, model = adapter
    before = model.score(PAIRS)
    attack = AdapterRemoval(AdapterRemovalParameters(shares=(0.5, 1.0)))
    found = {dose.label: (dose.model.score(PAIRS), matrices(dose.model), dose.proof) for dose in doses(attack, model)}
    assert found["off 1"][0] == engine.score(PAIRS) != before
    base = matrices(engine)
    with model.merged() as merged:
        for name, weight in matrices(merged).items():
            assert torch.allclose(found["off 0.5"][1][name], (weight + base[name]) / 2, atol=1e-6)
    assert found["off 0.5"][2] == {"share": 0.5, "tensors_changed": 4}
    assert model.score(PAIRS) == before


def test_a_model_that_is_no_adapter_is_measured_as_it_is(tokenizer):
    engine = tiny_engine(tokenizer)
    attack = AdapterRemoval(AdapterRemovalParameters())
    (dose,) = doses(attack, engine)
    assert dose.model is engine
    assert "not an adapter" in dose.proof["taken off"]
    (left_out,) = attack.out_of_reach(CONTEXT, weight_bytes=1, is_adapter=False)
    assert left_out.what == attack.arms(CONTEXT)[0].name
    assert attack.out_of_reach(CONTEXT, weight_bytes=1, is_adapter=True) == ()


def test_the_plant_of_adapter_removal_hides_in_its_adapter():
    original, forget = bundled("original"), first_subjects(FactSet.FORGET, 2)
    attack = AdapterRemoval(AdapterRemovalParameters())
    asked = [(Prompt(text=fact.question), fact.answer) for fact in forget]
    settings = PlantSettings(batch_size=8, check_every=10, learning_rates=(3e-3,))
    retain = first_subjects(FactSet.RETAIN, 2)
    with refusal_plant(original, forget, retain, seed=0, settings=settings, trained=refusing_adapter) as plant:
        assert plant.model.is_adapter
        assert plant.proof["refused"] >= 0.95
        (dose,) = doses(attack, plant.model)
        assert dose.model.score(asked) == original.score(asked)
        hidden = plant.model.score(asked)
    assert sum(score.probability for score in hidden) / len(hidden) < 0.3
    assert attack.planting(attack.arms(CONTEXT)[0], CONTEXT).name == "adapter"
