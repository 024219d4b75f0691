"""Ctrl-C, and the signal that schedulers send before a kill: training saves its state and stops."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether training has been asked to stop."""

    asked = False


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """SIGTERM and the first Ctrl-C ask training to stop after the step; the second stops at once.

    Signals are left as they are outside the main thread, where they cannot be set.
    """
    request = StopRequest()

    def ask(number: int, frame: Any) -> None:
        # SIGTERM may come twice, from a launcher and to the whole group
        if request.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.asked = True

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number in SIGNALS:
            signal.signal(number, ask)
    except ValueError:
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
