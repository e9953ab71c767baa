"""Time and memory of finding and planning participants in a large dataset.

usage: python benchmarks/finding.py [--participants 1000] [--planned 1,10,100,1000] [--markdown]

A raw dataset and derivatives as fMRIPrep names them are made in a temporary folder, with four
runs of each participant. Only the participants who are planned have images with a header, which
are as long as usual and of few voxels, and confounds of the usual size; the files of all others
are empty. Each row of the table is one call of the program, from its start to its exit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nb
import numpy as np

from printing import aligned, versions
from processes import Measurement, measure

SEED = 20251121
N_RUNS, N_SCANS, TR = 4, 300, 2.0
#: Columns of a confounds table of fMRIPrep, besides motion.
N_OTHER_CONFOUNDS = 240
SPACE = "space-MNI152NLin2009cAsym"
#: Of a run, and of a participant: what fMRIPrep writes and nobody here reads.
RUN_FIGURES = ("bold.svg", "carpetplot.svg", "confoundcorr.svg", "rois.svg")
ANATOMY = ("T1w.nii.gz", "T1w.json", "dseg.nii.gz", "label-GM_probseg.nii.gz")
FORMATS = ("text", "json")
_PACKAGES = ("numpy", "scipy", "nibabel")


def labels(count: int) -> list[str]:
    """Return the labels of a number of participants.

    Examples
    --------
    >>> labels(2)
    ['0001', '0002']
    """
    return [f"{number:04d}" for number in range(1, count + 1)]


def make_tree(root: Path, n_participants: int, n_planned: int) -> tuple[Path, Path]:
    """Write a raw dataset and its derivatives.

    Parameters
    ----------
    root : Path
        A folder that is there.
    n_participants : int
        Participants of the dataset.
    n_planned : int
        The first so many can be planned; all files of the others are empty.

    Returns
    -------
    raw, derivatives : Path
        The two datasets.
    """
    raw, derivatives = root / "raw", root / "fmriprep"
    for folder, content in ((raw, {}), (derivatives, {"DatasetType": "derivative"})):
        folder.mkdir()
        description = {"Name": folder.name, "BIDSVersion": "1.10.0", **content}
        (folder / "dataset_description.json").write_text(json.dumps(description))
    contents = _contents(root / "contents")
    for place, label in enumerate(labels(n_participants)):
        for path in (
            *(raw / name for name in _raw_files(label)),
            *(derivatives / name for name in _derivative_files(label)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            source = next(
                (file for end, file in contents.items() if path.name.endswith(end)), None
            )
            if place < n_planned and source is not None:
                path.hardlink_to(source)
            else:
                path.touch()
    return raw, derivatives


def _raw_files(label: str) -> Iterator[str]:
    """Iterate over the paths of a participant's raw files."""
    yield from (f"sub-{label}/anat/sub-{label}_T1w.{end}" for end in ("nii.gz", "json"))
    for run in range(1, N_RUNS + 1):
        stem = f"sub-{label}/func/sub-{label}_task-faces_run-{run}"
        yield from (f"{stem}_{end}" for end in ("bold.nii.gz", "bold.json", "events.tsv"))


def _derivative_files(label: str) -> Iterator[str]:
    """Iterate over the paths of a participant's files in the derivatives."""
    folder = f"sub-{label}"
    for space in ("", f"{SPACE}_"):
        yield from (f"{folder}/anat/{folder}_{space}{end}" for end in ANATOMY)
    for run in range(1, N_RUNS + 1):
        stem = f"{folder}_task-faces_run-{run}"
        yield from (f"{folder}/figures/{stem}_desc-{end}" for end in RUN_FIGURES)
        for kind in ("desc-preproc_bold", "desc-brain_mask", "boldref"):
            yield from (f"{folder}/func/{stem}_{SPACE}_{kind}.{end}" for end in ("nii.gz", "json"))
        yield from (
            f"{folder}/func/{stem}_desc-confounds_timeseries.{end}" for end in ("tsv", "json")
        )


