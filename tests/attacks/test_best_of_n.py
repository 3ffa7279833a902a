"""Best-of-n: what its augmentations do to a text, and that every role is asked the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from unlearn_audit.attacks.best_of_n.attack import BestOfN, BestOfNParameters
from unlearn_audit.attacks.best_of_n.augmentation import augmented, ways_of

from unlearn_audit.api import AttackContext, Fact, Profile, Prompt

TEXT = "Where was Ada Lovelace born,  and when?\nIn one word."
FACTS = (
    Fact(id="a", subject="Ada Lovelace", question="Where was Ada Lovelace born?", answer="London."),
    Fact(id="b", subject="Eliot", text="George Eliot wrote Middlemarch in the year 1871."),
)


class Asked:
    """Stands for a model: gives back the ways in which it is asked."""

    def asked(self, *ways):
        return Ways(ways)


class Ways(tuple):
    draws = None

    def drawn(self, **how):
        drawn = Ways(self)
        drawn.draws = how
        return drawn


def doses_of(seed: int, **parameters):
    attack = BestOfN(BestOfNParameters.model_validate(parameters))
    context = AttackContext(forget=FACTS, retain=(), profile=Profile.QUICK, seed=seed)
    return [dose for arm in attack.arms(context) for dose in attack.doses(Asked(), arm, context)]


def test_at_full_strength_every_character_moves_by_one_and_letters_change_their_case():
    # No word is long enough to be scrambled: case is swapped, then each code goes one up or down.
    for before, after in zip("abC", augmented("abC", 1.0, seed=3), strict=True):
        assert abs(ord(after) - ord(before.swapcase())) == 1


def test_at_no_strength_nothing_changes():
    assert augmented(TEXT, 0.0, seed=1) == TEXT


def test_noise_stays_within_printable_characters():
    assert all(32 <= ord(character) < 127 for seed in range(20) for character in augmented(" ~" * 9, 1.0, seed=seed))


def test_without_noise_words_keep_their_letters_their_ends_and_their_blanks():
    # sigma 0.02 moves a code with probability 8e-6.
    spelt = augmented(TEXT, 0.02, seed=5)
    assert spelt.split("\n")[0].count("  ") == 1
    for before, after in zip(TEXT.split(), spelt.split(), strict=True):
        assert Counter(before.lower()) == Counter(after.lower())
        assert (before[0].lower(), before[-1].lower()) == (after[0].lower(), after[-1].lower())


@pytest.mark.parametrize(("sigma", "share"), [(0.4, 0.4**0.5), (0.02, 0.02**0.5)])
def test_case_changes_as_often_as_the_paper_says(sigma, share):
    text = "abc " * 1000  # too short to be scrambled
    spelt = augmented(text, sigma, seed=0)
    changed = sum(one.isalpha() and one.isupper() for one in spelt) / 3000
    assert changed == pytest.approx(share, abs=0.03 + sigma**3)


def test_a_way_draws_from_seed_and_text_alone():
    first, second = ways_of(2, 0.4, seed=1)
    prompt = Prompt(text=TEXT, system="Be brief.", prefix="It was", chat=False)
    assert first(prompt) == ways_of(9, 0.4, seed=1)[0](prompt)
    assert first(prompt).text != second(prompt).text
    assert first(prompt).text != ways_of(1, 0.4, seed=2)[0](prompt).text
    assert replace(first(prompt), text=TEXT) == prompt


def test_doses_are_nested_and_counted():
    doses = doses_of(7, counts=[1, 3], sigmas=[0.4])
    assert [dose.value for dose in doses] == [1, 3]
    assert [dose.label for dose in doses] == ["best of 1, sigma 0.4", "best of 3, sigma 0.4"]
    small, large = (dose.model for dose in doses)
    prompt = Prompt(text=TEXT)
    assert small[0](prompt) == large[0](prompt)
    assert len({way(prompt).text for way in large}) == 3
    assert doses[1].proof["spellings"] == 6
    assert doses[1].proof["different_spellings"] == 6
    assert doses[1].proof["unchanged_questions"] == 0
    assert small.draws == large.draws
    assert (small.draws["count"], small.draws["temperature"]) == (1, 1.0)
    assert [dose.model.draws for dose in doses_of(7, temperature=0)] == [None, None]


def test_profiles_and_senseless_parameters():
    assert [dose.value for dose in doses_of(7)] == [1, 4]
    for wrong in ({"counts": [4, 1]}, {"sigmas": [0.4, 0.4]}, {"sigmas": [0]}, {"counts": []}):
        with pytest.raises(ValueError, match=r"counts|sigmas"):
            BestOfNParameters.model_validate(wrong)
