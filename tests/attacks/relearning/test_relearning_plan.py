"""What relearning would run, known before any model is loaded."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from unlearn_audit.attacks.relearning.attack import Relearning, rate_label
from unlearn_audit.attacks.relearning.courses import Course, Syllabus
from unlearn_audit.attacks.relearning.data import Data
from unlearn_audit.attacks.relearning.parameters import (
    CANDIDATES,
    DEFAULT_RATES,
    QUICK_CANDIDATES,
    SLOTS,
    RelearningParameters,
)
from unlearn_audit.attacks.relearning.rates import rate_of
from unlearn_audit.attacks.shared import memory
from unlearn_audit.attacks.shared.rate_trials import Trial, choose_rates, sample_subjects

from unlearn_audit.api import AttackContext, Fact, Profile
from unlearn_audit.errors import AuditError

GIB = 2**30


RETAIN = (Fact(id="r", subject="Ann", question="Where is Ann?", answer="Oslo."),)
IN_DOMAIN = ("in-domain",)


def context(profile=Profile.QUICK, retain=RETAIN, **more):
    return AttackContext(forget=(), retain=retain, profile=profile, seed=0, **more)


def names(attack, where):
    return [arm.name for arm in attack.arms(where)]


def labels(attack, where):
    """What every fact is scored at: of the folds, one."""
    arms = [arm for arm in attack.arms(where) if arm.settings["fold"] in (None, 0)]
    return [(arm.name.removesuffix(" fold0"), step) for arm in arms for step in arm.settings["steps"]]


def test_quick_runs_one_rate_of_lora_on_two_folds_and_on_the_retain_facts():
    attack = Relearning(RelearningParameters())
    assert names(attack, context()) == ["lora r16 lr0 fold0", "lora r16 lr0 fold1", "same-syntax lora r16 lr0"]
    assert [(arm.doses, arm.share, arm.training_texts) for arm in attack.arms(context())] == [
        (3, 0.5, 16 * 40),
        (3, 0.5, 16 * 40),
        (1, 1.0, 16 * 40),
    ]


@pytest.mark.parametrize(
    ("profile", "lora", "full", "benign", "doses"),
    [(Profile.STANDARD, 6, 6, 5 * 2, 1 + 6 * 3 + 10), (Profile.DEEP, 12, 6, 5 * 9, 1 + 9 * 4 + 45 * 2)],
)
def test_the_larger_profiles_run_three_rates_and_full_fine_tuning(profile, lora, full, benign, doses):
    attack = Relearning(RelearningParameters())
    found = names(attack, context(profile))
    assert len(found) == len(set(found)) == lora + full + benign
    assert sum(name.startswith("lora") for name in found) == lora
    assert sum(name.startswith("full") for name in found) == full
    assert len(labels(attack, context(profile))) == doses


def test_benign_text_is_trained_on_at_one_rate_for_as_many_steps_and_measured_at_the_end():
    found = Relearning(RelearningParameters()).arms(context(Profile.STANDARD))
    benign = [arm for arm in found if arm.settings["data"] != "in-domain"]
    assert {arm.settings["data"] for arm in benign} == {*Data} - {Data.IN_DOMAIN}
    assert {(arm.settings["slot"], tuple(arm.settings["steps"]), arm.share) for arm in benign} == {(0, (80,), 1.0)}
    assert {arm.training_texts for arm in found} == {16 * 80}


@pytest.mark.parametrize("profile", list(Profile))
def test_the_model_itself_is_measured_once_in_the_first_arm_of_each_fold(profile):
    attack = Relearning(RelearningParameters())
    assert [name for name, step in labels(attack, context(profile)) if step == 0] == ["lora r16 lr0"]
    alone = Relearning(RelearningParameters(data=("topic-low", "out-of-domain")))
    found = labels(alone, context(profile))
    assert [name for name, step in found if step == 0] == [found[0][0]]
    assert names(Relearning(RelearningParameters(steps=(0,))), context(profile)) == [
        "lora r16 lr0 fold0",
        "lora r16 lr0 fold1",
    ]


def test_an_arm_says_all_that_its_doses_need():
    for arm in Relearning(RelearningParameters()).arms(context(Profile.DEEP)):
        course = Course.from_settings(json.loads(json.dumps(dict(arm.settings))))
        assert (course.name, dict(course.settings)) == (arm.name, dict(arm.settings))


def test_without_a_retain_set_what_is_made_of_it_is_left_out_and_said():
    attack = Relearning(RelearningParameters())
    bare = context(Profile.STANDARD, retain=())
    assert not [name for name in names(attack, bare) if name.startswith(("same-syntax", "topic-middle"))]
    gaps = {gap.what: gap.why for gap in attack.out_of_reach(bare, weight_bytes=8, is_adapter=False)}
    assert gaps == dict.fromkeys(("same-syntax", "topic-middle"), "needs retain facts; none given")
    with pytest.raises(AuditError, match="give a retain set, or texts of your own"):
        Relearning(RelearningParameters(data=("same-syntax",))).arms(bare)
    own = Relearning(RelearningParameters(data=("same-syntax",), texts={"same-syntax": ["Some text."]}))
    assert names(own, context(retain=())) == ["same-syntax lora r16 lr0"]


def test_texts_for_data_that_the_profile_leaves_out_are_an_error_and_not_ignored():
    attack = Relearning(RelearningParameters(texts={"topic-high": ["Some text."]}))
    assert any(name.startswith("topic-high") for name in names(attack, context(Profile.STANDARD)))
    with pytest.raises(AuditError, match="name it in `data`"):
        attack.arms(context())


def test_arms_are_the_same_before_and_after_the_rates_are_known():
    attack = Relearning(RelearningParameters())
    known = context(prepared={"learning_rates": {"lora": [2e-3]}})
    assert attack.arms(context()) == attack.arms(known)


@pytest.mark.parametrize(
    ("prepared", "given", "rates"),
    [
        ({}, {}, {"lora": (3e-4, 1e-3, 3e-3), "same-syntax": (1e-3,), "topic-low": (1e-3,)}),
        ({"lora": [1.0, 2.0, 3.0]}, {}, {"lora": (1.0, 2.0, 3.0), "same-syntax": (2.0,), "topic-low": (2.0,)}),
        (
            {"lora": [1.0, 2.0, 3.0], "topic-low lora": [0.5]},
            {},
            {"lora": (1.0, 2.0, 3.0), "same-syntax": (2.0,), "topic-low": (0.5,)},
        ),
        (
            {"topic-low lora": [0.5]},
            {"lora": (1e-4, 5e-4)},
            {"lora": (1e-4, 5e-4), "same-syntax": (1e-4,), "topic-low": (1e-4,)},
        ),
    ],
)
def test_a_rate_is_the_given_one_or_the_one_chosen_for_its_data_or_the_middle_of_the_methods(prepared, given, rates):
    parameters = RelearningParameters(
        data=("in-domain", "same-syntax", "topic-low"), methods=("lora",), learning_rates=given
    )
    syllabus = Syllabus(parameters=parameters, context=context(Profile.STANDARD, prepared={"learning_rates": prepared}))
    found = {}
    for course in syllabus.courses():
        if course.fold in (None, 0):
            found.setdefault(course.prefix.split()[0], []).append(rate_of(course, syllabus))
    assert {name: tuple(each) for name, each in found.items()} == rates


def test_given_rates_are_the_slots():
    given = {"lora": (1e-4, 5e-4)}
    attack = Relearning(RelearningParameters(data=IN_DOMAIN, methods=("lora",), learning_rates=given, folds=3))
    assert names(attack, context()) == [f"lora r16 lr{slot} fold{fold}" for slot in range(2) for fold in range(3)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "lora"},
        {"methods": ()},
        {"methods": ("lora", "lora")},
        {"methods": ("adapter",)},
        {"data": ("nonsense",)},
        {"data": ()},
        {"data": ("in-domain", "in-domain")},
        {"texts": {"in-domain": ["Some text."]}},
        {"texts": {"topic-low": []}},
        {"texts": {"topic-low": ["word"]}},
        {"texts": {"topic-low": [{"question": "Who?"}]}},
        {"texts": {"topic-low": [{"text": "Some text.", "question": "Who?", "answer": "I."}]}},
        {"data": ("in-domain",), "texts": {"topic-low": ["Some text."]}},
        {"steps": (0, 20, 10)},
        {"steps": (-1, 10)},
        {"steps": (0, 10, 10)},
        {"folds": 1},
        {"batch_size": 0},
        {"ranks": (0,)},
        {"methods": ("full",), "ranks": (8,)},
        {"methods": ("lora",), "learning_rates": {"full": (1e-4,)}},
        {"learning_rates": {"lora": ()}},
        {"learning_rates": {"lora": (1e-3, 1e-3)}},
        {"learning_rates": {"lora": (-1e-3,)}},
        {"learning_rates": {"lora": (1e-3,)}, "candidates": {"lora": (1e-3, 1e-2)}},
    ],
)
def test_combinations_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        RelearningParameters(**wrong)


def test_rates_for_a_method_that_the_profile_leaves_out_are_an_error_and_not_ignored():
    attack = Relearning(RelearningParameters(learning_rates={"full": (1e-4,)}))
    assert any(name.startswith("full") for name in names(attack, context(Profile.STANDARD)))
    with pytest.raises(AuditError, match="name it in `methods`"):
        attack.arms(context())


def left_out(parameters, profile, *, weight_bytes=GIB, is_adapter=False):
    attack = Relearning(RelearningParameters(**parameters))
    return attack.out_of_reach(context(profile), weight_bytes=weight_bytes, is_adapter=is_adapter)


def test_full_fine_tuning_needs_sixteen_bytes_a_parameter_and_a_quarter_more(monkeypatch):
    """1 GiB of float32 weights: 4 GiB for weights, gradients and moments, 5 with the reserve; 6.25 for an adapter."""
    free = 5 * GIB
    monkeypatch.setattr(memory, "available_bytes", lambda: (free, "a test machine"))
    alone = {"data": IN_DOMAIN}
    assert left_out(alone, Profile.STANDARD) == []
    (merged,) = left_out(alone, Profile.STANDARD, is_adapter=True)
    (larger,) = left_out(alone, Profile.STANDARD, weight_bytes=GIB + 8)
    assert merged.what == larger.what == "full"
    assert "6.2 GiB" in merged.why
    assert "5.0 GiB are free on a test machine" in merged.why


def test_what_is_out_of_reach_names_the_arms_that_fall_away(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: (0, "a test machine"))
    gaps = left_out({}, Profile.DEEP)
    found = names(Relearning(RelearningParameters()), context(Profile.DEEP))
    kept = [name for name in found if not any(name.startswith(f"{gap.what} ") for gap in gaps)]
    assert len(gaps) == len(Data)
    assert kept == [name for name in found if "lora" in name]


def test_the_quick_profile_says_what_it_leaves_out_unless_it_was_asked_for(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: (2**60, "a test machine"))
    full, data = left_out({}, Profile.QUICK)
    assert (full.what, "quick" in full.why) == ("full", True)
    assert (data.what, "quick" in data.why) == ("topic-high, topic-middle, topic-low, out-of-domain", True)
    assert left_out({"methods": ("lora", "full")}, Profile.QUICK) == [data]
    assert left_out({"methods": ("lora",), "data": IN_DOMAIN}, Profile.QUICK) == []


def test_memory_is_read_from_this_machine():
    free, where = memory.available_bytes()
    assert free > 2**20
    assert where


def trials(*rows):
    return [Trial(rate=rate, recovered=recovered, retained=1.0, keeps=keeps) for rate, recovered, keeps in rows]


BEST_IN_THE_MIDDLE = trials(
    (1e-4, 0.1, True), (3e-4, 0.5, True), (1e-3, 0.9, True), (3e-3, 0.6, True), (1e-2, 0.2, True)
)


@pytest.mark.parametrize(
    ("rows", "slots", "chosen"),
    [
        (BEST_IN_THE_MIDDLE, 1, (1e-3,)),
        (BEST_IN_THE_MIDDLE[::-1], 3, (3e-4, 1e-3, 3e-3)),
        (BEST_IN_THE_MIDDLE, 5, (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)),
        # The best at the border: its neighbours are on one side.
        (trials((1e-4, 0.9, True), (3e-4, 0.5, True), (1e-3, 0.1, True), (3e-3, 0.0, True)), 3, (1e-4, 3e-4, 1e-3)),
        # The highest recovery wrecks the retain answers: out, and so is its neighbourhood.
        (trials((1e-4, 0.3, True), (3e-4, 0.6, True), (1e-3, 0.7, True), (3e-3, 0.9, False)), 1, (1e-3,)),
        (trials((1e-4, 0.3, True), (3e-4, 0.6, True), (1e-3, 0.7, True), (3e-3, 0.9, False)), 3, (1e-4, 3e-4, 1e-3)),
        # Equal recovery: the gentler rate.
        (trials((1e-4, 0.5, True), (1e-3, 0.5, True)), 1, (1e-4,)),
        # Nothing keeps the retain answers: the strongest stands in.
        (trials((1e-3, 0.4, False), (1e-2, 0.8, False)), 1, (1e-2,)),
        # A rate at which training broke down is never the best.
        ([*trials((1e-3, 0.0, True)), Trial(rate=1e-1, recovered=None, retained=None, keeps=False)], 1, (1e-3,)),
    ],
)
def test_the_best_rates_are_neighbours_on_the_grid(rows, slots, chosen):
    assert choose_rates(rows, slots) == chosen


def test_too_few_candidates_are_an_error():
    with pytest.raises(AuditError, match="3 learning rates wanted from 2"):
        choose_rates(BEST_IN_THE_MIDDLE[:2], 3)
    with pytest.raises(AuditError, match="0 trained"):
        choose_rates([Trial(rate=1.0, recovered=None, retained=None, keeps=False)], 1)


def test_every_default_fits_its_profile():
    for profile, slots in SLOTS.items():
        grid = QUICK_CANDIDATES if profile is Profile.QUICK else CANDIDATES
        for method, rates in grid.items():
            assert slots <= len(rates)
            assert len(DEFAULT_RATES[method][slots]) == slots
            assert set(DEFAULT_RATES[method][slots]) <= set(rates)
    assert all(len(rates) <= 4 for rates in QUICK_CANDIDATES.values())


@pytest.mark.parametrize(
    ("rate", "label"), [(1e-3, "1e-03"), (0.0003, "3e-04"), (2.5e-5, "2.5e-05"), (1.0, "1e+00"), (1.26e-3, "1.26e-03")]
)
def test_a_rate_is_labelled_plainly(rate, label):
    assert rate_label(rate) == label
    assert float(rate_label(rate)) == rate


def test_a_sample_of_subjects_keeps_all_their_facts():
    facts = [Fact(id=f"{n}-{k}", subject=f"s{n}", question="?", answer="!") for n in range(50) for k in range(2)]
    chosen = sample_subjects(facts, seed=1)
    assert len(chosen) == 64
    assert len({fact.subject for fact in chosen}) == 32
    assert sample_subjects(facts[:10], seed=1) == tuple(facts[:10])
    assert chosen != sample_subjects(facts, seed=2)
