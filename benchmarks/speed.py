"""Time and memory: ours beside nilearn's and FitLins', how they grow, and what is quick.

usage: python benchmarks/speed.py [--tables A,B] [--repeats 3] [--fitlins PATH] ...

Programs that are compared are called in turn, on the same data, each in processes of its own,
and each number is the median over the calls. The data are made in a folder and kept there.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import comparisons
import scaling
from bigdata import DataSpec, isotropic
from calls import Bench
from comparisons import Table
from printing import aligned, versions

TABLES = ("A", "B", "C", "D", "E", "F")
_PACKAGES = ("numpy", "scipy", "nipype", "nilearn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large the data of each table are.

    Parameters
    ----------
    full, seed, small, several : DataSpec
        Of tables A, C and F; of B; of the runs and of the processes of E.
    n_runs, n_scans : tuple of int
        Of the rows of E.
    scans_mm, voxels_mm : float
        Edge length of the voxels where scans are counted, and where voxels are, at first.
    voxels_scans, doublings : int
        Scans there, and rows.
    limits_mb : tuple of int
        Of the rows of F.
    demo : DataSpec or None
        Of table D; None means the small real dataset.
    """

    full: DataSpec
    seed: DataSpec
    small: DataSpec
    several: DataSpec
    n_runs: tuple[int, ...]
    n_scans: tuple[int, ...]
    scans_mm: float
    voxels_mm: float
    voxels_scans: int
    doublings: int
    limits_mb: tuple[int, ...]
    demo: DataSpec | None = None


FULL = Sizes(
    full=replace(isotropic("full", 2.0, 300, 2), n_distinct=2),
    seed=DataSpec(
        name="seed",
        shape=(64, 64, 30),
        voxel_mm=(3.0, 3.0, 4.0),
        n_scans=191,
        repetition_time=2.5,
        n_runs=2,
        n_distinct=2,
    ),
    small=isotropic("small", 4.0, 200),
    several=replace(isotropic("several", 2.0, 300, 4), n_distinct=2),
    n_runs=(1, 4, 16, 64),
    n_scans=(100, 200, 400),
    scans_mm=3.0,
    voxels_mm=4.0,
    voxels_scans=200,
    doublings=3,
    limits_mb=(300, 500, 750, 1000, 1500, 2000, 4000),
)
_TOY = isotropic("toy", 16.0, 60, 1)
_TWO = isotropic("two", 16.0, 60, 2)
QUICK = Sizes(
    full=_TOY,
    seed=_TWO,
    small=_TOY,
    several=_TOY,
    n_runs=(1, 2),
    n_scans=(60,),
    scans_mm=16.0,
    voxels_mm=16.0,
    voxels_scans=60,
    doublings=1,
    limits_mb=(1, 4000),
    demo=_TOY,
)


def make_tables(letter: str, bench: Bench, sizes: Sizes) -> Iterator[Table]:
    """Iterate over what a letter stands for, each table when it is measured."""
    match letter:
        case "A":
            yield from comparisons.one_run(bench, sizes.full)
        case "B":
            yield from comparisons.two_runs(bench, sizes.seed)
        case "C":
            yield from comparisons.whole_app(bench, sizes.full)
        case "D":
            yield from scaling.small_work(bench, sizes.demo)
        case "E":
            yield from scaling.more_runs(bench, sizes.small, sizes.n_runs)
            yield from scaling.more_scans(bench, sizes.scans_mm, sizes.n_scans)
            voxels = (sizes.voxels_mm, sizes.voxels_scans, sizes.doublings)
            yield from scaling.more_voxels(bench, *voxels)
            yield from scaling.more_processes(bench, sizes.several)
        case "F":
            yield from scaling.memory_limits(bench, sizes.full, sizes.limits_mb)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description="Time and memory: ours beside nilearn's and FitLins'."
    )
    parser.add_argument("--tables", help="which (default: A,B,D,E,F, with --fitlins also C)")
    parser.add_argument("--repeats", type=int, default=3, help="calls (default: %(default)s)")
    parser.add_argument("--fitlins", type=Path, help="FitLins' executable, for table C")
    parser.add_argument("--processors", type=int, default=2, help="for all (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path(".bench"), help="for data (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="toy sizes, every call watched, to see that it runs"
    )
    options = parser.parse_args(arguments)
    usual = "A,B,C,D,E,F" if options.fitlins else "A,B,D,E,F"
    options.tables = [text.strip().upper() for text in (options.tables or usual).split(",")]
    for letter in options.tables:
        if letter not in TABLES:
            parser.error(f"--tables: there is no table {letter!r}; tables are {', '.join(TABLES)}")
    if options.fitlins and not os.access(options.fitlins, os.X_OK):
        parser.error(f"--fitlins: {options.fitlins} cannot be run")
    for name in ("repeats", "processors"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: expected 1 or more")
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("memory is read from /proc/PID/smaps_rollup, which Linux has since 4.14")
    return options


def machine(n_procs: int) -> str:
    """Say what was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    model = names[0] if names else platform.machine()
    return f"{model}, {n_procs} processors, {memory:.0f} GB, Linux {platform.release()}"


def show(table: Table) -> Iterable[str]:
    """Iterate over the lines of a table."""
    return ["", f"### {table.title}", "", table.note, "", *aligned(table.rows, markdown=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    options = parse(arguments)
    allowed = sorted(os.sched_getaffinity(0))[: options.processors]
    os.sched_setaffinity(0, allowed)
    bench = Bench(
        folder=options.folder.resolve(),
        repeats=options.repeats,
        n_procs=len(allowed),
        fitlins=options.fitlins,
        always_watched=options.quick,
    )
    print(f"{machine(len(allowed))}.")
    print(f"{versions(_PACKAGES)}; {datetime.date.today()}.")
    times = "one call" if bench.repeats == 1 else f"median of {bench.repeats} alternating calls"
    looks = "these calls" if bench.always_watched else "one more call, watched (table F: of all)"
    print(f"Seconds: {times}. Memory, of all processes, shared pages once, and processor time: of")
    print(f"{looks}. MB are 10^6 bytes.")
    for letter in options.tables:
        for table in make_tables(letter, bench, QUICK if options.quick else FULL):
            print(*show(table), sep="\n", flush=True)
    shutil.rmtree(bench.folder / "work", ignore_errors=True)


if __name__ == "__main__":
    main()
