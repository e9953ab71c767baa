"""The same model files and data in FitLins and in this program: how far the maps agree.

usage: python benchmarks/fitlins_agreement.py --fitlins PATH [--cases NAME,NAME]

The data are synthetic (`knowndata`): an effect in each voxel is known, and the responses come from
neither program. FitLins fits AR(1) noise by Yule and Walker and combines runs unweighted;
ours is called with ``--noise-model ar1-yw --combination unweighted`` to be asked the same.
``benchmarks/README.md`` says how to install FitLins, which needs an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pandas as pd

from agreement import (
    agreement,
    delay_between,
    effects_by_cut_rho,
    error_percent,
    ratio_text,
    slope,
    stretched_moments,
)
from calls import environment
from knowndata import CONDITIONS, SPACE, Known, make_known, response_at
from modelcases import CASES, COLUMNS, FIR, TIMINGS, Case
from printing import aligned, versions
from processes import measure

FloatArray = npt.NDArray[np.float64]

CONTRASTS = (*CONDITIONS, "faceGtHouse")
N_RUNS = 2
#: nilearn fits all voxels together whose autocorrelations agree so far (``bins=100``).
RHO_STEP = 0.01
_PACKAGES = ("numpy", "scipy", "nibabel", "pandas")
_EFFECTS_HEAD = (
    *("model", "contrast", "r", "slope", "largest, % of SD"),
    *("on truth: ours", "FitLins", "subject: r", "largest, % of SD", "variance, FitLins/ours"),
)
_COLUMNS_HEAD = (
    *("model", "ours", "FitLins", "FitLins, where pybids samples", "its height"),
    *("columns: ours", "FitLins"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What both programs made of a case.

    Parameters
    ----------
    case : Case
        The model and its runs.
    ours, theirs : Path
        Output folders.
    failure : str
        What FitLins said at its end; empty if it did not fail.
    """

    case: Case
    ours: Path
    theirs: Path
    failure: str

    def our_map(self, contrast: str, stat: str, run: int | None) -> Path | None:
        """Return our map of a run, or the combined one; None if there is none."""
        entity = "" if run is None else f"run-{run}_"
        task = f"sub-01_task-{self.case.timing.task}"
        name = f"{task}_{entity}space-{SPACE}_contrast-{contrast}_stat-{stat}_statmap.nii.gz"
        return _existing(self.ours / "sub-01" / "func" / name)

    def their_map(self, contrast: str, stat: str, run: int | None) -> Path | None:
        """Return FitLins' map of a run, or the subject node's; None if there is none."""
        node, entity = ("subject", "") if run is None else ("run", f"run-{run}_")
        name = f"sub-01_{entity}contrast-{contrast}_stat-{stat}_statmap.nii.gz"
        return _existing(self.theirs / f"node-{node}" / "sub-01" / name)

    def design(self, *, ours: bool) -> pd.DataFrame:
        """Return the design of the first run as a program wrote it."""
        root = self.ours if ours else self.theirs
        name = f"sub-01_task-{self.case.timing.task}_run-1_design.tsv"
        return pd.read_csv(next(root.rglob(name)), sep="\t")


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def run_case(case: Case, known: Known, folder: Path, fitlins: Path) -> Outputs:
    """Run both programs on a case.

    Raises
    ------
    ProgramError
        If ours fails; FitLins may.
    """
    place = folder / "work" / case.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    model = place / "model.json"
    model.write_text(json.dumps(case.model(), indent=1))
    common: tuple[str | Path, ...] = ("participant", "-d", known.derivatives, "-m", model)
    ours: list[str | Path] = [sys.executable, "-m", "bids_fx", known.raw, place / "ours", *common]
    ours += ["--noise-model", "ar1-yw", "--combination", "unweighted", "--skip-bids-validation"]
    call = partial(measure, watched=False)
    call(ours, folder=place / "call", environment=environment(own=True))
    theirs: list[str | Path] = [
        fitlins,
        known.raw,
        place / "theirs",
        *common,
        "-w",
        place / "scratch",
    ]
    theirs += ["--space", SPACE, "--desc-label", "preproc", "--n-cpus", "1", "--mem-gb", "8"]
    peer = place / "peer"
    done = call(theirs, folder=peer, environment=environment(own=False), may_fail=True)
    shutil.rmtree(place / "scratch", ignore_errors=True)
    failure = last_error(done.output) if done.exit_code else ""
    return Outputs(case=case, ours=place / "ours", theirs=place / "theirs", failure=failure)


