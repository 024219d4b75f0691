"""How messages name an argument: as the command line takes it, or as Python does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_COMMAND_LINE: ContextVar[bool] = ContextVar("command line", default=False)


@contextmanager
def command_line() -> Iterator[None]:
    """Within, messages name options of commands."""
    token = _COMMAND_LINE.set(True)
    try:
        yield
    finally:
        _COMMAND_LINE.reset(token)


def argument(name: str, value: str = "...") -> str:
    """An argument that a command and a function both have.

    >>> argument("as_if"), argument("resume", "True")
    ('as_if=...', 'resume=True')
    >>> with command_line():
    ...     argument("as_if"), argument("pairs", "pairs.csv"), argument("resume", "True")
    ('--as-if', '--pairs pairs.csv', '--resume')

    Args:
        name: As Python writes it.
        value: What to give; an option is a switch if it is True.
    """
    option = "--" + name.replace("_", "-")
    return either(option if value in ("...", "True") else f"{option} {value}", f"{name}={value}")


def setting(name: str, value: object = "...") -> str:
    """A setting with a value, as `iiae train` or `iiae.fit` takes it.

    >>> setting("training.epochs", "N")
    "settings={'training.epochs': N}"
    >>> with command_line():
    ...     setting("training.epochs", "N")
    '--set training.epochs=N'
    """
    shown = value if value in ("...", "N") else repr(value)
    return either(f"--set {name}={value}", f"settings={{'{name}': {shown}}}")


def given_setting(text: str) -> str:
    """The setting that a user gave as `section.name=value`, to begin a message with."""
    return either(f"--set {text}", f"settings: {text}")


def either(command: str, call: str) -> str:
    """What a user of a command is told, or else a user of Python."""
    return command if _COMMAND_LINE.get() else call
