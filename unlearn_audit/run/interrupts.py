"""Ctrl-C, SIGTERM and SIGHUP end a run alike: by KeyboardInterrupt, which is never lost.

If other code swallowed it, it is raised again at the next place where a run may stop. A signal that whoever started the
process had it ignore (`nohup`) stays ignored.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = ("SIGTERM", "SIGHUP")


@contextmanager
def ending_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt; once, so that a second one does not disturb the cleaning up.

    Signals that something else handles are left to it. Outside the main thread, which alone gets signals, this does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = False

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signals call it
        nonlocal ended
        if not ended:
            ended = True
            raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def remembered_interrupts() -> Iterator[Callable[[], None]]:
    """Gives a check that raises KeyboardInterrupt if one of the signals came, even where it was caught on its way.

    Libraries that probe for optional parts while they are imported catch whatever comes, Ctrl-C with it, and plug-ins
    may. Outside the main thread, which alone gets signals, the check does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    came = False

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    def remembering(former: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        def remember(number: int, frame: FrameType | None) -> None:
            nonlocal came
            came = True
            former(number, frame)

        return remember

    with ending_signals():
        numbers = [getattr(signal, name) for name in ("SIGINT", *_ENDING) if hasattr(signal, name)]
        before = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
        for number, handler in before.items():
            signal.signal(number, remembering(handler))
        try:
            yield check
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