def last_error(output: str) -> str:
    r"""Return the exception with which a Python program ended, in one line.

    Examples
    --------
    >>> last_error("Traceback:\n  raise\n\tValueError: no house. See ...\n\n")
    'ValueError: no house'
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.partition(":")[0].endswith("Error")]
    return (errors or lines or ["nothing"])[-1].partition(". ")[0]


def effect_rows(outputs: Outputs, known: Known) -> Iterator[tuple[str, ...]]:
    """Iterate over the rows of the table of effects, one per contrast."""
    for contrast in CONTRASTS:
        run_cells = _run_cells(outputs, known, contrast)
        yield (outputs.case.label, *run_cells, *_subject_cells(outputs, known, contrast))


def _run_cells(outputs: Outputs, known: Known, contrast: str) -> list[str]:
    """Compare the effects of a contrast in the runs where both programs have it."""
    pairs = [
        (outputs.their_map(contrast, "effect", run), outputs.our_map(contrast, "effect", run))
        for run in range(1, N_RUNS + 1)
    ]
    both = [(one, other) for one, other in pairs if one and other]
    name = contrast if len(both) == N_RUNS else f"{contrast}, {len(both)} run(s)"
    if not both:
        return [name, *[""] * 5]
    theirs, ours = (np.concatenate([_values(pair[i], known) for pair in both]) for i in (0, 1))
    found = agreement(theirs, ours)
    truth = np.tile(true_effect(known, contrast), len(both))
    slopes = [slope(values, truth) for values in (ours, theirs)]
    on_truth = [f"{value:.3f}" for value in slopes] if outputs.case.tests_truth else ["", ""]
    numbers = [f"{found.correlation:.6f}", f"{found.slope:.4f}", f"{found.largest_percent:.2f}"]
    return [name, *numbers, *on_truth]


def _subject_cells(outputs: Outputs, known: Known, contrast: str) -> list[str]:
    """Compare the effect and the variance of a contrast over runs."""
    maps = {
        stat: [at(contrast, stat, None) for at in (outputs.their_map, outputs.our_map)]
        for stat in ("effect", "variance")
    }
    values = {
        stat: [_values(path, known) for path in paths if path] for stat, paths in maps.items()
    }
    if any(len(found) < len(maps[stat]) for stat, found in values.items()):
        return ["not there", "", ""]
    found = agreement(*values["effect"])
    numbers = [f"{found.correlation:.6f}", f"{found.largest_percent:.2f}"]
    return [*numbers, ratio_text(*values["variance"])]


def true_effect(known: Known, contrast: str) -> FloatArray:
    """Return what a contrast is in each voxel, in percent."""
    if contrast in known.effects:
        return known.effects[contrast]
    return known.effects["face"] - known.effects["house"]


def _values(path: Path, known: Known) -> FloatArray:
    return np.asarray(nb.load(path).get_fdata()[known.mask])


def column_row(outputs: Outputs, known: Known) -> tuple[str, ...]:
    """Return a row of the table of regressors: largest errors of the one for faces, run 1."""
    case = outputs.case
    scans = case.timing.moments()
    exact = response_at(known, case.timing, "face", scans)
    designs = [outputs.design(ours=own) for own in (True, False)]
    counts = [str(design.shape[1]) for design in designs]
    ours, theirs = (_column(design, case) for design in designs)
    errors = [error_percent(ours, exact), error_percent(theirs, exact)]
    cells = [f"{error:.2f} %" for error in errors]
    if not case.convolves:
        return (case.label, *cells, "", "", *counts)
    moments = stretched_moments(case.timing.n_scans, case.timing.repetition_time)
    stretched = response_at(known, case.timing, "face", moments)
    height = slope(theirs, stretched)
    error = error_percent(theirs / height, stretched)
    return (case.label, *cells, f"{error:.2f} %", f"{height:.3f}", *counts)


def noise_text(outputs: Outputs, known: Known) -> str:
    """Say whether the two noise models explain what differs where the regressors do not."""
    name = f"sub-01_task-{outputs.case.timing.task}_run-1_space-{SPACE}_desc-preproc_bold.nii.gz"
    series = _values(known.derivatives / "sub-01" / "func" / name, known).T
    percent = 100 * (series / series.mean(axis=0) - 1)
    design = outputs.design(ours=False)
    X = design.to_numpy(dtype=np.float64)
    column = list(design).index(outputs.case.columns[0])
    texts = []
    for whose, step, path in (
        ("FitLins", RHO_STEP, outputs.their_map("face", "effect", 1)),
        ("ours", None, outputs.our_map("face", "effect", 1)),
    ):
        assert path is not None
        again = effects_by_cut_rho(percent, X, column, step)
        largest = agreement(again, _values(path, known)).largest_percent
        texts.append(f"{whose} {largest:.5f} %")
    return (
        "Least squares with each voxel's autocorrelation, cut to 0.01 as nilearn does for\n"
        "FitLins and not cut for ours, beside the effects of faces in run 1 of the first model;\n"
        f"largest difference in percent of their SD: {', '.join(texts)}."
    )


def delay_text(outputs: Outputs) -> str:
    """Say by how many seconds the delays 0 and 2 of an FIR differ in both programs."""
    tr = outputs.case.timing.repetition_time
    texts = []
    for ours, ending in ((True, "delay_"), (False, "")):
        design = outputs.design(ours=ours)
        label = "face" if ours else COLUMNS[0]
        early, late = (np.asarray(design[f"{label}_{ending}{i}"]) for i in (0, 2))
        whose = "ours" if ours else "FitLins'"
        texts.append(f"{delay_between(early, late, tr):.2f} s in {whose}")
    return f"FIR delay 2 is later than delay 0 by {' and by '.join(texts)}."


def _column(design: pd.DataFrame, case: Case) -> FloatArray:
    """Return the regressor of faces, which our designs call by the level alone."""
    names = (case.columns[0], case.columns[0].removeprefix("trial_type."))
    name = next(name for name in names if name in design)
    return np.asarray(design[name], dtype=np.float64)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description="The same model files and data in FitLins and in this program."
    )
    parser.add_argument(
        "--fitlins",
        type=Path,
        default=os.environ.get("FITLINS") or None,
        help="its executable (default: environment variable FITLINS)",
    )
    names = [case.name for case in CASES]
    parser.add_argument("--cases", default=",".join(names), help="which (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="at a time (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path(".bench"), help="for data (default: %(default)s)"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    options = parser.parse_args(arguments)
    if options.fitlins is None:
        parser.error(
            "--fitlins: say where FitLins is; benchmarks/README.md says how to install it"
        )
    if not (options.fitlins.is_file() and os.access(options.fitlins, os.X_OK)):
        parser.error(f"--fitlins: {options.fitlins} cannot be run")
    if options.jobs < 1:
        parser.error("--jobs: expected 1 or more")
    wanted = options.cases.split(",")
    for name in wanted:
        if name not in names:
            parser.error(f"--cases: there is no case {name!r}; cases are {', '.join(names)}")
    options.cases = [case for case in CASES if case.name in wanted]
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    options = parse(arguments)
    folder = options.folder.resolve() / "agreement"
    shutil.rmtree(folder, ignore_errors=True)
    known = make_known(folder / "data", TIMINGS)
    fitlins = options.fitlins.absolute()
    run = partial(run_case, known=known, folder=folder, fitlins=fitlins)
    with ThreadPoolExecutor(options.jobs) as pool:
        every = list(pool.map(run, options.cases))
    found = [one for one in every if not one.failure]
    print(f"{versions(_PACKAGES)}.\n")
    print("Effects of both runs over voxels, FitLins' against ours; slopes on the true effects (1")
    print("is unbiased); effects and variances of the subject node, median and range.\n")
    rows = [_EFFECTS_HEAD, *(row for one in found for row in effect_rows(one, known))]
    print(*aligned(rows, markdown=options.markdown), sep="\n")
    for one in every:
        if one.failure:
            print(f"\nFitLins fails ({one.case.label}): {one.failure}")
    print("\nThe regressor of faces in run 1 beside a sum over 1 ms: largest error in percent of")
    print("the peak; FitLins' also beside the response at the moments that pybids samples.\n")
    columns = [column_row(one, known) for one in found if one.case.tests_truth]
    print(*aligned([_COLUMNS_HEAD, *columns], markdown=options.markdown), sep="\n")
    for one in found:
        if one.case is CASES[0]:
            print(f"\n{noise_text(one, known)}")
        if FIR in one.case.instructions:
            print(f"\n{delay_text(one)}")


if __name__ == "__main__":
    main()
