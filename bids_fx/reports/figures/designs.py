"""Figures of a run's model: design matrix, correlations and contrast weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from bids_fx.glm.design import Column, Design, Role
from bids_fx.records import RunContrast, RunPlan
from bids_fx.reports.figures.inflation import draw_inflation
from bids_fx.reports.figures.places import Room, add_axes, longest_inches, shift
from bids_fx.reports.figures.style import INK, ROLE_COLOURS, colour_bar, message_figure, styled
from bids_fx.reports.wording import MINUS, brief, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

#: Longest column name that is written out.
NAME_LENGTH = 30
#: Up to so many columns every correlation is written into its cell.
ALL_VALUES = 24

#: Height of the bars of variance inflation, with what is free below the matrix.
_INFLATION_INCHES = 0.95

_ROLES: tuple[Role, ...] = get_args(Role)
_DIVERGING = "RdBu_r"
#: End of the colours of a scaled design: its darkest would make all else look pale.
_PALER = 1.25

#: Size in points of contrasts' names; inches between names and what they name, and for a colour
#: bar with its numbers.
_NAME_SIZE, _NAME_GAP, _BAR_INCHES = 9.0, 0.1, 0.95


@styled
def draw_design(design: Design) -> Figure:
    """Draw a design matrix, each column scaled by its own largest absolute value.

    Parameters
    ----------
    design : Design
        Any number of scans and columns; the figure grows with the columns.

    Returns
    -------
    Figure
        Three axes: a strip with the role of each column, the matrix below it, and the variance
        inflation of each column in the fit.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    n_scans, n_columns = design.matrix.shape
    size = (max(5.5, 1.4 + 0.24 * n_columns), float(np.clip(3.2 + 0.012 * n_scans, 4.0, 8.0)))
    figure = Figure(figsize=(size[0], size[1] + _INFLATION_INCHES))
    legend = _role_legend(figure, design.columns)
    below = legend + _INFLATION_INCHES
    room = Room(left=0.75, right=0.1, top=_names_room(design.columns) + 0.3, bottom=below)
    strip = add_axes(figure, room.above(figure, gap=0.06, height=0.16))
    axes = add_axes(figure, room.within(figure))
    roles = [_ROLES.index(column.role) for column in design.columns]
    colours = ListedColormap([ROLE_COLOURS[role] for role in _ROLES])
    strip.imshow([roles], aspect="auto", cmap=colours, vmin=-0.5, vmax=len(_ROLES) - 0.5)
    strip.set_xticks([])
    strip.set_yticks([])
    axes.imshow(
        _scaled(design.matrix),
        aspect="auto",
        cmap=_DIVERGING,
        vmin=-_PALER,
        vmax=_PALER,
        interpolation="nearest",
    )
    axes.set_xticks([])
    axes.set_ylabel("scan (the first is 0)")
    _name_columns(strip, design.columns, axis="x")
    for edge in _role_edges(design.columns):
        axes.axvline(edge, color=INK, linewidth=0.8)
    left, bottom, width, _ = room.within(figure)
    inches = figure.get_figheight()
    place = (left, legend / inches, width, bottom - (legend + 0.08) / inches)
    draw_inflation(figure, place, design)
    return figure


