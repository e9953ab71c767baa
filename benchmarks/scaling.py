"""Tables D to F: small work, scaling and memory of our program."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bigdata import BigDataset, DataSpec, isotropic
from calls import CONTRASTS, FWHM_MM, ROOT, Bench, contrast_options, small_call
from comparisons import Table, described, grid, work
from processes import Measurement, Program, median

ONEBACK = ROOT / "tests" / "data" / "oneback"
ONEBACK_CONDITIONS = ("body", "face", "house", "object", "scene", "scramble")
ONEBACK_CONTRASTS = (
    f"all = ({' + '.join(ONEBACK_CONDITIONS)})/6",
    *("face - house", "face - scramble"),
    *ONEBACK_CONDITIONS,
)


def small_work(bench: Bench, toy: DataSpec | None) -> Iterator[Table]:
    """Measure what is to be quick (table D); `toy` stands in for the demo's dataset."""
    if toy is None:
        folders = (ONEBACK, ONEBACK / "derivatives" / "preproc")
        contrasts: Sequence[str] = ONEBACK_CONTRASTS
    else:
        dataset = bench.dataset(toy)
        folders, contrasts = (dataset.raw, dataset.derivatives), CONTRASTS[:1]
    raw, derivatives = (str(folder.resolve()) for folder in folders)

    def demo(folder: Path, *, watched: bool) -> Measurement:
        out_dir = str(folder.resolve() / "out")
        arguments = [raw, out_dir, "participant", "-d", derivatives, *contrast_options(contrasts)]
        arguments += ["--nprocs", str(bench.n_procs)]
        return small_call(folder, *arguments, watched=watched)

    def told(option: str) -> Program:
        return lambda *, watched: small_call(bench.fresh("small"), option, watched=watched)

    wanted = {"--help": "0.3 s", "--version": "0.3 s", "demo": "15 s", "demo again": "3 s"}
    programs: dict[str, Program] = {
        "--help": told("--help"),
        "--version": told("--version"),
        "demo": lambda *, watched: demo(bench.fresh("demo"), watched=watched),
        # in the folder that the call before it left
        "demo again": lambda *, watched: demo(bench.folder / "work" / "demo", watched=watched),
    }
    found = bench.alternate(programs)
    yield Table(
        title="D. Small work",
        note=f"`demo` is the call of `make demo`, on {bench.n_procs} processors; again, it finds "
        "everything done.",
        rows=(
            ("call", "s", "processor s", "peak MB", "wanted"),
            *((name, *usual(some), f"< {wanted[name]}") for name, some in found.items()),
        ),
    )


def usual(measurements: Sequence[Measurement]) -> tuple[str, str, str]:
    """Return seconds, processor seconds and peak MB as shown."""
    return (
        f"{median(measurements, lambda m: m.seconds):.2f}",
        f"{median(measurements, lambda m: m.cpu_seconds):.2f}",
        f"{median(measurements, lambda m: m.peak_mb):.0f}",
    )


def more_runs(bench: Bench, spec: DataSpec, counts: Sequence[int]) -> Iterator[Table]:
    """Measure the whole program on more and more runs (table E)."""
    options = ("--nprocs", str(bench.n_procs), *contrast_options(CONTRASTS[:1]))
    programs = {
        str(count): bench.app(f"runs-{count}", _with_runs(bench, spec, count), *options)
        for count in counts
    }
    found = bench.alternate(programs)
    rows = [("runs", "s", "processor s", "peak MB", "s per run", "s per further run")]
    before = 0, 0.0
    for count, some in zip(counts, found.values(), strict=True):
        seconds = median(some, lambda m: m.seconds)
        further = (seconds - before[1]) / (count - before[0])
        shown = (f"{seconds / count:.2f}", f"{further:.2f}" if before[0] else "")
        rows.append((str(count), *usual(some), *shown))
        before = count, seconds
    yield Table(
        title="E. More runs",
        note=f"The whole program, {bench.n_procs} processes, one contrast; runs of {grid(spec)} "
        f"voxels x {spec.n_scans} scans, hard links to one. Wanted: time for each further run and "
        "memory that do not grow.",
        rows=tuple(rows),
    )


def _with_runs(bench: Bench, spec: DataSpec, count: int) -> BigDataset:
    return bench.dataset(replace(spec, name=f"{spec.name}-{count}", n_runs=count))


def more_scans(bench: Bench, voxel_mm: float, counts: Sequence[int]) -> Iterator[Table]:
    """Measure the fit of runs with more and more scans (table E)."""
    specs = {str(count): isotropic(f"scans-{count}", voxel_mm, count) for count in counts}
    shape = grid(next(iter(specs.values())))
    yield _fits(bench, specs, title="E. More scans", head="scans", fixed=f"{shape} voxels")