def _contents(folder: Path) -> dict[str, Path]:
    """Write what the files that are read hold; return it by the endings of their names."""
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    names += ["framewise_displacement", *(f"a_comp_cor_{i:02d}" for i in range(N_OTHER_CONFOUNDS))]
    rows = [
        "\t".join(f"{value:.9f}" for value in row) for row in rng.random((N_SCANS, len(names)))
    ]
    events = [
        f"{2 + 12 * place}\t3\t{('face', 'house')[place % 2]}" for place in range(N_SCANS // 7)
    ]
    texts = {
        "_events.tsv": "\n".join(["onset\tduration\ttrial_type", *events]),
        "_timeseries.tsv": "\n".join(["\t".join(names), *rows]),
        "_timeseries.json": json.dumps({name: {"Method": "tCompCor"} for name in names}),
        ".json": json.dumps({"RepetitionTime": TR, "StartTime": TR / 2, "SkullStripped": False}),
    }
    paths = {}
    for end, text in texts.items():
        paths[end] = folder / f"a{end}"
        paths[end].write_text(text + "\n")
    for end, shape in (("preproc_bold.nii.gz", (4, 4, 4, N_SCANS)), ("mask.nii.gz", (4, 4, 4))):
        image = nb.Nifti1Image(np.ones(shape, dtype=np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
        if len(shape) > 3:
            image.header.set_zooms((2.0, 2.0, 2.0, TR))
        image.header.set_xyzt_units("mm", "sec")
        paths[end] = folder / f"a_{end}"
        image.to_filename(paths[end])
    return paths


def plan(raw: Path, derivatives: Path, n_participants: int, form: str) -> Measurement:
    """Plan the first participants in a process of its own.

    Parameters
    ----------
    raw, derivatives : Path
        As `make_tree` returns them.
    n_participants : int
        How many.
    form : str
        One of `FORMATS`.

    Raises
    ------
    ProgramError
        If they cannot be planned.
    """
    command: list[str | Path] = [sys.executable, "-m", "bids_fx"]
    command += [raw, raw.parent / "out", "participant"]
    command += ["-d", derivatives, "--contrast", "face - house", f"--dry-run={form}"]
    # The validator, where it is installed, is a program of others and reads the whole dataset.
    command += ["--skip-bids-validation", "--participant-label", *labels(n_participants)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    return measure(command, folder=raw.parent / "calls", environment=environment)


def row(n_participants: int, text: Measurement, as_json: Measurement) -> list[str]:
    """Return the cells of a row: participants, outputs, seconds and MB of both forms."""
    n_outputs = sum(map(int, re.findall(r"^  Outputs \((\d+)\)$", text.output, re.MULTILINE)))
    numbers = [f"{call.seconds:.2f}" for call in (text, as_json)]
    numbers += [f"{call.peak_mb:.0f}" for call in (text, as_json)]
    return [str(n_participants), str(n_outputs), *numbers]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description="Time and memory of finding and planning participants in a large dataset."
    )
    parser.add_argument(
        "--participants", type=int, default=1000, help="of the dataset (default: %(default)s)"
    )
    parser.add_argument(
        "--planned", default="1,10,100,1000", help="a row for each (default: %(default)s)"
    )
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args(arguments)
    try:
        options.planned = [int(text) for text in options.planned.split(",")]
    except ValueError as error:
        parser.error(f"--planned: {error}")
    if not all(0 < count <= options.participants for count in options.planned):
        parser.error(f"--planned: expected numbers from 1 to {options.participants}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    options = parse(arguments)
    print(f"{versions(_PACKAGES)}.")
    rows = [["participants", "outputs", "s (text)", "s (JSON)", "MB (text)", "MB (JSON)"]]
    with TemporaryDirectory(prefix="finding-") as folder:
        datasets = make_tree(Path(folder), options.participants, max(options.planned))
        for count in options.planned:
            calls = (plan(*datasets, count, form) for form in FORMATS)
            rows.append(row(count, *calls))
    print(f"Planned of {options.participants} participants with {N_RUNS} runs each:\n")
    print(*aligned(rows, markdown=options.markdown), sep="\n")


if __name__ == "__main__":
    main()
