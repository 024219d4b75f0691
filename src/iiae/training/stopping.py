"""Ctrl-C, and what schedulers send before they kill: training saves its state and stops."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L

from iiae.training.learner import Learner

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(learner: Learner) -> Iterator[L.Callback]:
    """SIGTERM and the first Ctrl-C ask training to stop after the step; the second stops at once.

    The callback goes to the trainer. Signals are left as they are outside the main thread, where
    they cannot be set.
    """

    def ask(number: int, frame: Any) -> None:
        # SIGTERM may come twice, from a launcher and to the whole group
        if learner.stop_asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        learner.stop_asked = True

    before = {number: signal.getsignal(number) for number in SIGNALS}
    listener = Listener(ask)
    try:
        listener.listen()
    except ValueError:
        yield L.Callback()
        return
    try:
        yield listener
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Listener(L.Callback):
    """Handles signals, once training starts over the handlers that Lightning has set by then.

    Its own for SIGTERM saves nothing, and broadcasts from within the handler, in the middle of
    whatever the processes exchange.
    """

    def __init__(self, ask: Any):
        self.ask = ask

    def listen(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self.ask)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.listen()
