"""What stands in a run in place of the facts' words."""

from __future__ import annotations

import hashlib
import json

import pytest

from unlearn_audit.api import Fact, FactSet
from unlearn_audit.errors import IntegrityError
from unlearn_audit.facts.load import Facts
from unlearn_audit.facts.privacy import MASK, Withheld


def fact(number: int, subject: str, answer: str = "Oslo.") -> Fact:
    return Fact(id=f"f{number}", subject=subject, question=f"Where was {subject} born?", answer=answer)


def withheld(*facts: Fact, retain: tuple[Fact, ...] = ()) -> Withheld:
    sets = {FactSet.FORGET: Facts(name=FactSet.FORGET, source="f", facts=facts)}
    if retain:
        sets[FactSet.RETAIN] = Facts(name=FactSet.RETAIN, source="r", facts=retain)
    return Withheld(sets)


ADA, BO, CY = fact(1, "Ada Lund"), fact(2, "Bo Ek"), fact(3, "Cy Roth", 'O\'Neil "Street"')


def test_a_pseudonym_is_one_a_subject_and_the_same_in_every_run_of_the_set():
    one = withheld(ADA, BO, fact(4, "ADA  LUND")).subjects(FactSet.FORGET)
    again = withheld(ADA, BO, fact(4, "ADA  LUND"), retain=(CY,)).subjects(FactSet.FORGET)
    assert one == again
    assert one["f1"] == one["f4"] != one["f2"]
    assert all(name.startswith("subject-") and len(name) == len("subject-3f9a2c") for name in one.values())


def test_another_forget_set_has_other_pseudonyms():
    assert withheld(ADA, BO).subjects(FactSet.FORGET)["f1"] != withheld(ADA, CY).subjects(FactSet.FORGET)["f1"]


def test_a_pseudonym_follows_from_nothing_that_is_published():
    """Neither the name nor the name with the published digest gives it."""
    own = withheld(ADA, BO)
    digest = Facts(name=FactSet.FORGET, source="f", facts=(ADA, BO)).digest()
    shown = own.subjects(FactSet.FORGET)["f1"].removeprefix("subject-")
    for tried in ("Ada Lund", "ada lund", f"{digest}ada lund", f"ada lund{digest}"):
        assert not hashlib.sha256(tried.encode()).hexdigest().startswith(shown)
    assert digest[:6] not in own.subjects(FactSet.FORGET).values()


def test_thousands_of_subjects_have_thousands_of_pseudonyms():
    several = withheld(*(fact(number, f"Person {number}") for number in range(20_000)))
    assert len(set(several.subjects(FactSet.FORGET).values())) == 20_000


@pytest.mark.parametrize(
    "message",
    [
        "KeyError: 'Ada Lund'",
        "no answer to Where was ADA LUND born? (got Oslo)",
        f"cannot encode {json.dumps(CY.answer)}",
        f"cannot encode {CY.answer!r}",
        "Cy Roth's file",
    ],
)
def test_a_message_repeats_no_fact(message):
    said = withheld(ADA, BO, retain=(CY,)).masked(message)
    assert MASK in said
    assert not any(word in said.casefold() for word in ("ada", "lund", "oslo", "roth", "neil", "street"))


def test_a_message_of_no_fact_stays_as_it_is():
    own = withheld(ADA, BO)
    message = "CUDA out of memory: adapter on Oslofjord"
    assert own.masked(message) == message
    assert own.masked_json({"Oslo": ["in Oslo", 2.5, None], "b": {"c": True}}) == {
        "Oslo": [f"in {MASK}", 2.5, None],
        "b": {"c": True},
    }


def test_a_sealed_note_opens_with_the_same_facts_alone():
    note = {"steps": [["Oslo", "capital", "Norway", "Where is Oslo?"]], "count": 3, "rate": 0.25}
    own, other = withheld(ADA, BO), withheld(ADA, CY)
    sealed = own.sealed(note)
    assert sealed == own.sealed(note)  # parts that are merged compare their notes
    assert "Oslo" not in json.dumps(sealed)
    assert own.opened(sealed) == note
    for changed in ({"sealed": "AAAA"}, {"sealed": "no base64!"}, {"sealed": sealed["sealed"][:-8]}):
        with pytest.raises(IntegrityError, match="cannot be opened"):
            own.opened(changed)
    with pytest.raises(IntegrityError, match="made with another forget set"):
        other.opened(sealed)


def test_a_note_of_an_older_version_is_read_as_it_is():
    assert withheld(ADA).opened({"steps": []}) == {"steps": []}
