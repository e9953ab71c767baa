"""Figures of what a run's fit has written: what stands on the axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from bids_fx.derivatives import paths
from bids_fx.derivatives.timeseries import QualityTraces
from bids_fx.reports.figures import (
    ModelMap,
    draw_carpet,
    draw_model_maps,
    draw_motion,
    draw_whiteness,
)
from bids_fx.reports.figures.cuts import N_CUTS
from bids_fx.reports.maps import Volume
from bids_fx.reports.runfigures import draw_design_figures, draw_fit_figures
from bids_fx.traces import FD, ROTATIONS, TRANSLATIONS
from tests.small_plans import (
    AFFINE,
    N_SCANS,
    SHAPE,
    make_run,
    make_run_maps,
    publish_scans,
    write_map,
)

RUN = "sub-01_task-x_run-1"
WHITENESS = {
    "dof": 100,
    "residual_autocorrelation_lag1": 0.3,
    "whitened_autocorrelation_lag1": 0.01,
    "whitened_autocorrelation_lag2": -0.05,
    "whitened_autocorrelation_lag3": 0.02,
    "whitened_outside_share": 0.061,
}


def make_traces(
    censored: tuple[int, ...] = (), limit: float | None = None, **columns: np.ndarray
) -> QualityTraces:
    values = {
        **columns,
        "censored": np.isin(np.arange(N_SCANS), censored).astype(float),
        "residual_sd": np.linspace(0.9, 1.1, N_SCANS),
    }
    return QualityTraces(columns=values, fd_limit_mm=limit)


def motion(**changes: np.ndarray) -> dict[str, np.ndarray]:
    names = (*TRANSLATIONS, *ROTATIONS, FD)
    return {**{name: np.zeros(N_SCANS) for name in names}, **changes}


def spans(axes) -> list[list[float]]:
    return [patch.get_bbox().intervalx.tolist() for patch in axes.patches]


def make_map(fill: Callable[[np.ndarray], np.ndarray] = np.asarray, **changes: object) -> ModelMap:
    """Return a map of 1, 2, ... on some voxels."""
    data = np.full(SHAPE, np.nan, dtype=np.float32)
    data[1:5, 1:6, :] = fill(1 + np.arange(100.0).reshape(4, 5, 5))
    return ModelMap(name="tsnr", units="ratio", volume=Volume(data=data, affine=AFFINE), **changes)


def test_rotations_are_in_degrees_and_translations_in_millimetres() -> None:
    radians = np.linspace(0, np.pi / 6, N_SCANS)
    traces = make_traces(trans_x=np.arange(float(N_SCANS)), rot_x=radians)
    translation, rotation = draw_motion(traces).axes
    np.testing.assert_allclose(translation.lines[0].get_ydata(), np.arange(N_SCANS))
    np.testing.assert_allclose(rotation.lines[0].get_ydata()[-1], 30.0)
    assert translation.get_ylabel() == "translation (mm)"
    assert rotation.get_ylabel() == "rotation (degrees)"


def test_displacement_threshold_is_drawn_in_its_own_panel_only() -> None:
    panels = draw_motion(make_traces(limit=0.7, **motion())).axes
    assert [len(axes.lines) for axes in panels] == [3, 3, 2]
    assert panels[2].lines[1].get_ydata() == [0.7, 0.7]


def test_censored_scans_are_shaded_in_every_panel_of_the_motion() -> None:
    figure = draw_motion(make_traces(censored=(0, 17), **motion()))
    assert [spans(axes) for axes in figure.axes] == [[[-0.5, 0.5], [16.5, 17.5]]] * 3
    assert figure.axes[0].get_title(loc="left").startswith("2 of 40 scans are censored")


def test_table_without_motion_says_so() -> None:
    assert "no motion parameters" in draw_motion(make_traces()).texts[0].get_text()


def test_carpet_and_traces_share_the_axis_of_the_scans() -> None:
    carpet = np.zeros((7, N_SCANS))
    displacement, spread, image, bar = draw_carpet(make_traces(**motion()), carpet).axes
    for axes in (displacement, spread, image):
        assert axes.get_xlim() == (-0.5, N_SCANS - 0.5)
        assert axes.get_position().x0 == displacement.get_position().x0
        assert axes.get_position().x1 == displacement.get_position().x1
    assert displacement.get_position().y0 > spread.get_position().y1
    assert spread.get_position().y0 > image.get_position().y1
    assert bar.get_ylim() == (-3, 3)
    assert "SD" in bar.get_ylabel()


def test_carpet_shades_censored_scans_and_has_no_residuals_there() -> None:
    carpet = np.zeros((7, N_SCANS))
    carpet[:, 5] = np.nan
    traces = make_traces(censored=(5,), limit=0.2, **motion())
    displacement, spread, image, _ = draw_carpet(traces, carpet).axes
    assert spans(displacement) == spans(spread) == [[4.5, 5.5]]
    assert displacement.lines[1].get_ydata() == [0.2, 0.2]
    (shown,) = image.images
    assert np.ma.getmaskarray(shown.get_array()).any(axis=0).tolist() == [
        scan == 5 for scan in range(N_SCANS)
    ]
    tint = tuple(0.75 + 0.25 * channel for channel in to_rgb("#d55e00"))
    np.testing.assert_allclose(shown.get_cmap().get_bad()[:3], tint)


def test_carpet_without_displacement_starts_with_the_residuals_spread() -> None:
    spread, image, _ = draw_carpet(make_traces(), np.zeros((7, N_SCANS))).axes
    np.testing.assert_array_equal(spread.lines[0].get_ydata(), np.linspace(0.9, 1.1, N_SCANS))
    assert spread.get_title(loc="left") == "no scan is censored"
    assert image.images[0].get_clim() == (-3, 3)


def test_autocorrelations_are_bars_before_and_after_with_white_noises_limits() -> None:
    (axes,) = draw_whiteness(WHITENESS).axes
    band, *bars = axes.patches
    assert [bar.get_height() for bar in bars] == [0.3, 0.01, -0.05, 0.02]
    np.testing.assert_allclose(band.get_bbox().intervaly, [-0.196, 0.196])
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    assert names == ["before,\nlag 1", *(f"after,\nlag {lag}" for lag in (1, 2, 3))]
    assert axes.get_title(loc="left").startswith("6.1 % outside")


def test_an_autocorrelation_of_almost_nothing_has_no_sign() -> None:
    (axes,) = draw_whiteness({**WHITENESS, "whitened_autocorrelation_lag1": -0.001}).axes
    assert [text.get_text() for text in axes.texts][:3] == ["0.30", "0.00", "\N{MINUS SIGN}0.05"]


@pytest.mark.parametrize("values", [(0.3, 0.4), (-0.6, -0.1), (0.0, 0.0)])
def test_every_bar_of_autocorrelation_is_within_its_axes(values) -> None:
    first, second = values
    changed = {
        "residual_autocorrelation_lag1": first,
        "whitened_autocorrelation_lag1": second,
    }
    (axes,) = draw_whiteness({**WHITENESS, **changed}).axes
    low, high = axes.get_ylim()
    assert all(low < value < high for value in (*values, -0.196, 0.196))


def test_run_without_any_fitted_voxel_says_so() -> None:
    assert "No voxel was fitted" in draw_whiteness({"dof": 30}).texts[0].get_text()


def test_maps_have_common_cuts_and_colours_of_their_own() -> None:
    negative = make_map(np.negative, is_signed=True)
    figure = draw_model_maps([make_map(), negative], title="a run")
    first, bar, second, other_bar = figure.axes
    # Of 1 to 100 the 98th percentile, to two digits.
    assert first.images[0].get_clim() == (0.0, 98.0)
    assert second.images[0].get_clim() == (-98.0, 98.0)
    assert bar.get_ylim() == (0.0, 98.0)
    assert other_bar.get_ylim() == (-98.0, 98.0)
    shown, negated = (axes.images[0].get_array().filled(np.nan) for axes in (first, second))
    np.testing.assert_array_equal(negated, -shown)
    texts = [text.get_text() for text in figure.texts]
    assert texts[:3] == ["a run", "tsnr", "tsnr"]
    assert sum(text.startswith("z = ") for text in texts) == N_CUTS
    assert texts[-2:] == ["L", "R"]


def test_left_is_left_in_the_maps() -> None:
    # The grid's first axis runs from right to left: x = 9 - 3 i.
    def mark(values: np.ndarray) -> np.ndarray:
        marked = np.ones_like(values)
        marked[-1] = 50.0
        return marked

    figure = draw_model_maps([make_map(mark)], title="a run")
    pixels = figure.axes[0].images[0].get_array().filled(0.0)
    cut = pixels[:, : pixels.shape[1] // 7]
    left, right = np.array_split(cut, 2, axis=1)
    assert (left == 50).any()
    assert not (right == 50).any()


def test_maps_are_let_go_before_the_next_is_read() -> None:
    alive: list[int] = []

    def read() -> Iterator[ModelMap]:
        for index in range(3):
            alive.append(index)
            yield make_map()

    assert len(draw_model_maps(read(), title="").axes) == 6
    assert alive == [0, 1, 2]


def test_maps_without_any_result_say_so() -> None:
    empty = make_map(lambda values: np.full_like(values, np.nan))
    assert "no voxel" in draw_model_maps([empty], title="").texts[0].get_text()


def test_a_later_map_without_any_result_is_black() -> None:
    empty = make_map(lambda values: np.full_like(values, np.nan))
    *_, axes, _ = draw_model_maps([make_map(), empty], title="").axes
    assert np.ma.getmaskarray(axes.images[0].get_array()).all()


def test_run_figures_are_where_the_plan_has_them(tmp_path: Path) -> None:
    run = make_run(f"{RUN}_space-T1w")
    publish_scans(run, tmp_path)
    drawn = draw_design_figures(run, tmp_path) | draw_fit_figures(run, tmp_path)
    assert drawn == {kind: tmp_path / path for kind, path in paths.run_figures(run).items()}
    assert all(path.stat().st_size > 1000 for path in drawn.values())


def test_figures_of_a_fit_need_nothing_but_its_files(tmp_path: Path) -> None:
    run = make_run(RUN, censored=(4,))
    publish_scans(run, tmp_path)
    first = {k: path.read_bytes() for k, path in draw_fit_figures(run, tmp_path).items()}
    bare = replace(run.outline(), confounds=type(run.confounds)())
    again = {k: path.read_bytes() for k, path in draw_fit_figures(bare, tmp_path).items()}
    assert again == first


def test_run_without_confounds_table_has_no_motion_figure(tmp_path: Path) -> None:
    run = make_run("sub-01_task-x", confounds_file=None, confounds=None)
    publish_scans(run, tmp_path)
    assert list(draw_fit_figures(run, tmp_path)) == ["carpet", "model", "whiteness"]


def test_maps_made_beforehand_have_no_run_figures(tmp_path: Path) -> None:
    run = make_run_maps(tmp_path, RUN, effect=2.0, variance=1.0, dof=20.0)
    assert draw_design_figures(run, tmp_path) == draw_fit_figures(run, tmp_path) == {}


def test_a_carpet_that_is_missing_is_an_error(tmp_path: Path) -> None:
    run = make_run(RUN)
    publish_scans(run, tmp_path)
    (tmp_path / paths.carpet(run.entities)).unlink()
    with pytest.raises(OSError, match="carpet"):
        draw_fit_figures(run, tmp_path)


def test_spike_in_the_image_is_a_bright_column_of_the_figure(tmp_path: Path) -> None:
    from bids_fx.reports.runfigures import read_carpet

    run = make_run(RUN)
    publish_scans(run, tmp_path)
    path = tmp_path / paths.carpet(run.entities)
    levels = np.full((12, N_SCANS), 128, np.uint8)
    levels[:, 9] = 255
    Image.fromarray(levels).save(path)
    values = read_carpet(run, tmp_path)
    assert np.flatnonzero(values.mean(axis=0) > 2.9).tolist() == [9]


def test_white_share_is_drawn_of_the_noise_model_that_has_it(tmp_path: Path) -> None:
    heights = {}
    for noise_model in ("ols", "ar1", "arma11"):
        run = make_run(RUN, noise_model=noise_model)
        publish_scans(run, tmp_path)
        with Image.open(draw_fit_figures(run, tmp_path)["model"]) as image:
            heights[noise_model] = image.height
    rows = heights["ar1"] - heights["ols"]
    assert rows > 50
    assert heights["arma11"] - heights["ar1"] == rows


def test_a_damaged_map_of_the_model_is_an_error(tmp_path: Path) -> None:
    run = make_run(RUN)
    publish_scans(run, tmp_path)
    write_map(tmp_path / paths.model_map(run.entities, "tsnr"), np.ones((3, 3, 3, 2)))
    with pytest.raises(OSError, match="2 volumes"):
        draw_fit_figures(run, tmp_path)
