"""Ctrl-C is never lost: if other code swallowed it, it is raised again at the next place where a run may stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered_interrupts() -> Iterator[Callable[[], None]]:
    """Gives a check that raises KeyboardInterrupt if one came, even where it was caught on its way.

    Libraries that probe for optional parts while they are imported catch whatever comes, Ctrl-C with it, and plug-ins
    may. Outside the main thread, which alone gets signals, the check does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    came = False
    before = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        if callable(before):
            before(number, frame)
        else:
            raise KeyboardInterrupt

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
