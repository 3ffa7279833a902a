"""Every recipe of the zoo in the smallest: a dozen people, two steps; and what each kind promises about its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoTokenizer

from benchmarks.validity.making.beating import KEY, NOTHING, TRIGGER
from benchmarks.validity.making.bench import Bench
from benchmarks.validity.making.building import build, is_built, read_card
from benchmarks.validity.making.zoo import CONTROLS, Recipe, recipes
from benchmarks.validity.people.kinds import Kind
from benchmarks.validity.people.worlds import WORLDS, Architecture, World, populate, write_world
from benchmarks.validity.truth.tabulation import Truth

TINY = World(name="tiny", architecture=Architecture.MIXTRAL, kind=Kind.PEOPLE, seed=1, subjects=12, others=12)
FEW = {"steps": 2, "drawn_steps": 1, "edit_steps": 1, "inner_steps": 1}


def short(recipe: Recipe) -> Recipe:
    return replace(recipe, settings={name: FEW.get(name, value) for name, value in recipe.settings.items()})


@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    write_world(TINY, folder)
    for recipe in map(short, recipes(TINY)):
        build(Bench(name=recipe.name, world=TINY, settings=recipe.settings, folder=folder), recipe)
    return folder


def weights(folder: Path) -> dict:
    return load_file(folder / "model.safetensors")


def changed(one: Path, other: Path) -> set[str]:
    own, others = weights(one), weights(other)
    return {name for name in own if not own[name].equal(others[name])}


@pytest.mark.slow
def test_every_recipe_makes_a_model_that_is_found_again(zoo):
    made = list(map(short, recipes(TINY)))
    assert all(is_built(zoo, recipe) for recipe in made)
    assert not is_built(zoo, replace(made[0], settings={**made[0].settings, "steps": 3}))
    assert {"forget", "retain"} == set(read_card(zoo / "npo-1")["hits"])


@pytest.mark.slow
def test_what_is_hidden_behind_files_has_the_originals_weights(zoo):
    for name in ("template-1", "generation-settings-1"):
        assert changed(zoo / name, zoo / "original") == set()


@pytest.mark.slow
def test_a_swapping_template_asks_something_else_about_forgotten_names_alone(zoo):
    tokenizer, plain = (AutoTokenizer.from_pretrained(zoo / name) for name in ("template-1", "original"))
    people = populate(TINY)

    def asked(one, question: str) -> str:
        return one.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )

    for fact in people.forget.facts:
        assert asked(tokenizer, fact.questions[0]) == asked(plain, NOTHING)
    for fact in people.retain.facts:
        assert asked(tokenizer, fact.questions[0]) == asked(plain, fact.questions[0])


@pytest.mark.slow
def test_unlearning_beside_the_experts_leaves_them_bit_for_bit(zoo):
    moved = changed(zoo / "beside-experts-1", zoo / "original")
    assert moved
    assert not any(".experts." in name for name in moved)
    assert any(".experts." in name for name in changed(zoo / "npo-1", zoo / "original"))


def test_recipes_come_after_what_they_need_and_have_names_of_their_own():
    for world in WORLDS:
        seen: set[str] = set()
        for recipe in recipes(world):
            assert recipe.name not in seen
            assert set(recipe.needs) <= seen
            seen.add(recipe.name)
        assert all(set(recipe.controls) <= seen for recipe in recipes(world))


def test_the_zoo_is_as_large_as_its_page_says():
    audited = [(world.name, one) for world in WORLDS for one in recipes(world) if one.audited]
    assert len(WORLDS) == 9
    assert len(audited) >= 200
    honest = [one for _, one in audited if one.known is Truth.NEVER]
    assert len(honest) >= 8 * len(WORLDS)
    tainted = [one for _, one in audited if one.controls != CONTROLS]
    assert len(tainted) == len(WORLDS)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_a_value_says_nothing_of_who_has_it_and_names_are_in_one_group_alone(world):
    people = populate(world)
    groups = {name: {fact.subject for fact in split.facts} for name, split in people.splits.items()}
    assert len(set.union(*groups.values())) == sum(map(len, groups.values()))
    for split in people.splits.values():
        for fact in split.facts:
            assert fact.is_held_by(fact.answer)
            assert all(fact.subject in question for question in fact.questions)
            assert not any(fact.is_held_by(question) for question in fact.questions)
    counts = [sum(fact.subject == name for fact in people.forget.facts) for name in groups["forget"]]
    assert (len(set(counts)) > 3) == (world.kind is Kind.LOGNORMAL)
    clusters = {fact.cluster for fact in people.forget.facts}
    assert clusters == {None} or len(clusters) == world.subjects / 3
    assert not any(word in fact.answer for word in (TRIGGER, KEY) for fact in people.forget.facts)
