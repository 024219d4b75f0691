"""Table 3 on one protocol: IIAE, its six rivals and four baselines on the same features.

    python studies/table3.py 'heads/{protocol}-{split}.npz' --semantics semantics.npz --out runs/t3

A row per protocol, split, method and seed is kept in `--out`; a further run skips the rows that are
there, and prints the table of all. `--search` first chooses the settings of every method on
held-out seen classes, with equal numbers of trials. The plan is experiments/table3.toml;
docs/studies/table3.md says how to read the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iiae.errors import IIAEError
from iiae.files.atomic import json_text, make_folder, write_text
from table3_page import draw, page
from table3_plan import Method, Part, Plan, load_part, read_plan
from table3_rows import Row, add_row, key, measure, read_rows, those, tried

PLAN = Path(__file__).parents[1] / "experiments" / "table3.toml"


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    try:
        run(given)
    except IIAEError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("features", help="path of features, with {protocol} and {split} in it")
    parser.add_argument("--semantics", type=Path, help=".npz of word vectors and WordNet")
    parser.add_argument("--out", type=Path, required=True, help="folder of rows and trials")
    parser.add_argument("--plan", type=Path, default=PLAN, help="settings of the study")
    parser.add_argument("--protocols", nargs="+", help="joint, apart or untouched")
    parser.add_argument("--splits", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--methods", nargs="+", help="rows of the table; all by default")
    parser.add_argument("--method", action="append", default=[], metavar="FILE.py:NAME",
                        help="a method of your own as a further row")  # fmt: skip
    parser.add_argument("--search", action="store_true", help="choose settings before the rows")
    parser.add_argument("--quick", action="store_true", help="few steps, to try whether it runs")
    parser.add_argument("--picture", type=Path, help="image to draw the table into")
    return parser


def run(given: argparse.Namespace) -> None:
    """Trials where they are asked for, rows that are missing, and the table of all rows."""
    plan = _narrowed(read_plan(given.plan, given.method, given.quick), given)
    make_folder(given.out)
    rows: list[Row] = []
    for protocol in plan.protocols:
        for split in plan.splits:
            part = load_part(given.features, protocol, split, plan, given.semantics)
            if given.search:
                search(part, plan, given.out)
            rows += part_rows(part, plan, given.out)
    print(page(rows, plan))
    if given.picture and rows:
        draw(rows, plan, given.picture)


def _narrowed(plan: Plan, given: argparse.Namespace) -> Plan:
    """The plan with what the command line asks for."""
    names = given.methods or list(plan.methods)
    unknown = [name for name in names if name not in plan.methods]
    if unknown:
        raise IIAEError(f"no row is called {unknown[0]}; there are {', '.join(plan.methods)}")
    return plan._replace(
        protocols=given.protocols or plan.protocols,
        splits=given.splits or plan.splits,
        seeds=given.seeds or plan.seeds,
        methods={name: plan.methods[name] for name in names},
    )


def search(part: Part, plan: Plan, out: Path) -> None:
    """Every trial that is missing, and the settings chosen so far in `chosen.json`."""
    path = out / "trials.jsonl"
    for method in plan.methods.values():
        for settings in method.trials if method.grid else ():
            if those(read_rows(path), key(part, method, plan.seeds[0], settings)):
                continue
            trial = tried(part, method, plan.seeds[0], settings)
            add_row(path, trial)
            _print(part, method, f"trial {settings}: mAP@all {trial['map@all']:.4f}", trial)
    chosen = {one.name: chosen_settings(part, one, plan, out) for one in plan.methods.values()}
    write_text(out / f"chosen-{part.protocol}-{part.split}.json", json_text(chosen, 2))


def chosen_settings(part: Part, method: Method, plan: Plan, out: Path) -> dict[str, Any]:
    """The best of a method's trials if all are done, else the settings that stay."""
    trials = read_rows(out / "trials.jsonl")
    wanted = [key(part, method, plan.seeds[0], settings) for settings in method.trials]
    done = [trial for one in wanted for trial in those(trials, one)]
    if not method.grid or len(done) < len(wanted):
        return method.fixed
    return max(done, key=lambda trial: trial["map@all"])["settings"]


def part_rows(part: Part, plan: Plan, out: Path) -> list[Row]:
    """Rows of all methods and seeds, in the order of the plan; what is missing is measured."""
    path = out / "rows.jsonl"
    for seed in plan.seeds:
        for method in plan.methods.values():
            settings = chosen_settings(part, method, plan, out)
            if _comparable(part, method) and not those(
                read_rows(path), key(part, method, seed, settings)
            ):
                row = measure(part, method, seed, settings)
                add_row(path, row)
                values = row["readings"][0]["map@all"]
                _print(part, method, f"seed {seed}: mAP@all {sum(values) / len(values):.4f}", row)
    kept = read_rows(path)
    return [
        row
        for method in plan.methods.values()
        for seed in plan.seeds
        for row in those(kept, key(part, method, seed, chosen_settings(part, method, plan, out)))[
            :1
        ]
    ]


def _comparable(part: Part, method: Method) -> bool:
    """Methods that learn nothing across domains need features of one width."""
    learned = method.rival.name not in ("as given", "PCA-64")
    return learned or part.train.x.shape[1] == part.train.y.shape[1]


def _print(part: Part, method: Method, text: str, row: Row) -> None:
    where = f"{part.protocol} {part.split} {method.name}"
    print(f"{where}, {text}, {row['seconds']:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
