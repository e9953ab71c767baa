"""What a rerun computes: what has changed and what depends on it, whatever became of scratch."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.settings import WORK_AREA
from tests.calls import differences, outputs, stamps
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

SPEC = DatasetSpec(shape=(5, 5, 4), n_volumes=50)
OPTIONS = ("--nprocs", "1", "--skip-bids-validation", "--contrast", "face")
#: A file of each kind that a result has, as an end of its name; the map alone is in the group's.
WHAT = {
    "fit 1": "run-1_space-MNI152NLin2009cAsym_stat-tsnr_statmap.nii.gz",
    "fit 2": "run-2_space-MNI152NLin2009cAsym_stat-tsnr_statmap.nii.gz",
    "join": "task-main_space-MNI152NLin2009cAsym_contrast-face_stat-nruns_statmap.nii.gz",
    "figure": "task-main_space-MNI152NLin2009cAsym_contrast-face_stat-z_statmap.png",
}
ALL = frozenset(WHAT)
FIRST = frozenset({"fit 1", "join", "figure"})


@pytest.fixture
def done(ended_call) -> tuple[Truth, Path]:
    """Return a dataset and the outputs of a call that ended well, without its work area."""
    truth, out = ended_call(SPEC, *OPTIONS)
    shutil.rmtree(out / WORK_AREA)
    return truth, out


def call(truth: Truth, out: Path, *more: str) -> None:
    assert main([str(truth.bids_dir), str(out), "participant", *OPTIONS, *more]) == 0


def computed(truth: Truth, out: Path, *more: str) -> frozenset[str]:
    """Call again and return what was computed, by `WHAT`."""
    before = stamps(out)
    call(truth, out, *more)
    after = stamps(out)
    ends = {kind: next(n for n in after if n.endswith(end)) for kind, end in WHAT.items()}
    return frozenset(kind for kind, name in ends.items() if after[name] != before.get(name))


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def edit_column(path: Path, column: str, value: str) -> None:
    """Change a column's cell in the second row of a table."""
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    lines[2][lines[0].index(column)] = value
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n")


