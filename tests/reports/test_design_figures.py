"""Figures of a run's model: what stands on the axes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bids_fx.glm.design import Column, Design
from bids_fx.reports.figures import (
    draw_contrasts,
    draw_correlation,
    draw_design,
    save_figure,
)
from bids_fx.reports.figures.labels import Labels
from bids_fx.reports.figures.places import POINTS_PER_INCH, longest_inches
from bids_fx.reports.figures.style import ROLE_COLOURS
from tests.small_plans import ANY, FACE, FACE_HOUSE, make_contrast, make_design, make_run

RUN = "sub-01_task-x_run-1"


def texts(axes) -> list[str]:
    """Return the values in the cells."""
    return [text for labels in axes.artists if labels.align == "center" for text in labels.texts]


def names(axes, axis: str) -> Labels:
    """Return the names of the columns or rows of a matrix."""
    (labels,) = (one for one in axes.artists if one.align == ("left" if axis == "x" else "right"))
    return labels


def rectangles(labels: Labels, figure: Figure) -> list[tuple[float, float]]:
    """Return how far names that are read upwards reach from left to right, in pixels."""
    middles = labels.get_transform().transform(labels.places)[:, 0]
    half = labels.size / POINTS_PER_INCH * figure.dpi / 2
    return [(x - half, x + half) for x in middles]


def columns_of(*names: str, role="confound") -> tuple[Column, ...]:
    return tuple(
        Column(name=name, role=role, condition=name if role == "condition" else None)
        for name in names
    )


def test_design_names_every_column_at_its_place() -> None:
    strip, *_ = draw_design(make_design(censored=(3,))).axes
    labels = names(strip, "x")
    assert labels.texts == (
        *("face", "house", "trans_x", "censored_scan_0003", "drift_1", "constant"),
    )
    assert labels.places[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_design_shows_each_column_divided_by_its_largest_absolute_value() -> None:
    matrix = np.array([[2.0, -8.0, 0.0], [1.0, 4.0, 0.0]])
    _, axes, _ = draw_design(Design(matrix=matrix, columns=columns_of("a", "b", "c"))).axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), [[1.0, -1.0, 0.0], [0.5, 0.5, 0.0]])


def test_design_colours_and_names_the_roles_that_occur() -> None:
    figure = draw_design(make_design())
    (image,) = figure.axes[0].images
    assert image.get_array().tolist() == [[0, 0, 2, 4, 5]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("condition", "confound", "drift", "constant")
    ]


@pytest.mark.parametrize("n_roles", [3, 6])
def test_legend_of_roles_stands_clear_of_the_matrix(n_roles: int) -> None:
    columns = tuple(Column(name=role, role=role) for role in ROLE_COLOURS)[:n_roles]
    figure = draw_design(Design(matrix=np.ones((50, n_roles)), columns=columns))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().y0 >= 0
    assert legend.get_window_extent().y1 < figure.axes[1].get_window_extent().y0


def test_design_of_sixty_columns_and_five_hundred_scans_has_room_for_every_name() -> None:
    columns = [f"a_comp_cor_{i:02d}" for i in range(60)]
    matrix = np.random.default_rng(1).standard_normal((500, 60))
    figure = draw_design(Design(matrix=matrix, columns=columns_of(*columns)))
    labels = names(figure.axes[0], "x")
    ends = rectangles(labels, figure)
    assert len(ends) == 60
    assert all(left[1] <= right[0] for left, right in pairwise(ends))
    _, top = labels.get_transform().transform(labels.places[0])
    longest = longest_inches(columns, labels.size) * figure.dpi
    assert top + longest < figure.bbox.height


def test_long_column_name_is_shortened_in_its_middle() -> None:
    name = "condition_with_a_very_long_name_that_goes_on_and_on"
    strip, *_ = draw_design(Design(matrix=np.ones((3, 1)), columns=columns_of(name))).axes
    (shown,) = names(strip, "x").texts
    assert len(shown) == 30
    assert shown.startswith("condition_with")
    assert shown.endswith("on_and_on")


@pytest.mark.parametrize("name", ["$x_$ costs", "<b>&", "顔", "a\nb"])
def test_any_name_can_be_drawn_and_saved(name: str, tmp_path: Path) -> None:
    design = Design(
        matrix=np.random.default_rng(0).standard_normal((9, 2)),
        columns=columns_of(name, "other", role="condition"),
    )
    contrasts = (make_contrast(name, **{name: 1.0}),)
    run = make_run(RUN, conditions=(name, "other"), contrasts=contrasts)
    figures = [draw_design(design), draw_correlation(design), draw_contrasts(run)]
    for index, figure in enumerate(figures):
        content = save_figure(figure, tmp_path / f"{index}.svg").read_bytes()
        assert content.startswith(b"<?xml")


def test_correlations_are_those_of_the_columns() -> None:
    x = np.array([1.0, -1.0, 1.0, -1.0])
    y = np.array([1.0, 1.0, -1.0, -1.0])
    matrix = np.column_stack([x + 5, 3 * x, -x, y, x + y])
    axes, _ = draw_correlation(Design(matrix=matrix, columns=columns_of(*"abcde"))).axes
    (image,) = axes.images
    r = 1 / np.sqrt(2)
    expected = [
        [1, 1, -1, 0, r],
        [1, 1, -1, 0, r],
        [-1, -1, 1, 0, -r],
        [0, 0, 0, 1, r],
        [r, r, -r, r, 1],
    ]
    np.testing.assert_allclose(image.get_array(), expected, atol=1e-12)  # rounding of products
    assert image.get_clim() == (-1, 1)


def test_correlation_leaves_out_intercept_and_censored_scans() -> None:
    axes, _ = draw_correlation(make_design(censored=(3,))).axes
    assert names(axes, "y").texts == ("face", "house", "trans_x", "drift_1")
    assert names(axes, "x").texts == names(axes, "y").texts


def test_correlation_with_a_column_that_does_not_vary_is_blank() -> None:
    matrix = np.column_stack([np.arange(5.0), np.full(5, 0.1)])
    axes, _ = draw_correlation(Design(matrix=matrix, columns=columns_of("a", "b"))).axes
    (image,) = axes.images
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[False, True], [True, True]]
    assert texts(axes) == ["1"]


def test_correlation_of_many_columns_writes_out_those_between_conditions_only() -> None:
    design = make_design(confounds=[f"confound_{i}" for i in range(30)])
    axes, _ = draw_correlation(design).axes
    assert len(texts(axes)) == 4


def test_conditions_are_in_bold() -> None:
    axes, _ = draw_correlation(make_design()).axes
    labels = names(axes, "x")
    assert dict(zip(labels.texts, labels.bold, strict=True)) == {
        "face": True,
        "house": True,
        "trans_x": False,
        "drift_1": False,
    }


def test_correlation_without_any_regressor_says_so() -> None:
    design = Design(matrix=np.ones((4, 1)), columns=columns_of("constant", role="constant"))
    figure = draw_correlation(design)
    assert figure.axes == []
    assert "no column but the intercept" in figure.texts[0].get_text()


def test_contrast_weights_stand_at_their_columns() -> None:
    axes, _ = draw_contrasts(make_run(RUN)).axes
    (image,) = axes.images
    assert image.get_array().tolist() == [[1, 0], [1, -1]]
    assert image.get_clim() == (-1, 1)
    assert names(axes, "y").texts == ("face", "face - house")
    assert names(axes, "x").texts == ("face", "house")
    assert texts(axes) == ["1", "1", "\N{MINUS SIGN}1"]


def test_contrast_that_cannot_be_estimated_is_not_drawn() -> None:
    axes, _ = draw_contrasts(make_run(RUN, reasons={FACE_HOUSE.label: "no event"})).axes
    assert names(axes, "y").texts == ("face",)


def test_an_f_contrast_is_drawn_by_its_rows() -> None:
    run = make_run(RUN, contrasts=(FACE, ANY))
    axes, _ = draw_contrasts(run).axes
    assert names(axes, "y").texts == ("face", "any [1]", "any [2]")
    assert axes.images[0].get_array().tolist() == [[1, 0], [1, 0], [0, 1]]


def test_weight_of_a_column_that_is_no_condition_is_drawn_too() -> None:
    run = make_run(RUN)
    item = replace(run.contrasts[0], rows=((("face", 1.0), ("trans_x", 0.5)),))
    axes, _ = draw_contrasts(replace(run, contrasts=(item,))).axes
    assert axes.images[0].get_array().tolist() == [[1, 0, 0.5]]


def test_run_without_any_contrast_says_so() -> None:
    run = make_run(RUN, reasons={FACE.label: "no event", FACE_HOUSE.label: "no event"})
    assert "no contrast" in draw_contrasts(run).texts[0].get_text()


def test_inflation_stands_below_its_column() -> None:
    x = np.array([1.0, -1.0, 1.0, -1.0])
    y = np.array([1.0, 1.0, -1.0, -1.0])
    # r between the first two is 0.8, so that both inflate by 1 / (1 - 0.64).
    matrix = np.column_stack([x, 0.8 * x + 0.6 * y, np.ones(4)])
    *_, axes = draw_design(Design(matrix=matrix, columns=columns_of("a", "b", "c"))).axes
    assert [bar.get_x() + bar.get_width() / 2 for bar in axes.patches] == [0, 1]
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], 1 / 0.36)
    assert axes.artists[0].texts == ("2.8", "2.8")
    assert axes.get_ylabel() == "VIF"


def test_inflation_of_a_column_that_is_another_is_infinite() -> None:
    matrix = np.column_stack([np.arange(5.0), 2 * np.arange(5.0), [0, 1, 0, 0, 1.0]])
    *_, axes = draw_design(Design(matrix=matrix, columns=columns_of("a", "b", "c"))).axes
    assert axes.artists[0].texts[:2] == ("\N{INFINITY}", "\N{INFINITY}")
    heights = [bar.get_height() for bar in axes.patches]
    assert 10 < heights[0] == heights[1] < axes.get_ylim()[1]


def test_censored_scans_have_no_inflation() -> None:
    *_, axes = draw_design(make_design(censored=(3,))).axes
    places = [round(bar.get_x() + bar.get_width() / 2) for bar in axes.patches]
    assert places == [0, 1, 2, 4]
