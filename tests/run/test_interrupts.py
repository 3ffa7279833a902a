"""Ctrl-C, SIGTERM and SIGHUP end a run alike, and what is ignored stays ignored."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from unlearn_audit.run.interrupts import ending_signals, remembered_interrupts

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", SIGNALS)
def test_each_ends_as_an_interrupt_and_is_remembered(number) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), remembered_interrupts() as check:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)
            pytest.fail("not raised")
        check()
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_what_was_to_be_ignored_is_ignored(number) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with ending_signals(), remembered_interrupts() as check:
            signal.raise_signal(number)
            check()
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_second_one_does_not_disturb_the_cleaning_up() -> None:
    cleaned = False
    with pytest.raises(KeyboardInterrupt), ending_signals():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGHUP)
            cleaned = True
    assert cleaned
