"""What others raised, in one line of ours."""

from __future__ import annotations

import pytest

from unlearn_audit.errors import LONGEST_CAUSE, AttackError, cause_of


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("size mismatch:\n\tcopying a\n\n\tcopying b"), "ValueError: size mismatch: copying a copying b"),
        (ValueError(), "ValueError"),
        (AttackError("nothing was quantized"), "nothing was quantized"),
        (KeyError("model_type"), "KeyError: 'model_type'"),
        (OSError("\x1b[31mno file\x1b[0m\x07 named\u202e config.json\r"), "OSError: no file named config.json"),
        (RuntimeError("\n::error::x"), "RuntimeError: ::error::x"),
    ],
)
def test_all_lines_are_told_in_one(error: BaseException, line: str) -> None:
    assert cause_of(error) == line


def test_what_it_was_raised_from_is_told_as_well() -> None:
    below = raised(KeyError("lora_E"), ZeroDivisionError("rank 0"))
    error = raised(RuntimeError("cannot merge\nthe adapter"), below)
    assert cause_of(error) == (
        "RuntimeError: cannot merge the adapter; caused by KeyError: 'lora_E'; caused by ZeroDivisionError: rank 0"
    )


def test_a_cause_that_is_already_told_is_not_told_twice() -> None:
    assert cause_of(raised(AttackError("cannot: no such file"), OSError("no such file"))) == "cannot: no such file"


def test_it_is_bounded_and_ends_where_causes_go_in_a_circle() -> None:
    error, below = ValueError("a" * 5_000), TypeError("b")
    assert len(cause_of(error)) == LONGEST_CAUSE
    error.__cause__, below.__cause__ = below, error
    assert cause_of(below).startswith("TypeError: b; caused by ValueError: aaa")
