"""Tables A to C: ours beside its peers, on the same data in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bigdata import DataSpec
from calls import CONTRASTS, FWHM_MM, Bench, contrast_options
from processes import Measurement, median

Value = Callable[[Measurement], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is printed.

    Parameters
    ----------
    title, note : str
        What is measured, and on what data.
    rows : tuple of tuples of str
        The first is the head.
    """

    title: str
    note: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is compared.

    Parameters
    ----------
    label : str
        With its unit.
    value : callable
        From a measurement to a number.
    decimals : int
        How it is shown.
    wanted : str
        What the ratio, or ours, is to be.
    """

    label: str
    value: Value
    decimals: int
    wanted: str = ""


def work(measurement: Measurement) -> float:
    """Return the seconds without imports."""
    return measurement.told("work")


SECONDS = Measure(label="s", value=lambda m: m.seconds, decimals=2)
WORK = Measure(label="s, imports aside", value=work, decimals=2)
IMPORTS = Measure(label="s of imports", value=lambda m: m.told("imports"), decimals=2)
CPU = Measure(label="processor s", value=lambda m: m.cpu_seconds, decimals=2)
PEAK = Measure(label="peak MB of all processes", value=lambda m: m.peak_mb, decimals=0)
LARGEST = Measure(label="MB of the largest process", value=lambda m: m.largest_mb, decimals=0)


def one_run(bench: Bench, spec: DataSpec) -> Iterator[Table]:
    """Compare the fit of one run with nilearn's (table A)."""
    dataset = bench.dataset(spec)
    only = replace(dataset, spec=replace(spec, n_runs=1))
    options = contrast_options()
    found = bench.alternate(
        {
            "ours": bench.fit("one", dataset, "--run-id", "1", *options),
            "peer": bench.nilearn("one-nilearn", only, CONTRASTS),
            "floor": bench.floor(dataset),
        }
    )
    rows = compared(
        found,
        [
            replace(WORK, wanted="ratio >= 10"),
            *(IMPORTS, CPU),
            replace(PEAK, wanted="ratio >= 5"),
            LARGEST,
        ],
        peer="nilearn",
    )
    ours, floor = (median(found[name], work) for name in ("ours", "floor"))
    label = "s of inflating and smoothing alone; ours as a multiple"
    rows.append((label, f"{floor:.2f}", "", f"{ours / floor:.1f}", "<= 2"))
    yield Table(
        title="A. One run, files to saved maps",
        note=f"{described(spec, 1)}, {FWHM_MM} mm, three contrasts, {bench.n_procs} threads. "
        "Ours: what the node of a run does, `ar1` by REML; nilearn: `FirstLevelModel` with `ar1`, "
        "`compute_contrast`, all maps saved.",
        rows=tuple(rows),
    )


def two_runs(bench: Bench, spec: DataSpec) -> Iterator[Table]:
    """Compare two runs by given designs, and their fixed effects, with nilearn's (table B)."""
    dataset = bench.dataset(spec)
    designs = ("--design-dir", str(dataset.designs.resolve()))
    options = (*designs, *contrast_options(CONTRASTS[:1]))
    found = bench.alternate(
        {
            "ours": bench.fit("two", dataset, *options, combine=True),
            "peer": bench.nilearn("two-nilearn", dataset, CONTRASTS[:1], designs=True),
        }
    )
    rows = compared(
        found,
        [
            replace(WORK, wanted="ratio >= 8"),
            *(IMPORTS, CPU),
            replace(PEAK, wanted="ours < 300"),
            LARGEST,
        ],
        peer="nilearn",
    )
    yield Table(
        title="B. Two runs by design matrices made beforehand, and their fixed effects",
        note=f"{described(spec)}, {FWHM_MM} mm, one contrast, {bench.n_procs} threads. Ours: the "
        "nodes of both runs, each in a process of its own, and of their combination; nilearn: "
        "`FirstLevelModel` with `ar1` for each run, `compute_fixed_effects`.",
        rows=tuple(rows),
    )


def whole_app(bench: Bench, spec: DataSpec) -> Iterator[Table]:
    """Compare the whole program with FitLins (table C)."""
    dataset = bench.dataset(spec)
    procs = ("--nprocs", str(bench.n_procs))
    programs = {"ours": bench.app("app", dataset, *procs, *contrast_options())}
    peer = bench.peer_app("app-fitlins", dataset)
    if peer is not None:
        programs["peer"] = peer
    found = bench.alternate(programs)
    measures = [replace(SECONDS, wanted="ratio >= 10"), CPU, PEAK]
    given = "" if peer else " FitLins was not given (`--fitlins PATH`)."
    yield Table(
        title="C. The whole program, from its call to the report",
        note=f"{described(spec)}, {FWHM_MM} mm, three contrasts, {bench.n_procs} processes; no "
        f"output and no scratch of earlier calls.{given}",
        rows=tuple(compared(found, measures, peer="FitLins")),
    )


def described(spec: DataSpec, n_runs: int | None = None) -> str:
    """Say how large a dataset is."""
    n = n_runs or spec.n_runs
    return f"{n} run{'s' if n > 1 else ''} of {grid(spec)} voxels x {spec.n_scans} scans"


def grid(spec: DataSpec) -> str:
    """Say how many voxels there are along each axis."""
    return "x".join(map(str, spec.shape))


def compared(
    found: Mapping[str, Sequence[Measurement]], measures: Sequence[Measure], *, peer: str
) -> list[tuple[str, ...]]:
    """Return the rows of a comparison: medians of ours and of the peer's, and their ratio.

    Parameters
    ----------
    found : mapping of str to sequence of Measurement
        ``ours`` and, where the peer was there, ``peer``.
    measures : sequence of Measure
        One per row.
    peer : str
        Its name.
    """
    rows: list[tuple[str, ...]] = [("", "ours", peer, "ratio", "wanted")]
    for measure in measures:
        ours = median(found["ours"], measure.value)
        shown = f"{ours:.{measure.decimals}f}"
        if "peer" in found:
            theirs = median(found["peer"], measure.value)
            cells = (f"{theirs:.{measure.decimals}f}", f"{theirs / ours:.1f}")
        else:
            cells = ("not given", "")
        rows.append((measure.label, shown, *cells, measure.wanted))
    return rows
