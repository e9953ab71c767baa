"""The work of our nodes, without the workflow around them: a program that is measured.

usage: python benchmarks/ours.py plan FILE PROGRAM_ARGUMENT ...
       python benchmarks/ours.py fit FILE OUTPUT_DIR --threads N [--combine]

`plan` decides as the program would and keeps the plan; `fit` fits its runs, several of them at
the same time in processes forked from this one, and publishes their maps, and with ``--combine``
those over runs. The last line that is printed says how many seconds imports and work took.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bids_fx.records import Plan, RunPlan


def plan(file: Path, arguments: list[str]) -> None:
    """Plan the only participant and keep the plan.

    Parameters
    ----------
    file : Path
        What is written.
    arguments : list of str
        Those of the program.

    Raises
    ------
    BIDSFXError
        If the input has problems.
    """
    from bids_fx.cli.parser import parse
    from bids_fx.contrasts import conditions_of
    from bids_fx.dataset.confounds import load_strategies
    from bids_fx.dataset.index import find_all, list_participants
    from bids_fx.errors import BIDSFXError
    from bids_fx.inputs import BoldRun
    from bids_fx.plan import make_plan

    invocation = parse(arguments)
    data, analysis = invocation.data, invocation.analysis
    (found,) = find_all(data, list_participants(data), analysis=analysis)
    known: dict[str, set[str]] = {}
    for source in found.runs:
        assert isinstance(source, BoldRun)
        known.setdefault(source.entities["task"], set()).update(conditions_of(source))
    conditions = {task: sorted(names) for task, names in known.items()}
    made = make_plan(found, analysis, load_strategies(), known_conditions=conditions)
    if made.problems:
        raise BIDSFXError(made.problems)
    file.write_bytes(pickle.dumps(made))


def fit(file: Path, out_dir: Path, n_threads: int, *, combine: bool) -> dict[str, float]:
    """Fit the runs of a plan, and combine them if that is asked for; return the seconds."""
    start = time.perf_counter()
    from bids_fx.workflows.allocation import keep_freed_memory
    from bids_fx.workflows.server import PRELOADED

    keep_freed_memory()
    for name in PRELOADED:  # as every node finds them
        import_module(name)
    from bids_fx.interfaces.glm import CombineRuns, JoinMasks

    imported = time.perf_counter()
    made = pickle.loads(file.read_bytes())  # noqa: S301 - written by `plan`
    n_procs = min(n_threads, len(made.runs))
    fit_one = partial(_fit_one, plan=made, out_dir=out_dir, n_threads=n_threads // n_procs)
    if n_procs == 1:
        maps = list(map(fit_one, made.runs))
    else:
        with ProcessPoolExecutor(n_procs, mp_context=get_context("fork")) as pool:
            maps = list(pool.map(fit_one, made.runs))
    if combine:
        (group,) = made.groups
        common = {"plan": made.outline(), "group": group, "out_dir": str(out_dir), "maps": maps}
        for item in group.estimable:
            label = item.contrast.label
            CombineRuns(**common, label=label, n_threads=n_threads).run()
        JoinMasks(**common).run()
    return {"imports": imported - start, "work": time.perf_counter() - imported}


def _fit_one(run: RunPlan, plan: Plan, out_dir: Path, n_threads: int) -> dict[str, str]:
    """Fit a run; return the paths of its maps."""
    from bids_fx.interfaces.glm import FitRun

    node = FitRun(
        run=run,
        settings=plan.settings,
        todo={run.key},
        out_dir=str(out_dir),
        n_threads=n_threads,
    )
    maps: dict[str, str] = node.run().outputs.maps
    return maps


def main() -> None:
    """Plan or fit."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    planning = commands.add_parser("plan")
    planning.add_argument("file", type=Path)
    planning.add_argument("arguments", nargs=argparse.REMAINDER)
    fitting = commands.add_parser("fit")
    fitting.add_argument("file", type=Path)
    fitting.add_argument("out_dir", type=Path)
    fitting.add_argument("--threads", type=int, required=True)
    fitting.add_argument("--combine", action="store_true")
    given = parser.parse_args()
    if given.command == "plan":
        plan(given.file, given.arguments)
    else:
        print(json.dumps(fit(given.file, given.out_dir, given.threads, combine=given.combine)))


if __name__ == "__main__":
    main()