def more_voxels(bench: Bench, voxel_mm: float, n_scans: int, steps: int) -> Iterator[Table]:
    """Measure the fit of runs whose voxels double in number each time (table E)."""
    sizes = (voxel_mm * 2 ** (-step / 3) for step in range(steps))
    specs = [isotropic(f"voxels-{step}", size, n_scans) for step, size in enumerate(sizes)]
    named = {grid(spec): spec for spec in specs}
    yield _fits(bench, named, title="E. More voxels", head="voxels", fixed=f"{n_scans} scans")


def _fits(bench: Bench, specs: dict[str, DataSpec], *, title: str, head: str, fixed: str) -> Table:
    """Measure one fit for each dataset."""
    options = contrast_options()
    programs = {
        name: bench.fit(spec.name, bench.dataset(spec), *options) for name, spec in specs.items()
    }
    found = bench.alternate(programs)
    rows = [(head, "s, imports aside", "processor s", "peak MB", "ns per voxel and scan")]
    for name, some in found.items():
        seconds = median(some, work)
        numbers = math.prod(specs[name].shape) * specs[name].n_scans
        rows.append((name, f"{seconds:.2f}", *usual(some)[1:], f"{1e9 * seconds / numbers:.0f}"))
    return Table(
        title=title,
        note=f"The work of one node as in table A, {bench.n_procs} threads, three contrasts, "
        f"{FWHM_MM} mm; {fixed}. Voxels are those of the whole image. Wanted: cost in proportion.",
        rows=tuple(rows),
    )


def more_processes(bench: Bench, spec: DataSpec) -> Iterator[Table]:
    """Measure several runs with one process and with all (table E)."""
    dataset = bench.dataset(spec)
    counts = sorted({1, bench.n_procs})
    programs = {
        str(count): bench.app(
            f"procs-{count}", dataset, "--nprocs", str(count), *contrast_options()
        )
        for count in counts
    }
    found = bench.alternate(programs)
    rows: list[tuple[str, ...]] = [
        (
            *("--nprocs", "s", "processor s", "peak MB", "ratio"),
            *("threads", "running, mean", "running, most", "looks with too many"),
        )
    ]
    one = median(found["1"], lambda m: m.seconds)
    for name, some in found.items():
        ratio = one / median(some, lambda m: m.seconds)
        rows.append((name, *usual(some), f"{ratio:.2f}", *threads(some, int(name))))
    yield Table(
        title="E. More processes",
        note=f"The whole program, three contrasts, {described(spec)}. Running: threads that ran "
        "or waited for a processor, of all processes, at one time of the call that was watched; "
        "too many: more than `--nprocs`. Wanted: a ratio of 1.7 for two processes.",
        rows=tuple(rows),
    )


def threads(measurements: Sequence[Measurement], n_procs: int) -> tuple[str, ...]:
    """Return the most threads there were, how many ran on average and at most, and too many."""
    running = [count for one in measurements for count in one.running]
    alive = [count for one in measurements for count in one.threads]
    excess = sum(count > n_procs for count in running) / max(1, len(running))
    mean = sum(running) / max(1, len(running))
    most = max(running, default=0)
    return str(max(alive, default=0)), f"{mean:.1f}", str(most), f"{100 * excess:.0f} %"


def memory_limits(bench: Bench, spec: DataSpec, limits_mb: Sequence[int]) -> Iterator[Table]:
    """Measure the peak of the whole program for several limits (table F)."""
    dataset = bench.dataset(spec)
    common = ("--nprocs", str(bench.n_procs), *contrast_options())
    programs = {
        str(limit): bench.app(
            f"limit-{limit}", dataset, *common, "--mem-mb", str(limit), may_fail=True
        )
        for limit in limits_mb
    }
    found = bench.alternate(programs, always_watched=True)
    yield Table(
        title="F. A limit of memory",
        note=f"The whole program with `--mem-mb`, {bench.n_procs} processes, three contrasts, "
        f"{described(spec)}. The peak is that of all processes together, the largest of the "
        "repetitions. Wanted: peak at most what is allowed, or a refusal.",
        rows=(
            ("allowed MB", "peak MB", "s", "outcome"),
            *((name, *kept(some, float(name))) for name, some in found.items()),
        ),
    )


def kept(measurements: Sequence[Measurement], limit_mb: float) -> tuple[str, str, str]:
    """Return the largest peak, the seconds, and how the limit was kept."""
    peak = max(one.peak_mb for one in measurements)
    failed = [one for one in measurements if one.exit_code]
    if failed:
        told = [line for line in failed[0].output.splitlines() if "mem-mb" in line]
        reason = told[0].partition("mem-mb: ")[2] or told[0] if told else ""
        outcome = f"refused: {reason}" if told else f"failed with exit code {failed[0].exit_code}"
    elif peak > limit_mb:
        outcome = f"{peak - limit_mb:.0f} MB too much"
    else:
        outcome = "kept"
    seconds = median(measurements, lambda m: m.seconds)
    return f"{peak:.0f}", f"{seconds:.2f}", outcome
