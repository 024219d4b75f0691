"""How a result came about: command, commit, versions and hardware."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch


def provenance() -> dict[str, Any]:
    """Command, commit, versions and hardware of this process."""
    packages = ("iiae", "torch", "numpy", "scikit-learn")
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: known for name in packages if (known := _version(name))},
        "hardware": _hardware(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Commit of the source tree this package is imported from, if it is one."""
    git = ["git", "-C", str(Path(__file__).parents[1])]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno", "."],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def _hardware() -> str:
    cpu = f"{torch.get_num_threads()} threads of {platform.machine()}"
    return f"{torch.cuda.get_device_name()}, {cpu}" if torch.cuda.is_available() else cpu
