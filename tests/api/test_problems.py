"""One problem out of many: an unknown key first, then whatever comes first."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from unlearn_audit.api.problems import Problem, first_problem


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    answer: str
    count: int = 0
    inner: Inner = Inner()


def problem(content: object) -> Problem:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(content)
    return first_problem(caught.value)


def test_a_misspelt_key_comes_before_the_missing_one_that_it_was_meant_as():
    found = problem({"anwser": "x"})
    assert (found.key, found.unknown, found.missing, found.value) == ("anwser", True, False, "x")


def test_a_misspelt_key_comes_first_however_deep_it_lies():
    found = problem({"count": "many", "inner": {"sise": 3}})
    assert (found.key, found.place, found.unknown) == ("inner.sise", ("inner", "sise"), True)


def test_a_missing_key():
    found = problem({})
    assert (found.key, found.unknown, found.missing) == ("answer", False, True)


def test_a_wrong_value_is_neither():
    found = problem({"answer": "x", "inner": {"size": "large"}})
    assert (found.key, found.unknown, found.missing, found.value) == ("inner.size", False, False, "large")
    assert "integer" in found.message


def test_the_whole_has_no_place():
    assert problem("text").place == ()
