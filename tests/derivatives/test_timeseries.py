"""The table of a run's scans and the image of its residuals, as they are on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bids_fx.derivatives import paths
from bids_fx.derivatives.timeseries import from_grey, read_traces, to_grey, to_png, write_traces
from bids_fx.records import RunPlan
from bids_fx.traces import MotionTraces, motion_traces
from tests.small_plans import N_SCANS, make_residuals, make_run

RUN = "sub-01_task-x_run-1_space-A"


def written(tmp_path: Path, *, censored: tuple[int, ...] = (), limit: float | None = None):
    """Return a run whose scans were written, and the residuals of its kept scans."""
    run = make_run(RUN, censored=censored)
    run = replace(run, confounds=replace(run.confounds, fd_threshold_mm=limit))
    residuals = make_residuals(N_SCANS - len(censored))
    write_traces(run, motion_traces(run.source), residuals, tmp_path)
    return run, residuals


def lines_of(run: RunPlan, tmp_path: Path) -> list[list[str]]:
    text = (tmp_path / paths.timeseries(run.entities)).read_text()
    return [line.split("\t") for line in text.splitlines()]


def test_the_table_has_a_row_for_each_stored_volume(tmp_path: Path) -> None:
    run, _ = written(tmp_path, censored=(3,))
    head, *rows = lines_of(run, tmp_path)
    assert head == [
        "framewise_displacement",
        *("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "censored"),
        *("residual_mean", "residual_sd", "residual_dvars"),
    ]
    assert len(rows) == N_SCANS
    assert [i for i, row in enumerate(rows) if row[7] == "1"] == [3]


def test_residuals_stand_at_their_scans_and_censored_ones_have_none(tmp_path: Path) -> None:
    run, residuals = written(tmp_path, censored=(3, 20))
    found = read_traces(run, tmp_path)
    spread = found.columns["residual_sd"]
    assert np.flatnonzero(np.isnan(spread)).tolist() == [3, 20] == found.censored
    np.testing.assert_allclose(np.delete(spread, [3, 20]), residuals.sd, rtol=1e-5)  # six digits
    np.testing.assert_allclose(spread[4], residuals.sd[3], rtol=1e-5)


def test_motion_is_read_back_as_it_was(tmp_path: Path) -> None:
    run, _ = written(tmp_path)
    columns = read_traces(run, tmp_path).columns
    for name, values in motion_traces(run.source).columns.items():
        np.testing.assert_array_equal(columns[name], values)


def test_every_column_is_described_with_its_units(tmp_path: Path) -> None:
    run, _ = written(tmp_path, limit=0.4)
    told = json.loads((tmp_path / paths.sidecar(paths.timeseries(run.entities))).read_text())
    head, *_ = lines_of(run, tmp_path)
    assert set(head) == told.keys() - {"Description"}
    assert all(told[name]["Description"] for name in head)
    assert {name for name in head if "Units" not in told[name]} == {"censored"}
    assert told["framewise_displacement"]["CensoredAbove"] == 0.4
    assert "360 voxels" in told["residual_sd"]["Description"]


def test_the_limit_of_the_displacement_is_read_back(tmp_path: Path) -> None:
    run, _ = written(tmp_path, limit=0.4)
    assert read_traces(run, tmp_path).fd_limit_mm == 0.4
    run, _ = written(tmp_path)
    assert read_traces(run, tmp_path).fd_limit_mm is None


def test_a_displacement_that_was_computed_is_told_so(tmp_path: Path) -> None:
    run = make_run(RUN)
    given = motion_traces(run.source)
    for is_computed, words in ((True, "Power et al. 2012"), (False, "as in the confounds table")):
        traces = MotionTraces(columns=given.columns, is_computed=is_computed)
        write_traces(run, traces, make_residuals(N_SCANS), tmp_path)
        assert words in read_traces(run, tmp_path).fd_text


def test_a_run_without_confounds_has_only_its_residuals(tmp_path: Path) -> None:
    run = make_run(RUN, confounds=None, confounds_file=None)
    write_traces(run, motion_traces(run.source), make_residuals(N_SCANS), tmp_path)
    head, *_ = lines_of(run, tmp_path)
    assert head == ["censored", "residual_mean", "residual_sd", "residual_dvars"]
    assert read_traces(run, tmp_path).fd_text == ""


@pytest.mark.parametrize("text", ["", "a\tb\n1\t2\n", "censored\n", "censored\ta\n0\n"])
def test_a_damaged_table_is_refused(text, tmp_path: Path) -> None:
    run, _ = written(tmp_path)
    (tmp_path / paths.timeseries(run.entities)).write_text(text)
    with pytest.raises(ValueError, match=r"no table|values to unpack"):
        read_traces(run, tmp_path)


def test_the_image_has_a_pixel_for_each_row_and_stored_volume(tmp_path: Path) -> None:
    run, residuals = written(tmp_path, censored=(3,))
    with Image.open(tmp_path / paths.carpet(run.entities)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        levels = np.asarray(image)
    assert levels.shape == (12, N_SCANS)
    assert (levels[:, 3] == 0).all()
    half = 1.5 / 127  # of a grey level, in standard deviations
    expected = np.clip(residuals.carpet, -3, 3)
    assert np.abs(np.delete(from_grey(levels), 3, axis=1) - expected).max() <= half


def test_grey_levels_are_clipped_and_never_zero() -> None:
    assert to_grey(np.array([-99.0, 0.0, 99.0])).tolist() == [1, 128, 255]


def test_an_image_without_rows_is_an_empty_one() -> None:
    assert to_png(np.zeros((0, 4), np.uint8)) == to_png(np.zeros((1, 4), np.uint8))
