"""False positives of our tests, and of nilearn's beside them, in one run on the same data.

usage: python benchmarks/calibration.py [--data FOLDER] [--tables 1,3] [--markdown] ...

Tables 1 to 5 are of simulated data, table 6 of real noise: `FOLDER` holds ``oneback_full`` or
``haxby`` or both. Nothing in any of these data has the effect that is tested for, so that at
p < .001 one voxel in 1000 is to be significant.

The rule by which table 6 chooses the default noise model, written down before its numbers:

    Of ``ar1`` and ``arma11`` the default is that whose worst rate is nearer to the nominal one:
    the smaller largest |log(rate / nominal)| at two-sided p < .001 over the styles of events and
    the data sets. Too few false positives count as much as too many. A difference within 2
    standard errors is a tie, and ties go to ``ar1``, which is simpler and faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import real_noise
import simulated
from printing import versions
from rates import LEGEND, Cell, Outcome, Summary, Table, show, summarise

SEED = 20251121
_PACKAGES = ("nilearn", "numpy", "scipy")
NUMBERS = {str(number): number for number in range(1, real_noise.NUMBER + 1)}
#: Designs and voxels, of simulated and of real data.
FULL, FULL_REAL, QUICK = (20, 20000), (100, 4000), (2, 2000)

#: Draws one design of a cell: its outcome.
Task = tuple[Cell, tuple[int, ...], int]
Mapper = Callable[[Callable[[Task], Outcome], Iterable[Task]], Iterable[Outcome]]


def draw(task: Task) -> Outcome:
    """Return what one design of a cell gives, whatever else is drawn and where."""
    cell, seed, n_voxels = task
    with threadpool_limits(limits=1):
        return cell.draw(np.random.default_rng(seed), n_voxels)


def measure(
    table: Table, part: int, n_designs: int, n_voxels: int, mapper: Mapper
) -> list[Summary]:
    """Return the summary of each cell of a table."""
    tasks = [
        (cell, (SEED, table.number, part, place, design), n_voxels)
        for place, cell in enumerate(table.cells)
        for design in range(n_designs)
    ]
    outcomes = list(mapper(draw, tasks))
    return [
        summarise(outcomes[first : first + n_designs]) for first in range(0, len(tasks), n_designs)
    ]


def tables_of(number: int, data: Path | None, n_voxels: int) -> list[Table]:
    """Return the parts of a table."""
    if number == real_noise.NUMBER:
        return [] if data is None else [real_noise.real_noise_table(data, n_voxels)]
    return [table for table in simulated.tables() if table.number == number]


def thinned(table: Table) -> Table:
    """Return a table with the last cell of each group alone."""
    return replace(table, cells=tuple({cell.group: cell for cell in table.cells}.values()))


@contextmanager
def mapping(n_jobs: int) -> Iterator[Mapper]:
    """Give a `map` over processes, in order."""
    if n_jobs == 1:
        yield map
        return
    # forked processes would inherit the locks of BLAS threads
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
        yield pool.map


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description="False positives of our tests, and of nilearn's beside them."
    )
    parser.add_argument("--data", type=Path, help="folder with oneback_full or haxby, for table 6")
    parser.add_argument("--tables", default="1,2,3,4,5,6", help="which (default: %(default)s)")
    parser.add_argument("--designs", type=int, help="per cell (default: 20; 100 in table 6)")
    parser.add_argument("--voxels", type=int, help="per design (default: 20000; 4000 in table 6)")
    parser.add_argument("--quick", action="store_true", help="2 designs of 2000 voxels, few cells")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    options = parser.parse_args(arguments)
    try:
        options.tables = [NUMBERS[text.strip()] for text in options.tables.split(",")]
    except KeyError as error:
        parser.error(f"--tables: there is no table {error}; tables are {', '.join(NUMBERS)}")
    if options.data is not None and not real_noise.data_sets(options.data):
        parser.error(f"--data: {options.data} holds neither oneback_full nor haxby")
    for name in ("designs", "voxels", "jobs"):
        least = 2 if name == "designs" else 1  # one design has no standard error
        if getattr(options, name) is not None and getattr(options, name) < least:
            parser.error(f"--{name}: expected {least} or more")
    return options


def size_of(number: int, options: argparse.Namespace) -> tuple[int, int]:
    """Return how many designs and voxels a table takes."""
    usual = FULL_REAL if number == real_noise.NUMBER else FULL
    n_designs, n_voxels = QUICK if options.quick else usual
    return options.designs or n_designs, options.voxels or n_voxels


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    options = parse(arguments)
    print(f"{versions(_PACKAGES)}; seed {SEED}.")
    print(LEGEND)
    with mapping(options.jobs) as mapper:
        for number in options.tables:
            n_designs, n_voxels = size_of(number, options)
            tables = tables_of(number, options.data, n_voxels)
            if not tables:
                print(f"\n{number}. Real noise: left out; --data FOLDER says where the data are.")
            for part, whole in enumerate(tables):
                table = thinned(whole) if options.quick else whole
                start = time.perf_counter()
                summaries = measure(table, part, n_designs, n_voxels, mapper)
                print("", *show(table, summaries, markdown=options.markdown), sep="\n")
                if number == real_noise.NUMBER:
                    print("", real_noise.verdict(table, summaries), sep="\n")
                seconds = time.perf_counter() - start
                print(f"\n{n_designs} designs x {n_voxels} voxels; {seconds:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
