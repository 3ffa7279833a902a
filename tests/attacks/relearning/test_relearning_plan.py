"""What relearning would run, known before any model is loaded."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from unlearn_audit.attacks.relearning.attack import Relearning
from unlearn_audit.attacks.relearning.courses import Course, Syllabus, rate_label
from unlearn_audit.attacks.relearning.data import Data
from unlearn_audit.attacks.relearning.own_lessons import Progress, Standing
from unlearn_audit.attacks.relearning.parameters import GRID, RelearningParameters
from unlearn_audit.attacks.shared import memory
from unlearn_audit.attacks.shared.splits import sample_subjects

from unlearn_audit.api import AttackContext, Fact, Profile
from unlearn_audit.api.extent import Audited, Extent
from unlearn_audit.errors import AuditError

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


def test_quick_runs_lora_at_a_rate_of_its_own_on_two_folds():
    attack = Relearning(RelearningParameters())
    assert names(attack, context()) == ["lora r16 fold0", "lora r16 fold1"]
    assert [(arm.doses, arm.share) for arm in attack.arms(context())] == [(3, 0.5), (3, 0.5)]


def test_a_plan_counts_the_steps_of_the_rates_that_race():
    """Three to the first of three looks, one from there on; five, two, one; copies of all weights one by one."""
    for profile, method, steps in (
        (Profile.QUICK, "lora", 3 * 10 + 10 + 20),
        (Profile.STANDARD, "lora", 5 * 20 + 2 * 20 + 40),
        (Profile.STANDARD, "full", 5 * 40 + 80),
    ):
        syllabus = Syllabus(parameters=RelearningParameters(), context=context(profile))
        course = next(one for one in syllabus.courses() if one.method == method)
        assert syllabus.steps_taken(course) == steps


def test_standard_runs_lora_and_all_weights_at_rates_of_their_own_and_benign_text_once():
    attack = Relearning(RelearningParameters())
    arms = attack.arms(context(Profile.STANDARD))
    main = [f"{method} fold{fold}" for method in ("lora r16", "full") for fold in (0, 1)]
    benign = [f"{kind} lora r16" for kind in ("same-syntax", "topic-high", "out-of-domain")]
    assert [arm.name for arm in arms] == [*main, *benign]
    assert [arm.name for arm in arms if arm.repeated] == main[:2]
    assert {method: len(rates) for method, rates in GRID.items()} == {"lora": 5, "full": 5}
    syllabus = Syllabus(parameters=RelearningParameters(), context=context(Profile.STANDARD))
    assert all(syllabus.candidates(method) == rates for method, rates in GRID.items())


def test_in_deep_every_rate_is_a_dose_of_the_middle_rank_and_all_else_chooses_its_own():
    attack = Relearning(RelearningParameters())
    arms = attack.arms(context(Profile.DEEP))
    found = [arm.name for arm in arms]
    assert len(found) == len(set(found))
    rates = [
        f"{one} lr {rate_label(rate)}"
        for one, method in (("lora r16", "lora"), ("full", "full"))
        for rate in GRID[method]
    ]
    assert [name.removesuffix(" fold0") for name in found if " lr " in name and name.endswith("fold0")] == rates
    own = [name.removesuffix(" fold0") for name in found if " lr " not in name and name.endswith("fold0")]
    variants = [[f"{one} {way}" for way in ("sgd", "retain-mix", "muon", "linear")] for one in ("lora r16", "full")]
    assert own == ["lora r4", "lora r128", "lora r16 attention-only", *variants[0], *variants[1]]
    benign = [arm for arm in arms if arm.settings["data"] != "in-domain"]
    assert len(benign) == 2 * (len(Data) - 1)
    repeated = {arm.name.removesuffix(" fold0").removesuffix(" fold1") for arm in arms if arm.repeated}
    assert repeated == {*rates, "lora r4", "lora r128"}


def test_every_grid_spans_two_decades():
    assert all(max(rates) >= 100 * min(rates) * (1 - 1e-9) for rates in GRID.values())


@pytest.mark.parametrize(
    ("profile", "lessons", "steps"),
    [
        (Profile.QUICK, 0, (10, 20, 40)),
        (Profile.QUICK, 20, (13, 26, 52)),
        (Profile.QUICK, 64, (40, 80, 160)),
        (Profile.QUICK, 10_000, (40, 80, 160)),
        (Profile.STANDARD, 64, (0, 40, 80, 160)),
        (Profile.STANDARD, 10_000, (0, 40, 80, 160)),
        (Profile.DEEP, 100, (0, 20, 40, 80, 160)),
        (Profile.DEEP, 500, (0, 40, 80, 160, 320)),
    ],
)
def test_steps_double_up_to_so_many_that_each_lesson_is_read_twenty_times(profile, lessons, steps):
    facts = tuple(Fact(id=f"{n}", subject=f"s{n}", question="?", answer="!") for n in range(2 * lessons))
    where = AttackContext(forget=facts, retain=RETAIN, profile=profile, seed=0)
    found = Syllabus(parameters=RelearningParameters(), context=where).steps
    assert found == steps


def test_benign_text_takes_as_many_steps_and_is_looked_at_less_often():
    for profile, steps in ((Profile.STANDARD, (40, 80)), (Profile.DEEP, (40, 80, 160))):
        found = Relearning(RelearningParameters()).arms(context(profile))
        benign = [arm for arm in found if arm.settings["data"] != "in-domain"]
        assert {(arm.settings["rate"], tuple(arm.settings["steps"]), arm.share) for arm in benign} == {
            (None, steps, 1.0)
        }


@pytest.mark.parametrize("profile", list(Profile))
def test_the_model_itself_is_measured_once_in_the_first_arm_of_each_fold(profile):
    attack = Relearning(RelearningParameters())
    first = names(attack, context(profile))[0].removesuffix(" fold0")
    asked_again = profile is not Profile.QUICK  # that leaves it to `as-is`
    assert [name for name, step in labels(attack, context(profile)) if step == 0] == [first] * asked_again
    alone = Relearning(RelearningParameters(data=("topic-low", "out-of-domain")))
    found = labels(alone, context(profile))
    assert [name for name, step in found if step == 0] == [found[0][0]] * asked_again
    assert names(Relearning(RelearningParameters(steps=(0,))), context(profile)) == [f"{first} fold0", f"{first} fold1"]


def test_an_arm_says_all_that_its_doses_need():
    for arm in Relearning(RelearningParameters()).arms(context(Profile.DEEP)):
        course = Course.from_settings(json.loads(json.dumps(dict(arm.settings))))
        assert (course.name, dict(course.settings)) == (arm.name, dict(arm.settings))


def test_without_a_retain_set_what_is_made_of_it_is_left_out_and_said():
    attack = Relearning(RelearningParameters())
    bare = context(Profile.DEEP, retain=())
    assert not [name for name in names(attack, bare) if name.startswith(("same-syntax", "topic-middle"))]
    gaps = {gap.what: gap.why for gap in attack.out_of_reach(bare, weight_bytes=8, is_adapter=False)}
    needing = dict.fromkeys(("same-syntax", "topic-middle", "retain-mix"), "needs retain facts; none given")
    assert gaps == needing
    without = attack.out_of_reach(context(Profile.STANDARD, retain=()), weight_bytes=8, is_adapter=False)
    cut = ("topic-middle, topic-low", "attention-only", "sgd", "retain-mix", "muon", "linear")
    why = "not part of the profile standard"
    assert {gap.what: gap.why for gap in without} == {"same-syntax": needing["same-syntax"], **dict.fromkeys(cut, why)}
    with pytest.raises(AuditError, match="give a retain set, or texts of your own"):
        Relearning(RelearningParameters(data=("same-syntax",))).arms(bare)
    own = Relearning(RelearningParameters(data=("same-syntax",), texts={"same-syntax": ["Some text."]}))
    assert names(own, context(retain=())) == ["same-syntax lora r16"]


def test_texts_for_data_that_the_profile_leaves_out_are_an_error_and_not_ignored():
    attack = Relearning(RelearningParameters(texts={"topic-high": ["Some text."]}))
    assert any(name.startswith("topic-high") for name in names(attack, context(Profile.STANDARD)))
    with pytest.raises(AuditError, match="name it in `data`"):
        attack.arms(context())


def test_given_rates_are_doses_and_candidates_are_chosen_from():
    given = {"lora": (1e-4, 5e-4)}
    attack = Relearning(RelearningParameters(data=IN_DOMAIN, methods=("lora",), learning_rates=given, folds=3))
    assert names(attack, context()) == [f"lora r16 lr {r} fold{f}" for r in ("1e-04", "5e-04") for f in range(3)]
    open_ = RelearningParameters(data=IN_DOMAIN, methods=("lora",), candidates=given, variants=("plain",))
    assert names(Relearning(open_), context(Profile.STANDARD)) == ["lora r16 fold0", "lora r16 fold1"]
    assert Syllabus(parameters=open_, context=context()).candidates("lora") == given["lora"]


def test_what_is_asked_for_by_name_and_cannot_be_run_is_an_error():
    mix = Relearning(RelearningParameters(variants=("retain-mix",)))
    with pytest.raises(AuditError, match="retain-mix needs retain facts"):
        mix.arms(context(retain=()))
    with pytest.raises(AuditError, match="attention-only is one of lora"):
        Relearning(RelearningParameters(variants=("attention-only",), methods=("full",))).arms(context())


@pytest.mark.parametrize(
    ("shares", "since", "plateau"),
    [
        ((0.5, 0.95, 1.0), 40, False),
        ((0.95, 0.95, 1.0), 20, True),
        ((0.95, 0.80, 0.95), 80, False),
        ((0.2, 0.3, 0.4), None, False),
    ],
)
def test_a_training_is_at_its_plateau_two_doublings_after_it_answered_its_lessons(shares, since, plateau):
    progress = Progress()
    for step, share in zip((20, 40, 80), shares, strict=True):
        progress.note(step, Standing(answered=share, learned=share))
    assert (progress.since, progress.at_plateau(80)) == (since, plateau)
    progress.broke_down = "loss nan"
    assert not progress.at_plateau(80)
    assert progress.to_json(80)["broke_down"] == "loss nan"


def test_rates_are_compared_by_what_they_teach_among_the_sound_and_the_gentle():
    def worth(learned, kept=None, broke=None, answered=0.0):
        progress = Progress()
        progress.note(20, Standing(answered=answered, learned=learned, kept=kept))
        progress.broke_down = broke
        return progress.worth(0.8)

    assert worth(0.5) > worth(0.4)
    assert worth(0.4, kept=0.9) > worth(0.5, kept=0.7)
    assert worth(0.1) > worth(0.5, broke="loss nan")
    assert worth(0.8, answered=0.9) == worth(0.99, answered=1.0) > worth(0.99, answered=0.89)  # the gentler goes on


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
        {"variants": ()},
        {"variants": ("plain", "plain")},
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


def audited(weights=1000, **more):
    """Of so many weights; what a batch leaves is next to nothing."""
    extent = Extent(weights=weights, stored_bytes=0, largest=1, blocks=1, within=0, width=0, vocabulary=0)
    return Audited(extent=extent, dtype="float32", **more)


def left_out(parameters, profile, *, model=None):
    attack = Relearning(RelearningParameters(**parameters))
    return attack.out_of_reach(context(profile, audited=model), weight_bytes=0, is_adapter=False)


def test_all_weights_are_trained_plainly_where_that_fits_else_frugally_and_it_is_said(monkeypatch):
    """1000 float32 weights: 4000 bytes the model, 4 x 4000 in training, 16 while they move; frugally about 8032."""
    monkeypatch.setattr(memory, "available_bytes", lambda _: (20_016, "a test machine"))
    alone = {"data": IN_DOMAIN, "methods": ("full",), "variants": ("plain",)}
    assert left_out(alone, Profile.STANDARD, model=audited()) == []
    for model in (audited(is_adapter=True), audited(1001)):
        (gap,) = left_out(alone, Profile.STANDARD, model=model)
        assert gap.what == "all weights in float32"
        assert "0.0 GiB are free on a test machine; trained in bfloat16 instead" in gap.why
        arms = Relearning(RelearningParameters(**alone)).arms(context(Profile.STANDARD, audited=model))
        assert arms
        assert all(arm.settings["frugal"] and not arm.name.startswith(gap.what) for arm in arms)
        assert all(Course.from_settings(arm.settings).frugal for arm in arms)
    plain = Relearning(RelearningParameters(**alone)).arms(context(Profile.STANDARD, audited=audited()))
    assert [arm.name for arm in plain] == [arm.name for arm in arms]
    assert not any("frugal" in arm.settings for arm in plain)


def test_free_memory_is_looked_up_once_so_that_arms_and_what_is_said_of_them_agree(monkeypatch):
    free = iter([(1, "first"), (1, "first"), (10**9, "later")])
    monkeypatch.setattr(memory, "available_bytes", lambda _: next(free))
    attack, where = Relearning(RelearningParameters(data=IN_DOMAIN)), context(Profile.STANDARD, audited=audited())
    gaps = attack.out_of_reach(where, weight_bytes=0, is_adapter=False)
    assert [gap.what for gap in gaps if "first" in gap.why] == ["full"]
    assert attack.arms(where)


def test_a_way_that_is_asked_for_is_taken_or_left_out(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda _: (10_000, "a test machine"))
    alone = {"data": IN_DOMAIN, "methods": ("full",), "variants": ("plain",)}
    (gap,) = left_out({**alone, "frugal": False}, Profile.STANDARD, model=audited())
    assert (gap.what, "float32 weights" in gap.why) == ("full", True)
    monkeypatch.setattr(memory, "available_bytes", lambda _: (10**9, "a test machine"))
    assert left_out({**alone, "frugal": True}, Profile.STANDARD, model=audited()) == []
    attack = Relearning(RelearningParameters(**alone, frugal=True))
    assert all(arm.settings["frugal"] for arm in attack.arms(context(Profile.STANDARD, audited=audited())))


def test_what_is_out_of_reach_names_the_arms_that_fall_away(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda _: (0, "a test machine"))
    gaps = left_out({}, Profile.DEEP, model=audited())
    found = names(Relearning(RelearningParameters()), context(Profile.DEEP))
    kept = [name for name in found if not any(f"{name} ".startswith(f"{gap.what} ") for gap in gaps)]
    assert len(gaps) == len(Data)
    assert kept == [name for name in found if "lora" in name]


def test_the_quick_profile_says_what_it_leaves_out_unless_it_was_asked_for():
    full, data, *variants = left_out({}, Profile.QUICK)
    assert [one.what for one in variants] == ["attention-only", "sgd", "retain-mix", "muon", "linear"]
    assert (full.what, "quick" in full.why) == ("full", True)
    assert (data.what, "quick" in data.why) == (
        "same-syntax, topic-high, topic-middle, topic-low, out-of-domain",
        True,
    )
    assert left_out({"methods": ("lora", "full")}, Profile.QUICK) == [data, *variants]
    assert left_out({"methods": ("lora",), "data": IN_DOMAIN, "variants": ("plain",)}, Profile.QUICK) == []


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
