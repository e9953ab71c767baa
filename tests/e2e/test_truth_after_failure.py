"""After failures, other settings and other filters, what is said of the outputs is still true."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.cli.run import main
from bids_fx.cli.session import Session
from bids_fx.derivatives.dataset import read_state
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e


OPTIONS = ("--nprocs", "1", "--skip-bids-validation", "--contrast", "face")


def run(truth: Truth, out: Path, *more: str) -> int:
    return main([str(truth.bids_dir), str(out), "participant", *OPTIONS, *more])


@pytest.fixture
def done(ended_call) -> tuple[Truth, Path]:
    return ended_call(DatasetSpec(n_volumes=50), *OPTIONS)


def break_first_run(truth: Truth) -> None:
    content = bytearray(truth.runs[0].bold.read_bytes())
    content[len(content) // 2] ^= 0x10
    truth.runs[0].bold.write_bytes(bytes(content))


def test_a_refit_that_fails_keeps_failing_and_is_not_taken_for_done(done):
    truth, out = done
    break_first_run(truth)
    for _ in range(2):
        assert run(truth, out) == 1
        assert read_state(out, "01")["state"] == "failed"
    assert "of other settings or data" in (out / "sub-01.html").read_text()


def test_a_refit_that_fails_under_another_name_of_the_derivatives_is_reported(done):
    truth, out = done
    break_first_run(truth)
    assert run(truth, out, "-d", f"other={truth.derivatives_dir}") == 1
    assert "cannot be read" in (out / "sub-01.html").read_text()


def test_a_call_that_is_ended_before_it_begins_leaves_the_earlier_failure(done, monkeypatch):
    truth, out = done
    break_first_run(truth)
    run(truth, out)
    before = read_state(out, "01")

    def end(*arguments: object) -> None:
        assert read_state(out, "01")["state"] == "planned"
        raise SystemExit(130)

    monkeypatch.setattr(Session, "_run_batch", end)
    with pytest.raises(SystemExit):
        run(truth, out)
    assert (read_state(out, "01"), before["state"]) == (before, "failed")
    assert main([str(truth.bids_dir), str(out), "group"]) == 1


def test_a_report_of_other_settings_does_not_pass_for_one_of_these(done, capsys):
    truth, out = done
    assert run(truth, out, "--hrf-model", "glover", "--reports-only") == 2
    assert "hrf_model glover: the results in OUTPUT_DIR are of spm" in capsys.readouterr().err
    assert run(truth, out, "--hrf-model", "spm", "--reports-only") == 0


def test_a_figure_of_a_part_of_the_runs_never_stands_for_the_combination(done):
    truth, out = done
    figure = next((out / "sub-01" / "figures").glob("*stat-z_statmap.png"))
    clusters = next(out.glob("sub-01/func/*_clusters.tsv"))
    before = figure.read_bytes(), clusters.read_bytes()
    assert run(truth, out, "--run-id", "1") == 0
    assert (figure.read_bytes(), clusters.read_bytes()) == before
    alone = next((out / "sub-01" / "figures").glob("*stat-z_desc-runs_statmap.png"))
    first = alone.read_bytes()
    assert run(truth, out, "--run-id", "2") == 0
    assert alone.read_bytes() != first


def test_one_scratch_folder_serves_several_output_folders(done, tmp_path):
    truth, _ = done
    work = str(tmp_path / "scratch")
    outs = [tmp_path / "a", tmp_path / "b"]
    for out, fwhm in zip(outs, ("0", "6"), strict=True):
        assert run(truth, out, "-w", work, "--smoothing-fwhm", fwhm) == 0
    maps = [next(out.glob("sub-01/func/*space-*_stat-effect_statmap.nii.gz")) for out in outs]
    first, second = (np.nan_to_num(nb.load(path).get_fdata()) for path in maps)
    assert np.abs(first - second).max() > 0.1


def test_temporary_files_of_a_killed_process_are_removed(done):
    truth, out = done
    left = out / "sub-01" / "func" / ".sub-01_x_statmap.nii.gz.123.tmp"
    left.touch()
    assert run(truth, out) == 0
    assert not left.exists()


def test_displacements_without_any_number_are_computed_from_the_motion_parameters(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1",), n_volumes=50))
    table = truth.runs[0].confounds.read_text().splitlines()
    place = table[0].split("\t").index("framewise_displacement")
    rows = [line.split("\t") for line in table[1:]]
    changed = ["\t".join([*row[:place], "n/a", *row[place + 1 :]]) for row in rows]
    truth.runs[0].confounds.write_text("\n".join([table[0], *changed]) + "\n")
    assert run(truth, tmp_path / "out") == 0
    quality = json.loads(next((tmp_path / "out").rglob("*_desc-qc.json")).read_text())
    columns = dict(zip(table[0].split("\t"), np.array(rows).T, strict=True))
    steps = [np.abs(np.diff(columns[f"trans_{axis}"].astype(float))) for axis in "xyz"]
    steps += [50 * np.abs(np.diff(columns[f"rot_{axis}"].astype(float))) for axis in "xyz"]
    assert quality["fd_mean"] == pytest.approx(np.sum(steps, axis=0).mean(), rel=1e-5)


def test_changed_motion_reaches_the_quality_measures(done):
    truth, out = done
    path = truth.runs[0].confounds
    table = path.read_text().splitlines()
    place = table[0].split("\t").index("framewise_displacement")
    cells = table[5].split("\t")
    cells[place] = "9.5"
    path.write_text("\n".join([*table[:5], "\t".join(cells), *table[6:]]) + "\n")
    assert run(truth, out) == 0
    quality = json.loads(next(out.rglob("*run-1*_desc-qc.json")).read_text())
    assert quality["fd_max"] == 9.5


def test_sources_are_what_a_map_was_computed_from(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1",), n_volumes=50, t1w=True))
    assert run(truth, tmp_path / "out", "--confounds", "none") == 0
    path = next((tmp_path / "out").rglob("*run-1*stat-effect_statmap.json"))
    sources = json.loads(path.read_text())["Sources"]
    kinds = ["bold.nii.gz", "events.tsv", "mask.nii.gz"]
    assert sorted(uri.rsplit("_", 1)[1] for uri in sources) == kinds
    design = json.loads(next((tmp_path / "out").rglob("*_design.json")).read_text())
    assert list(design["InputHashes"]) == design["Sources"]


def test_runs_with_and_without_a_session_are_not_combined(tmp_path, capsys):
    truth = make_dataset(tmp_path / "data", DatasetSpec(sessions=("a",), runs=("1",)))
    make_dataset(tmp_path / "data", DatasetSpec(runs=("2",)))
    assert run(truth, tmp_path / "out") == 65
    assert "no session" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--signal-scaling", "none"], ["--smoothing-fwhm", "4"]])
def test_a_scan_without_any_number_fails_its_run_by_name(tmp_path, options):
    truth = make_dataset(tmp_path / "data", DatasetSpec(n_volumes=50))
    image = nb.load(truth.runs[0].bold)
    values = image.get_fdata(dtype=np.float32)
    values[..., 5] = np.nan
    nb.save(nb.Nifti1Image(values, image.affine, image.header), truth.runs[0].bold)
    out = tmp_path / "out"
    assert run(truth, out, *options) == 1
    assert "in 1 of 50 scans (6, counted from 1)" in (out / "sub-01.html").read_text()
    assert list(out.rglob("*run-2*_stat-z_statmap.nii.gz"))
    # Censored, it costs one degree of freedom and nothing else.
    assert run(truth, out, *options, "--dummy-scans", "6") == 0


@pytest.mark.parametrize(
    "ending", ["run-1*stat-effect_statmap.nii.gz", "main_space*stat-z_statmap.nii.gz"]
)
@pytest.mark.parametrize("length", [0, 60])
def test_a_damaged_output_is_made_again(done, ending, length):
    truth, out = done
    path = next(out.glob(f"sub-01/func/*{ending}"))
    content = path.read_bytes()
    path.write_bytes(content[:length])
    assert run(truth, out) == 0
    assert path.read_bytes() == content


def test_combined_maps_that_no_longer_fit_their_run_maps_are_told(done):
    truth, out = done
    assert run(truth, out, "--run-id", "1") == 0
    assert "other run maps than are there now" not in (out / "sub-01.html").read_text()
    assert run(truth, out, "--run-id", "1", "--noise-model", "ols") == 0
    assert "other run maps than are there now" in (out / "sub-01.html").read_text()


def leave_no_room_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def fails(source: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fails)


GROUP = "sub-01_task-main_space-MNI152NLin2009cAsym"


@pytest.mark.parametrize(
    ("name", "task"),
    [
        (f"{GROUP}_contrast-house_stat-t_statmap.nii.gz", "combining house of"),
        (f"{GROUP}_desc-brain_mask.nii.gz", "joining the masks of"),
    ],
)
def test_a_group_of_which_a_part_cannot_be_written_is_done_again(
    tmp_path, monkeypatch, name, task
):
    truth = make_dataset(tmp_path / "data", DatasetSpec(n_volumes=50))
    out, whole = tmp_path / "out", tmp_path / "whole"
    with monkeypatch.context() as patched:
        leave_no_room_for(name, patched)
        assert run(truth, out, "--contrast", "house") == 74
    assert task in read_state(out, "01")["reason"]
    assert "No space left on device" in (out / "sub-01.html").read_text()
    # The other contrast is combined and drawn all the same.
    assert (out / "sub-01" / "func" / f"{GROUP}_contrast-face_stat-zchange_statmap.json").exists()
    assert (out / "sub-01" / "figures" / f"{GROUP}_contrast-face_stat-z_statmap.png").exists()
    assert not (out / "sub-01" / "func" / f"{GROUP}_desc-brain_mask.nii.gz").exists()
    assert run(truth, out, "--contrast", "house") == 0
    assert run(truth, whole, "--contrast", "house") == 0
    written = list(whole.glob("sub-01/*/*"))
    assert any(path.name == name for path in written)
    for path in written:
        assert (out / path.relative_to(whole)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("more", "code"), [((), 74), (("--qc-fail", "n_scans>3"), 1)])
def test_a_full_disk_is_told_by_its_code_where_nothing_else_failed(done, monkeypatch, more, code):
    truth, out = done
    leave_no_room_for(f"{GROUP}_contrast-house_stat-t_statmap.nii.gz", monkeypatch)
    assert run(truth, out, "--contrast", "house", *more) == code


def test_a_run_that_breaks_a_limit_of_quality_fails_its_participant_and_keeps_its_maps(
    done, capsys
):
    truth, out = done
    before = sorted(path.name for path in (out / "sub-01" / "func").iterdir())
    assert run(truth, out, "--qc-fail", "n_scans>3", "--qc-fail", "n_scans<3") == 1
    told = "n_scans is 50, above 3"
    assert capsys.readouterr().err.count(told) == 2
    assert "2 limits of quality not kept" in (out / "sub-01.html").read_text()
    assert read_state(out, "01")["state"] == "failed"
    assert sorted(path.name for path in (out / "sub-01" / "func").iterdir()) == before
    assert run(truth, out, "--reports-only") == 1
    assert run(truth, out) == 0
    assert read_state(out, "01")["state"] == "done"
