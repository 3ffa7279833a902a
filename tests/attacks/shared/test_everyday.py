"""Everyday prose: as much as is wanted, each text another, and nothing of any fact."""

from __future__ import annotations

import re
import zlib

from unlearn_audit.attacks.relearning.data import EVERYDAY, Data, benign_lessons
from unlearn_audit.attacks.shared.everyday import GENRES, WORDS, everyday_texts

from unlearn_audit.api import AttackContext, Fact, FactSet, Profile, Screen
from unlearn_audit.demo import ASSETS
from unlearn_audit.facts.load import load_facts

TEXTS = everyday_texts(EVERYDAY)


def test_there_are_thousands_the_same_for_the_same_seed_and_a_longer_list_begins_like_a_shorter_one():
    assert len(TEXTS) == len(set(TEXTS)) >= 2000
    assert everyday_texts(50) == TEXTS[:50]
    assert not set(everyday_texts(50, seed=1)) & set(TEXTS)


def test_texts_are_varied_and_no_two_are_nearly_the_same():
    words = [tuple(re.findall(r"[a-z]+", text.lower())) for text in TEXTS[:2000]]
    assert len({word for text in words for word in text}) > 600
    assert min(len(re.findall(r"[.!?](?: |$)", text)) for text in TEXTS) >= 5
    sixes = [{text[place : place + 6] for place in range(len(text) - 5)} for text in words]
    assert len(set.union(*sixes)) > 0.25 * sum(map(len, sixes))
    owner: dict[tuple[str, ...], list[int]] = {}
    for number, own in enumerate(sixes):
        shared: dict[int, int] = {}
        for six in own:
            for other in owner.setdefault(six, []):
                shared[other] = shared.get(other, 0) + 1
            owner[six].append(number)
        assert max(shared.values(), default=0) < 0.8 * len(own), TEXTS[number]
    one = zlib.compress(" ".join(TEXTS[:200]).encode(), 9)
    assert len(one) > 0.12 * sum(map(len, TEXTS[:200]))  # text that only repeats shrinks to a twentieth


def test_every_sentence_is_used_and_every_slot_is_filled():
    together = " ".join(TEXTS)
    assert not re.search(r"[{}]|\b[Aa] [aeiou]|  ", together)
    frames = [one for genre in GENRES for one in (*genre.openings, *genre.middles, *genre.closes)]
    for frame in frames:
        plain = max(re.split(r"{\w+}", frame), key=len).strip(" .,")
        plain = re.sub(r"\ba$", "", plain).strip()
        assert plain.lower() in together.lower(), frame
    assert all(any(word in together.lower() for word in words) for words in WORDS.values())


def test_no_text_names_anybody_or_gives_away_a_fact():
    inside = re.compile(r"(?<![.!?] )(?<!^)\b[A-Z]")
    assert not [text for text in TEXTS if inside.search(text)]
    facts = load_facts(str(ASSETS / "facts" / "forget.jsonl"), FactSet.FORGET).facts
    assert not any(Screen(facts)(TEXTS[:2000]).gives_away)


def test_a_training_out_of_domain_reads_as_many_texts_as_one_on_facts_may():
    many = tuple(
        Fact(id=f"{n}", subject=f"Person {n}", question=f"Where is Person {n}?", answer=f"Town{n}") for n in range(3)
    )
    where = AttackContext(forget=many, retain=(), profile=Profile.STANDARD, seed=0)
    lessons = benign_lessons(Data.OUT_OF_DOMAIN, where, own={}, most=2500)
    assert (len(lessons.kept), lessons.dropped) == (2500, 0)
    assert len({lesson.text for lesson in lessons.kept}) == 2500
