"""Pipes in place of files of ours: none is waited for, and what can be made anew is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from tests.calls import differences, outputs
from tests.fuzzing import in_time
from tests.synthetic import DatasetSpec, Truth

pytestmark = pytest.mark.e2e

SPEC = DatasetSpec(shape=(5, 5, 4), n_volumes=50)
OPTIONS = ("--nprocs", "1", "--skip-bids-validation", "--contrast", "face")
_FUNC = "sub-01/func/sub-01_task-main"
_RUN = f"{_FUNC}_run-1_space-MNI152NLin2009cAsym"
_ALL = f"{_FUNC}_space-MNI152NLin2009cAsym"
CALLS, QUALITY = "sub-01/calls.json", f"{_RUN}_desc-qc.json"
#: What is made anew without a fit; the rest are results of one.
LIGHT = (
    *(CALLS, "dataset_description.json", ".bidsignore", "sub-01.html", "logs/CITATION.md"),
    *(".bids_fx_work/states/sub-01.json", ".bids_fx_work/hashes/sub-01.json"),
    "sub-01/figures/sub-01_task-main_run-1_design.svg",
    *(f"{_ALL}_contrast-face_clusters.tsv", f"{_ALL}_contrast-face_clusters.json"),
)
HEAVY = (
    *(QUALITY, f"{_RUN}_contrast-face_stat-effect_statmap.json"),
    *(f"{_RUN}_desc-quality_timeseries.tsv", f"{_RUN}_desc-quality_timeseries.json"),
    *(f"{_RUN}_desc-residuals_carpet.png", f"{_FUNC}_run-1_design.tsv"),
    *(f"{_FUNC}_run-1_design.json", f"{_ALL}_contrasts.tsv"),
    *(f"{_ALL}_contrast-face_influence.tsv", f"{_ALL}_contrast-face_stat-z_statmap.json"),
)
#: In `make test` all at once, in `make soak` each alone too.
ALL = [
    pytest.param(LIGHT, id="light"),
    *(pytest.param((one,), id=one, marks=pytest.mark.soak) for one in (*LIGHT, *HEAVY)),
    pytest.param(HEAVY, id="heavy", marks=pytest.mark.soak),
]


def plant(out: Path, names: Iterable[str]) -> None:
    for name in names:
        (out / name).unlink()
        os.mkfifo(out / name)


def call(truth: Truth, out: Path, level: str, *options: str) -> int:
    with in_time():
        return main([str(truth.bids_dir), str(out), level, *options])


@pytest.mark.parametrize("names", ALL)
def test_pipes_are_replaced_by_the_files_that_belong_there(names, ended_call, tmp_path) -> None:
    truth, out = ended_call(SPEC, *OPTIONS)
    before = outputs(out)
    plant(out, names)
    assert call(truth, out, "participant", *OPTIONS) == 0
    assert [name for name in names if not (out / name).is_file()] == []
    told_in = {CALLS, "sub-01.html"} if CALLS in names else set()
    assert set(differences(before, outputs(out))) == told_in


@pytest.mark.parametrize("names", ALL)
def test_level_group_tells_of_pipes_that_it_cannot_do_without(names, ended_call, capsys) -> None:
    truth, out = ended_call(SPEC, *OPTIONS)
    plant(out, names)
    needed = [name for name in names if name in (CALLS, QUALITY)]
    assert call(truth, out, "group") == bool(needed)
    told = capsys.readouterr().err
    assert all(Path(name).name in told for name in needed), told
    assert ("a named pipe in place of a file" in told) is bool(needed), told


def test_reports_are_not_made_anew_from_a_pipe(ended_call, capsys) -> None:
    truth, out = ended_call(SPEC, *OPTIONS)
    plant(out, [CALLS])
    assert call(truth, out, "participant", "--reports-only", "--nprocs", "1") == 65
    assert "cannot be read (a named pipe in place of a file); move it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [
        pytest.param((*LIGHT[1:], QUALITY), id="light"),
        *(pytest.param((one,), id=one, marks=pytest.mark.soak) for one in HEAVY),
    ],
)
def test_reports_made_anew_name_the_results_that_are_pipes(names, ended_call, capsys) -> None:
    truth, out = ended_call(SPEC, *OPTIONS)
    plant(out, names)
    assert call(truth, out, "participant", "--reports-only", "--nprocs", "1") == 1
    told = capsys.readouterr().err
    results = {"dataset_description.json", ".bidsignore", *HEAVY}.intersection(names)
    assert f"{len(results)} planned outputs are missing" in told
    made = (name for name in names if name not in results and "/hashes/" not in name)
    assert all((out / name).is_file() for name in made)
