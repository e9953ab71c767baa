"""Several calls into one output folder, and reports of what it holds."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.cli import rebuild
from bids_fx.cli.run import main
from bids_fx.derivatives.calls import read_calls, write_calls
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

MNI = "MNI152NLin2009cAsym"


def run(truth: Truth, out: Path, *more: str) -> int:
    options = ["--nprocs", "1", "--skip-bids-validation"]
    return main([str(truth.bids_dir), str(out), "participant", *options, *more])


def text_of(report: Path) -> str:
    """Return what a report says, without its figures, styles and scripts."""
    html = re.sub(r"<(style|script)[ >].*?</\1>", "", report.read_text(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def outputs(out: Path) -> dict[str, bytes]:
    """Return all that a call left but its log and what is only of its work."""
    files = (path for path in out.rglob("*") if path.is_file())
    names = {str(path.relative_to(out)): path for path in files}
    apart = (".bids_fx_work/", "logs/")
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(apart)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Truth:
    """Return a dataset of one participant in two spaces."""
    truth = make_dataset(tmp_path_factory.mktemp("calls") / "data", DatasetSpec(n_volumes=50))
    for path in list(truth.derivatives_dir.rglob(f"*space-{MNI}*")):
        shutil.copy(path, path.with_name(path.name.replace(MNI, "T1w")))
    return truth


@pytest.fixture(scope="module")
def filled(dataset, tmp_path_factory) -> Path:
    """Return an output folder of two calls, one for each space."""
    out = tmp_path_factory.mktemp("filled") / "out"
    for space in (MNI, "T1w"):
        assert run(dataset, out, "--contrast", "face", "--space", space) == 0
    return out


@pytest.fixture
def out(filled, tmp_path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(filled, tmp_path / "out"))


def test_the_report_covers_the_spaces_of_both_calls(out):
    text = text_of(out / "sub-01.html")
    for space in (MNI, "T1w"):
        assert f"Participant: task-main space-{space} " in text
    assert "Analysis 2" not in text


def test_calls_in_another_order_leave_the_same_report(out, dataset, tmp_path):
    other = tmp_path / "other"
    for space in ("T1w", MNI):
        assert run(dataset, other, "--contrast", "face", "--space", space) == 0
    assert text_of(other / "sub-01.html") == text_of(out / "sub-01.html")


def shared_files(out: Path) -> dict[str, bytes]:
    """Return tables, sidecars and figures of runs that have no space in their names."""
    found = (path for path in out.rglob("*_run-?_*") if path.is_file())
    return {path.name: path.read_bytes() for path in found if "space-" not in path.name}


def test_spaces_in_one_call_leave_the_same_tables_whichever_is_fitted_last(dataset, tmp_path):
    data = Path(shutil.copytree(dataset.bids_dir, tmp_path / "data"))
    for path in data.rglob("*space-T1w*_mask.nii.gz"):
        image = nb.load(path)
        half = np.asanyarray(image.dataobj).copy()
        half[: half.shape[0] // 2] = 0
        nb.save(nb.Nifti1Image(half, image.affine, image.header), path)
    options = ["--contrast", "face", "--skip-bids-validation", "--space"]
    left = []
    for spaces in ([MNI, "T1w"], ["T1w", MNI], [MNI], ["T1w"]):
        out = tmp_path / "-".join(spaces)
        calls = [str(data), str(out), "participant", "--nprocs", "2", *options, *spaces]
        assert main(calls) == 0
        left.append(shared_files(out))
    assert {name.partition("_run-1_")[2] for name in left[0]} == {
        *("", "design.tsv", "design.json", "contrasts.tsv"),
        *("design.svg", "corr.svg", "contrasts.svg"),
    }
    assert left == [left[0]] * 4
    z_maps = (tmp_path / f"{MNI}-T1w").rglob("*_run-1_*contrast-face_stat-z_statmap.json")
    medians = {json.loads(path.read_text())["EffectiveDegreesOfFreedom"] for path in z_maps}
    assert len(medians) == 2


def test_design_of_another_space_is_not_passed_off_as_this_one(out, dataset):
    foreign = "The design table and its figures in the output folder are of another analysis"
    first = shared_files(out)
    assert foreign not in text_of(out / "sub-01.html")
    other = ("--contrast", "face", "--space", "T1w", "--confounds", "none")
    assert run(dataset, out, *other) == 0
    second = shared_files(out)
    unchanged = {name.partition("_run-")[2] for name in first if second[name] == first[name]}
    assert unchanged == {"1_contrasts.svg", "2_contrasts.svg"}

    newest, _, older = text_of(out / "sub-01.html").partition("Analysis 2 Its settings differ")
    assert (newest.count(foreign), older.count(foreign)) == (0, 2)
    assert run(dataset, out, "--reports-only", "--nprocs", "2") == 0
    assert shared_files(out) == second

    same = ("--contrast", "face", "--space", MNI)
    assert run(dataset, out, *same) == 0
    assert shared_files(out) == first
    newest, _, older = text_of(out / "sub-01.html").partition("Analysis 2 Its settings differ")
    assert (newest.count(foreign), older.count(foreign)) == (0, 2)


def test_reports_alone_need_neither_data_nor_work_folder(out, dataset, tmp_path):
    before = outputs(out)
    shutil.rmtree(out / ".bids_fx_work")
    (out / "sub-01.html").unlink()
    drawn = [path for path in (out / "sub-01" / "figures").iterdir() if "carpet" not in path.name]
    for path in drawn:
        path.unlink()
    nowhere = str(tmp_path / "nowhere")
    assert main([nowhere, str(out), "participant", "--reports-only", "--nprocs", "1"]) == 0
    after = outputs(out)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == []


def test_results_of_other_settings_are_named_and_kept_apart(out, dataset):
    only = ("--contrast", "face", "--space", "T1w", "--noise-model", "ols")
    assert run(dataset, out, *only) == 0
    text = text_of(out / "sub-01.html")
    assert "Its settings differ from those of Analysis 1: noise_model ar1, not ols" in text
    first, _, second = text.partition("Analysis 2 Its settings differ")
    assert "task-main run-1 50" in first
    assert f"Runs (space-{MNI})" in second


def test_a_run_that_was_fitted_again_is_not_passed_off_as_part_of_the_old_combination(
    out, dataset
):
    only = ("--contrast", "face", "--space", "T1w", "--noise-model", "ols", "--run-id", "1")
    assert run(dataset, out, *only) == 0
    text = text_of(out / "sub-01.html")
    assert "fitted again since, with other settings" in text
    assert "Fitted again since, with other settings: run-1" in text
    table = text.rpartition("Peaks of the z maps")[2].partition("Clusters of")[0]
    assert [name in table for name in ("combined (2 runs)", "run-1", "run-2")] == [
        True,
        False,
        True,
    ]


def test_a_contrast_that_is_added_leaves_those_before_in_the_report(out, dataset):
    assert run(dataset, out, "--contrast", "house", "--space", "T1w") == 0
    text = text_of(out / "sub-01.html")
    for name in ("face", "house"):
        assert re.search(rf"Participant: task-main space-T1w.* {name} ", text)
    assert "Analysis 2" not in text


def test_a_participant_of_whom_nothing_is_held_is_named(out, dataset, capsys):
    options = ("--reports-only", "--participant-label", "01", "09")
    assert run(dataset, out, *options) == 18
    assert "it holds no results of sub-09" in capsys.readouterr().err


def test_settings_that_no_result_has_are_refused(out, dataset, capsys):
    assert run(dataset, out, "--reports-only", "--smoothing-fwhm", "5", "--contrast", "x") == 2
    told = capsys.readouterr().err
    assert "smoothing_fwhm_mm 5: the results in OUTPUT_DIR are of 0" in told
    assert "contrasts x: the results in OUTPUT_DIR are of face" in told


def test_the_same_command_with_reports_only_is_taken(out, dataset, capsys):
    same = ("--contrast", "face", "--space", "T1w")
    assert run(dataset, out, *same, "--reports-only", "-v") == 0
    assert "however it was made: --space changes nothing" in capsys.readouterr().err


def test_a_call_that_ends_while_reports_are_waited_for_is_not_lost(out, dataset, monkeypatch):
    path = out / "sub-01" / "calls.json"
    both = path.read_text()
    write_calls(out, read_calls(out, "01")[:1])

    @contextmanager
    def waited_for(out_dir, *names, on_loss):
        path.write_text(both)
        yield

    monkeypatch.setattr(rebuild, "locked", waited_for)
    assert run(dataset, out, "--reports-only") == 0
    assert path.read_text() == both
    assert "Participant: task-main space-T1w" in text_of(out / "sub-01.html")


def test_participants_may_be_named_without_leading_zeros(out, dataset):
    assert run(dataset, out, "--reports-only", "--participant-label", "1") == 0


def test_what_failed_is_told_again_from_its_crash_file(dataset, tmp_path):
    copy = Path(shutil.copytree(dataset.bids_dir, tmp_path / "data"))
    for bold in copy.rglob("*run-1*T1w*_bold.nii.gz"):
        content = bytearray(bold.read_bytes())
        content[len(content) // 2] ^= 0x10
        bold.write_bytes(bytes(content))
    out = tmp_path / "out"
    options = ["--nprocs", "1", "--skip-bids-validation", "--contrast", "face"]
    assert main([str(copy), str(out), "participant", *options, "--space", "T1w"]) == 1
    page = (out / "sub-01.html").read_bytes()
    assert b"Traceback" in page
    assert "Traceback" not in (out / "sub-01" / "calls.json").read_text()
    assert str(tmp_path) not in (out / "sub-01" / "calls.json").read_text()
    assert main([str(copy), str(out), "participant", "--reports-only", "--nprocs", "1"]) == 1
    assert (out / "sub-01.html").read_bytes() == page


def test_reports_alone_tell_what_is_missing_by_now(out, dataset, capsys):
    next(out.rglob("*space-T1w_contrast-face_stat-z_statmap.nii.gz")).unlink()
    next(out.rglob("*run-1*desc-qc.json")).unlink()
    assert run(dataset, out, "--reports-only") == 1
    assert capsys.readouterr().err.count("1 planned outputs are missing") == 2
    assert "2 planned outputs are missing" in text_of(out / "sub-01.html")


def test_each_call_keeps_its_threshold_until_another_is_asked_for(out, dataset):
    by_rate = ("--contrast", "face", "--space", MNI, "--threshold", "fdr:0.04")
    assert run(dataset, out, *by_rate) == 0
    assert run(dataset, out, "--contrast", "face", "--space", "T1w") == 0
    before = outputs(out)
    first, second = "a false discovery rate of .04", "p < .001 two-sided"
    # Of the figure, the peaks and the clusters.
    text = text_of(out / "sub-01.html")
    assert (text.count(first), text.count(second)) == (3, 3)
    assert run(dataset, out, "--reports-only") == 0
    assert outputs(out) == before
    assert run(dataset, out, "--reports-only", "--threshold", "bonferroni:0.03") == 0
    text = text_of(out / "sub-01.html")
    assert (text.count(first), text.count(second), text.count("p < .03 two-sided")) == (0, 0, 6)
