"""What `table3.py` is to run: experiments/table3.toml, methods with their grids, and features."""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from iiae.data.classes.collections import read_collections
from iiae.data.classes.pairs import ClassPairs
from iiae.data.classes.zero_shot import domains, load_classes
from iiae.errors import DataError, SettingsError
from iiae.rivals.interface import Rival, TrainingSet
from iiae.rivals.registry import RIVALS
from iiae.rivals.semantics import Semantics, read_semantics
from iiae.settings import data_settings
from zero_shot import OURS

# settings of any method that make it quick, and useless but to try whether it runs
QUICK = {"steps": 5, "regressor_steps": 5, "batch": 16, "width": 16, "latent": 8, "draws": 2}


class Method(NamedTuple):
    """A row of the table: the method, settings that stay, and the grid that is searched."""

    name: str
    rival: Rival
    fixed: dict[str, Any]
    grid: dict[str, list[Any]]

    @property
    def trials(self) -> list[dict[str, Any]]:
        """Every combination of the grid, with the settings that stay."""
        chosen = product(*self.grid.values())
        return [self.fixed | dict(zip(self.grid, values, strict=True)) for values in chosen]


class Plan(NamedTuple):
    """experiments/table3.toml; see there."""

    protocols: list[str]
    splits: list[str]
    seeds: list[int]
    validation: int
    pairing: str
    trials: int
    methods: dict[str, Method]
    published: dict[str, list[float]]


class Part(NamedTuple):
    """Features of one protocol and split, made of the file with this digest."""

    protocol: str
    split: str
    digest: str
    train: TrainingSet
    validation: ClassPairs
    test: ClassPairs
    semantics: Semantics | None


def read_plan(path: Path, own: list[str], quick: bool) -> Plan:
    """The plan of a file, with methods of one's own (`FILE.py:NAME`) as further rows.

    Raises:
        SettingsError: A method is unknown, or its grid has another number of trials than the rest.
    """
    with path.open("rb") as file:
        values = tomllib.load(file)
    known = {**RIVALS, **OURS}
    methods: dict[str, Method] = {}
    for name, given in values.pop("methods").items():
        kind = given.get("kind", name)
        if kind not in known:
            raise SettingsError(f"{path}: {kind} is no method; there are {', '.join(known)}")
        methods[name] = Method(name, known[kind], given.get("fixed", {}), given.get("grid", {}))
    for one in map(_own, own):
        methods[one.name] = Method(one.name, one, {}, {})
    plan = Plan(**values, methods=methods)
    for one in methods.values():
        if one.grid and len(one.trials) != plan.trials:
            raise SettingsError(
                f"{path}: {one.name} has {len(one.trials)} trials, not {plan.trials}"
            )
    return _quick(plan) if quick else plan


def _own(named: str) -> Rival:
    path, _, name = named.rpartition(":")
    spec = importlib.util.spec_from_file_location("own_method", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise SettingsError(f"--method {named}: expected FILE.py:NAME, and an existing file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    method = getattr(module, name, None)
    if not isinstance(method, Rival):
        raise SettingsError(f"--method {named}: {name} is no `iiae.rivals.interface.Rival`")
    return method


def _quick(plan: Plan) -> Plan:
    methods = {
        name: one._replace(
            fixed=one.fixed
            | {key: v for key, v in QUICK.items() if hasattr(one.rival.settings, key)},
            grid={key: values for key, values in one.grid.items() if key not in QUICK},
        )
        for name, one in plan.methods.items()
    }
    return plan._replace(seeds=plan.seeds[:1], methods=methods)


def load_part(pattern: str, protocol: str, split: str, plan: Plan, semantics: Path | None) -> Part:
    """Features of a protocol and split; `pattern` is a path with {protocol} and {split} in it.

    Raises:
        DataError: As `load_classes`; a seen class has no semantics (named); or the file records
            another protocol.
    """
    root = pattern.format(protocol=protocol, split=split)
    data = data_settings(
        name="classes", root=root, unseen=split, validation=plan.validation, pairing=plan.pairing
    )
    parts = load_classes(data)
    recorded = read_collections(root, *domains(data), data.size).protocol or "untouched"
    if recorded != protocol:
        raise DataError(f"{root}: these features are {recorded}, and {protocol} was asked for")
    train, validation, test = parts
    assert isinstance(train, ClassPairs)
    assert isinstance(validation, ClassPairs) and isinstance(test, ClassPairs)
    given = TrainingSet.of(train)
    known = read_semantics(semantics, given.classes) if semantics else None
    digest = hashlib.sha256(Path(root).read_bytes()).hexdigest()[:12]
    return Part(protocol, split, digest, given, validation, test, known)


__all__ = ["Method", "Part", "Plan", "load_part", "read_plan"]