def edit_image(path: Path) -> None:
    """Change a voxel in the middle of an image, whose size and name stay."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    middle = 352 + 4 * ((len(content) - 352) // 8)
    is_mask = len(content) < 1000
    content[middle : middle + 1] = b"\0" if is_mask else bytes([content[middle] ^ 1])
    path.write_bytes(gzip.compress(bytes(content), mtime=0))


def read_all(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def delete(out: Path, end: str) -> None:
    (path,) = out.rglob(f"*{end}")
    path.unlink()


@dataclass(frozen=True)
class Case:
    """A change between two calls.

    Parameters
    ----------
    expected : frozenset of str
        What depends on it.
    edit : callable
        Makes it, given the first run, the output folder and the dataset.
    options : tuple of str
        Further ones of the second call.
    is_usual : bool
        Whether it is tried by `make test` too.
    old : str
        End of the name of a file that tells of the input as it was when it was read.
    """

    expected: frozenset[str]
    edit: Callable[[Truth, Path], object] = lambda truth, out: None
    options: tuple[str, ...] = ()
    is_usual: bool = False
    old: str = ""


CASES = {
    "nothing": Case(frozenset()),
    "all touched": Case(
        frozenset(),
        lambda truth, out: [os.utime(path) for path in truth.bids_dir.rglob("*")],
        is_usual=True,
    ),
    "the BOLD of run 1": Case(
        FIRST, lambda truth, out: edit_image(truth.runs[0].bold), is_usual=True
    ),
    "the mask of run 1": Case(FIRST, lambda truth, out: edit_image(truth.runs[0].mask)),
    "the events of run 1": Case(
        FIRST,
        lambda truth, out: edit_column(truth.runs[0].events, "duration", "4.5"),
    ),
    "a confound that is used": Case(
        FIRST, lambda truth, out: edit_column(truth.runs[0].confounds, "trans_x", "0.5")
    ),
    "a confound that is not used": Case(
        frozenset(),
        lambda truth, out: edit_column(truth.runs[0].confounds, "a_comp_cor_00", "0.5"),
        is_usual=True,
        old="run-1_design.json",  # the hash of the whole table
    ),
    "the repetition time": Case(
        FIRST, lambda truth, out: edit_json(truth.runs[0].sidecar, RepetitionTime=2.001)
    ),
    "another key of the sidecar": Case(
        frozenset(), lambda truth, out: edit_json(truth.runs[0].sidecar, Manufacturer="none")
    ),
    "smoothing": Case(ALL, options=("--smoothing-fwhm", "5")),
    "the HRF": Case(ALL, options=("--hrf-model", "glover")),
    "a contrast more": Case(ALL, options=("--contrast", "house")),
    "the combination": Case(
        frozenset({"join", "figure"}), options=("--combination", "unweighted")
    ),
    "the threshold": Case(
        frozenset({"figure"}), options=("--threshold", "fdr:0.05"), is_usual=True
    ),
    "a part of the report": Case(frozenset(), options=("--no-interactive",)),
    "all by force": Case(ALL, options=("--force",)),
    "a lost map of a run": Case(
        FIRST, lambda truth, out: delete(out, "_run-1_*_stat-t_statmap.nii.gz")
    ),
    "a lost sidecar of a run": Case(
        FIRST, lambda truth, out: delete(out, "_run-1_*_stat-t_statmap.json")
    ),
    "a lost table of a run": Case(FIRST, lambda truth, out: delete(out, "_run-1_contrasts.tsv")),
    "a lost combined map": Case(
        frozenset({"join", "figure"}),
        lambda truth, out: delete(out, "main_space-*_stat-t_statmap.nii.gz"),
    ),
    "a lost figure": Case(
        frozenset({"figure"}), lambda truth, out: delete(out, "_stat-z_statmap.png")
    ),
    "a lost table of clusters": Case(
        frozenset({"figure"}), lambda truth, out: delete(out, "_clusters.tsv")
    ),
    "a lost report": Case(frozenset(), lambda truth, out: delete(out, "sub-01.html")),
    "lost records": Case(frozenset(), lambda truth, out: delete(out, "calls.json")),
    "a lost description": Case(
        frozenset(), lambda truth, out: delete(out, "dataset_description.json")
    ),
    "a lost text": Case(frozenset(), lambda truth, out: delete(out, "CITATION.md")),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=() if case.is_usual else pytest.mark.soak)
        for name, case in CASES.items()
    ],
)
def test_a_rerun_computes_what_depends_on_a_change_and_ends_as_a_new_call_does(done, case):
    truth, out = done
    inputs, fresh = read_all(truth.bids_dir), outputs(out)
    case.edit(truth, out)
    found = computed(truth, out, *case.options)
    again = outputs(out)
    if case.options or read_all(truth.bids_dir) != inputs:
        shutil.rmtree(out)
        call(truth, out, *case.options)
        fresh = outputs(out)
    different = differences(again, fresh)
    assert [name for name in different if not (case.old and name.endswith(case.old))] == []
    assert found == case.expected


def test_a_dataset_that_was_moved_computes_nothing(done, tmp_path):
    truth, out = done
    moved = shutil.copytree(truth.bids_dir, tmp_path / "elsewhere")
    before = stamps(out)
    assert main([str(moved), str(out), "participant", *OPTIONS]) == 0
    changed = {name for name, stamp in stamps(out).items() if stamp != before[name]}
    assert {name for name in changed if name.startswith("sub-01/")} == set()
    assert "dataset_description.json" in changed  # it tells where the dataset is


@pytest.mark.soak
def test_a_further_run_is_fitted_and_joined_alone_and_one_that_is_gone_is_left_out(tmp_path):
    two, three = (
        make_dataset(tmp_path / name, DatasetSpec(shape=(5, 5, 4), n_volumes=50, runs=runs))
        for name, runs in (("two", ("1", "2")), ("three", ("1", "2", "3")))
    )
    out, data = tmp_path / "out", tmp_path / "data"
    shutil.copytree(two.bids_dir, data)
    now = make_dataset(data, SPEC)
    call(now, out)
    fresh = outputs(out)
    shutil.copytree(three.bids_dir, data, dirs_exist_ok=True)
    assert computed(now, out) == {"join", "figure"}
    assert list(out.rglob("*run-3*_stat-z_statmap.nii.gz"))
    shutil.rmtree(data)
    shutil.copytree(two.bids_dir, data)
    assert computed(now, out) == {"join", "figure"}
    left = {name: content for name, content in outputs(out).items() if "run-3" not in name}
    assert set(differences(left, fresh)) <= {"sub-01.html", "sub-01/calls.json"}


@pytest.mark.soak
def test_of_two_participants_only_the_one_that_has_changed_is_computed(tmp_path):
    spec = DatasetSpec(shape=(5, 5, 4), n_volumes=50, runs=("1",), participants=("01", "02"))
    truth = make_dataset(tmp_path / "data", spec)
    out = tmp_path / "out"
    call(truth, out)
    before = stamps(out)
    edit_image(truth.runs[0].bold)
    call(truth, out)
    changed = {name for name, stamp in stamps(out).items() if stamp != before[name]}
    maps = {name for name in changed if name.endswith("_statmap.nii.gz")}
    assert maps == {n for n in before if "sub-01/" in n and n.endswith("_statmap.nii.gz")}
    assert not any(name.startswith("sub-02/") for name in changed)


@pytest.mark.parametrize("damage", ["gone", "half", "other hashes", "other kinds"])
def test_a_cache_of_hashes_that_is_gone_or_damaged_computes_nothing(ended_call, damage):
    truth, out = ended_call(SPEC, *OPTIONS)
    (path,) = (out / WORK_AREA / "hashes").iterdir()
    entries = json.loads(path.read_text())
    if damage == "gone":
        path.unlink()
    elif damage == "half":
        path.write_text('{"half')
    elif damage == "other hashes":
        path.write_text(json.dumps({file: [1, 2, "x"] for file in entries}))
    else:
        path.write_text(json.dumps({file: {"size": 1} for file in entries}))
    assert computed(truth, out) == frozenset()