@styled
def draw_correlation(design: Design) -> Figure:
    """Draw the correlations of all columns but the intercept and the censored scans.

    Parameters
    ----------
    design : Design
        Conditions are named in bold and set off by lines. Their correlations with one another
        are written out, and all others too where the columns are few.

    Returns
    -------
    Figure
        One axes of the matrix and one of the colour bar.
    """
    from matplotlib.figure import Figure

    kept = [i for i, c in enumerate(design.columns) if c.role not in {"constant", "censored"}]
    columns = tuple(design.columns[i] for i in kept)
    if not columns:
        return message_figure("The design has no column but the intercept and censored scans.")
    values = _correlation(design.matrix[:, kept])
    side = max(3.2, (0.34 if len(kept) <= ALL_VALUES else 0.22) * len(kept)) + 1.9
    figure = Figure(figsize=(side + 0.6, side))
    names = _names_room(columns)
    room = Room(left=names, right=_BAR_INCHES, top=names, bottom=0.1).square(figure)
    axes = add_axes(figure, room.within(figure))
    axes.set_facecolor("#d8dce0")
    axes.imshow(values, cmap=_DIVERGING, vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([])
    _name_columns(axes, columns, axis="x")
    _name_columns(axes, columns, axis="y")
    for edge in _role_edges(columns):
        axes.axvline(edge, color=INK, linewidth=0.8)
        axes.axhline(edge, color=INK, linewidth=0.8)
    is_shown = np.array([column.role == "condition" for column in columns])
    shown = is_shown[:, None] & is_shown[None, :] | (len(kept) <= ALL_VALUES)
    _write_values(axes, values, shown, limit=1.0, size=6.5 if len(kept) <= ALL_VALUES else 5.0)
    _draw_bar(figure, room, "correlation r", limit=1.0, share=0.7)
    return figure


@styled
def draw_contrasts(run: RunPlan) -> Figure:
    """Draw the weights of every contrast that a run can estimate.

    Parameters
    ----------
    run : RunPlan
        Shown are the columns of its conditions and any other with a weight.

    Returns
    -------
    Figure
        One axes of the weights, with a line for each row of a contrast, and one of the colour
        bar; a message without any contrast.
    """
    from matplotlib.figure import Figure

    names = [name for item in run.estimable for name in _row_names(item)]
    rows = [dict(row) for item in run.estimable for row in item.rows]
    if not rows or run.design is None:
        return message_figure("This run can estimate no contrast.")
    weighted = {name for row in rows for name, weight in row.items() if weight}
    columns = tuple(c for c in run.design.columns if c.role == "condition" or c.name in weighted)
    values = np.array([[row.get(c.name, 0.0) for c in columns] for row in rows])
    limit = float(np.abs(values).max()) or 1.0
    width = max(5.5, 3.4 + 0.42 * len(columns))
    figure = Figure(figsize=(width, 1.9 + 0.27 * len(rows)))
    shown = [shorten(name, 44) for name in names]
    room = Room(
        left=longest_inches(shown, _NAME_SIZE) + _NAME_GAP,
        right=_BAR_INCHES,
        top=_names_room(columns),
        bottom=0.1,
    )
    axes = add_axes(figure, room.within(figure))
    axes.imshow(
        values, aspect="auto", cmap=_DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest"
    )
    axes.set_xticks([])
    axes.set_yticks([])
    _name_rows(axes, shown, size=_NAME_SIZE, colours=[INK] * len(shown))
    _name_columns(axes, columns, axis="x")
    for edge in range(1, len(columns)):
        axes.axvline(edge - 0.5, color="white", linewidth=1.0)
    for edge in range(1, len(rows)):
        axes.axhline(edge - 0.5, color="white", linewidth=1.0)
    _write_values(axes, values, values != 0, limit=limit, size=7.5)
    _draw_bar(figure, room, "weight", limit=limit, share=1.0)
    return figure


def _row_names(item: RunContrast) -> list[str]:
    """Return what the rows of a contrast are called; those of an F contrast are numbered."""
    numbers = range(1, len(item.rows) + 1)
    marks = (f" [{number}]" if item.contrast.test == "F" else "" for number in numbers)
    return [f"{item.contrast.name}{mark}" for mark in marks]


def _scaled(matrix: FloatArray) -> FloatArray:
    """Return the columns divided by their largest absolute values; a column of 0 stays."""
    largest = np.abs(matrix).max(axis=0, initial=0.0)
    scaled: FloatArray = matrix / np.where(largest > 0, largest, 1.0)
    return scaled


def _correlation(columns: FloatArray) -> FloatArray:
    """Return the correlations of columns, NaN for a column that does not vary."""
    centred = columns - columns.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    # Rounding leaves the centred column of a constant at about eps times its size.
    varies = norms > 1e-10 * np.sqrt((columns**2).sum(axis=0))
    unit = np.where(varies, centred / np.where(varies, norms, 1.0), np.nan)
    values: FloatArray = np.clip(unit.T @ unit, -1.0, 1.0)
    return values


def _role_edges(columns: Sequence[Column]) -> list[float]:
    """Return where the role changes from one column to the next, derivatives aside."""
    roles = ["condition" if c.role == "derivative" else c.role for c in columns]
    return [i + 0.5 for i in range(len(roles) - 1) if roles[i] != roles[i + 1]]


def _name_size(columns: Sequence[Column]) -> float:
    """Return the size of columns' names in points."""
    return 8.0 if len(columns) <= ALL_VALUES else 6.5


def _names_room(columns: Sequence[Column]) -> float:
    """Return the room that columns' names take along their line, in inches."""
    names = [shorten(column.name, NAME_LENGTH) for column in columns]
    bold = [column.role == "condition" for column in columns]
    return longest_inches(names, _name_size(columns), bold) + _NAME_GAP


def _name_columns(axes: Axes, columns: Sequence[Column], *, axis: Literal["x", "y"]) -> None:
    """Write the columns' names at their places, conditions in bold, roles by colour."""
    from bids_fx.reports.figures.labels import Labels

    names = [shorten(column.name, NAME_LENGTH) for column in columns]
    colours = [INK if c.role in {"condition", "derivative"} else "#59626b" for c in columns]
    bold = [column.role == "condition" for column in columns]
    size = _name_size(columns)
    if axis == "y":
        _name_rows(axes, names, size=size, colours=colours, bold=bold)
        return
    labels = Labels(
        np.column_stack([np.arange(len(names)), np.ones(len(names))]),
        names,
        transform=axes.get_xaxis_transform() + shift(axes, 0.0, _NAME_GAP / 2),
        size=size,
        colours=colours,
        bold=bold,
        align="left",
        upwards=True,
    )
    axes.add_artist(labels)


def _name_rows(
    axes: Axes,
    names: Sequence[str],
    *,
    size: float,
    colours: Sequence[str],
    bold: Sequence[bool] | None = None,
) -> None:
    """Write the rows' names at their left."""
    from bids_fx.reports.figures.labels import Labels

    labels = Labels(
        np.column_stack([np.zeros(len(names)), np.arange(len(names))]),
        names,
        transform=axes.get_yaxis_transform() + shift(axes, -_NAME_GAP / 2, 0.0),
        size=size,
        colours=colours,
        bold=bold,
        align="right",
    )
    axes.add_artist(labels)


def _role_legend(figure: Figure, columns: Sequence[Column]) -> float:
    """Name the roles that occur by their colours at the foot; return the room in inches."""
    from matplotlib.patches import Patch

    present = [role for role in _ROLES if any(c.role == role for c in columns)]
    patches = [Patch(color=ROLE_COLOURS[role], label=role) for role in present]
    n_columns = min(len(present), 6 if figure.get_figwidth() > 7 else 4)
    figure.legend(handles=patches, loc="lower center", ncols=n_columns, frameon=False, fontsize=8)
    return 0.23 + 0.17 * math.ceil(len(present) / n_columns)


def _write_values(
    axes: Axes, values: FloatArray, shown: npt.NDArray[np.bool_], *, limit: float, size: float
) -> None:
    """Write values into their cells, white on the dark ends of the colours."""
    from bids_fx.reports.figures.labels import Labels

    cells = np.argwhere(shown & np.isfinite(values))
    written = values[tuple(cells.T)]
    labels = Labels(
        cells[:, ::-1].astype(np.float64),
        [_brief(value) for value in written.tolist()],
        transform=axes.transData,
        size=size,
        colours=["white" if dark else INK for dark in np.abs(written) > 0.65 * limit],
    )
    axes.add_artist(labels)


def _draw_bar(figure: Figure, room: Room, label: str, *, limit: float, share: float) -> None:
    """Draw the colour bar of a matrix at its right; `share` is its height of the matrix's."""
    left, bottom, width, height = room.within(figure)
    inches = figure.get_figwidth()
    middle, length = bottom + height / 2, height * share
    ticks = np.linspace(-limit, limit, 5).tolist()
    axes = colour_bar(
        figure,
        (left + width + 0.15 / inches, middle - length / 2, 0.17 / inches, length),
        _DIVERGING,
        (-limit, limit),
        {tick: brief(tick) for tick in ticks},
    )
    axes.yaxis.set_label_position("right")
    axes.yaxis.set_label_coords(1 + 0.5 / 0.17, 0.5)
    axes.set_ylabel(label, va="top")


def _brief(value: float) -> str:
    """Return a value with two decimals at most.

    Examples
    --------
    >>> _brief(1 / 3), _brief(1.0), _brief(-0.001)
    ('.33', '1', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    text = "0" if text in {"-0", ""} else text
    sign, digits = (MINUS, text[1:]) if text.startswith("-") else ("", text)
    return sign + (digits[1:] if digits.startswith("0.") else digits)
