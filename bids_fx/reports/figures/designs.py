"""Figures of a run's model: design matrix, correlations, contrast weights and motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt

from bids_fx.glm.design import Column, Design, Role
from bids_fx.inputs import BoldRun
from bids_fx.records import RunContrast, RunPlan
from bids_fx.reports.figures.style import (
    INK,
    ROLE_COLOURS,
    message_figure,
    styled,
)
from bids_fx.reports.wording import MINUS, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

#: Longest column name that is written out.
NAME_LENGTH = 30
#: Up to so many columns every correlation is written into its cell.
ALL_VALUES = 24

_ROLES: tuple[Role, ...] = get_args(Role)
_DIVERGING = "RdBu_r"
#: End of the colours of a scaled design: its darkest would make all else look pale.
_PALER = 1.25

#: fMRIPrep's names of the motion parameters, and those of its releases before 1.4.
_TRANSLATIONS = (("trans_x", "trans_y", "trans_z"), ("X", "Y", "Z"))
_ROTATIONS = (("rot_x", "rot_y", "rot_z"), ("RotX", "RotY", "RotZ"))
_DISPLACEMENTS = (("framewise_displacement",), ("FramewiseDisplacement",))
_AXIS_COLOURS = ("#0072b2", "#d55e00", "#009e73")


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
        Two axes: a strip with the role of each column, and the matrix below it.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    n_scans, n_columns = design.matrix.shape
    size = (max(5.5, 1.4 + 0.24 * n_columns), float(np.clip(3.2 + 0.012 * n_scans, 4.0, 8.0)))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.02, hspace=0.0))
    strip, axes = figure.subplots(2, 1, sharex=True, height_ratios=[1, 28])
    roles = [_ROLES.index(column.role) for column in design.columns]
    colours = ListedColormap([ROLE_COLOURS[role] for role in _ROLES])
    strip.imshow([roles], aspect="auto", cmap=colours, vmin=-0.5, vmax=len(_ROLES) - 0.5)
    strip.set_yticks([])
    axes.imshow(
        _scaled(design.matrix),
        aspect="auto",
        cmap=_DIVERGING,
        vmin=-_PALER,
        vmax=_PALER,
        interpolation="nearest",
    )
    axes.set_ylabel("scan (the first is 0)")
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    _name_columns(strip, design.columns, axis="x")
    for edge in _role_edges(design.columns):
        axes.axvline(edge, color=INK, linewidth=0.8)
    _role_legend(figure, design.columns)
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
    cell = 0.34 if len(kept) <= ALL_VALUES else 0.22
    side = max(3.2, cell * len(kept)) + 1.9
    figure = Figure(figsize=(side + 0.6, side), layout="compressed")
    axes = figure.subplots()
    axes.set_facecolor("#d8dce0")
    image = axes.imshow(values, cmap=_DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    _name_columns(axes, columns, axis="x")
    _name_columns(axes, columns, axis="y")
    for edge in _role_edges(columns):
        axes.axvline(edge, color=INK, linewidth=0.8)
        axes.axhline(edge, color=INK, linewidth=0.8)
    is_shown = np.array([column.role == "condition" for column in columns])
    shown = is_shown[:, None] & is_shown[None, :] | (len(kept) <= ALL_VALUES)
    _write_values(axes, values, shown, limit=1.0, size=6.5 if cell > 0.3 else 5.0)
    figure.colorbar(image, ax=axes, label="correlation r", fraction=0.04, shrink=0.7)
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
    figure = Figure(figsize=(width, 1.9 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        values, aspect="auto", cmap=_DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest"
    )
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels([shorten(name, 44) for name in names])
    _name_columns(axes, columns, axis="x")
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0)
    axes.tick_params(which="minor", length=0)
    _write_values(axes, values, values != 0, limit=limit, size=7.5)
    figure.colorbar(image, ax=axes, label="weight", fraction=0.04)
    return figure


@styled
def draw_motion(run: RunPlan) -> Figure:
    """Draw the motion parameters and the framewise displacement of a run.

    Parameters
    ----------
    run : RunPlan
        Its confounds table may lack any of these columns. Scans that are censored, for
        whatever reason, are marked in every panel, and the displacement's threshold, if there
        is one, is a line in its panel.

    Returns
    -------
    Figure
        One axes for each of translation (mm), rotation (degrees) and displacement (mm) that is
        there; a message where none is.
    """
    from matplotlib.figure import Figure

    table = run.source.confounds if isinstance(run.source, BoldRun) else None
    values: Mapping[str, FloatArray] = table.values if table is not None else {}
    panels = [
        (label, _first_there(values, names), scale)
        for label, names, scale in (
            ("translation (mm)", _TRANSLATIONS, 1.0),
            ("rotation (degrees)", _ROTATIONS, 180.0 / np.pi),
            ("framewise\ndisplacement (mm)", _DISPLACEMENTS, 1.0),
        )
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return message_figure("The confounds table has no motion parameters.")
    figure = Figure(figsize=(7.6, 0.8 + 1.55 * len(panels)), layout="constrained")
    every = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (label, names, scale) in zip(every, panels, strict=True):
        _draw_traces(axes, label, {name: values[name] * scale for name in names})
        _mark_censored(axes, [item.scan for item in run.confounds.censored])
        threshold = run.confounds.fd_threshold_mm
        if threshold is not None and len(names) == 1:
            axes.axhline(threshold, color="#d55e00", linewidth=1.0, linestyle="--")
    every[-1].set_xlabel("scan (the first is 0)")
    n_scans = len(values[panels[0][1][0]])
    every[-1].set_xlim(-0.5, n_scans - 0.5)
    every[0].set_title(_censored_title(len(run.confounds.censored), n_scans))
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


def _name_columns(axes: Axes, columns: Sequence[Column], *, axis: str) -> None:
    """Write the columns' names at their places, conditions in bold, roles by colour."""
    size = 8.0 if len(columns) <= ALL_VALUES else 6.5
    ticks = axes.xaxis if axis == "x" else axes.yaxis
    if axis == "x":
        # Before the labels are set: those below and above the axes are different texts.
        axes.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False)
    ticks.set_ticks(range(len(columns)))
    labels = ticks.set_ticklabels([shorten(c.name, NAME_LENGTH) for c in columns])
    for label, column in zip(labels, columns, strict=True):
        label.set_fontsize(size)
        label.set_color(INK if column.role in {"condition", "derivative"} else "#59626b")
        label.set_fontweight("bold" if column.role == "condition" else "normal")
        if axis == "x":
            label.set_rotation(90)


def _role_legend(figure: Figure, columns: Sequence[Column]) -> None:
    """Name the roles that occur by their colours, below the figure."""
    from matplotlib.patches import Patch

    present = [role for role in _ROLES if any(c.role == role for c in columns)]
    patches = [Patch(color=ROLE_COLOURS[role], label=role) for role in present]
    n_columns = min(len(present), 6 if figure.get_figwidth() > 7 else 4)
    figure.legend(
        handles=patches, loc="outside lower center", ncols=n_columns, frameon=False, fontsize=8
    )


def _write_values(
    axes: Axes, values: FloatArray, shown: npt.NDArray[np.bool_], *, limit: float, size: float
) -> None:
    """Write values into their cells, white on the dark ends of the colours."""
    for row, column in np.argwhere(shown & np.isfinite(values)):
        value = float(values[row, column])
        axes.text(
            column,
            row,
            _brief(value),
            ha="center",
            va="center",
            fontsize=size,
            color="white" if abs(value) > 0.65 * limit else INK,
        )


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


def _first_there(
    values: Mapping[str, FloatArray], choices: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the columns of the first naming that the table has at all."""
    for names in choices:
        there = tuple(name for name in names if name in values)
        if there:
            return there
    return ()


def _draw_traces(axes: Axes, label: str, traces: Mapping[str, FloatArray]) -> None:
    """Draw the columns of one panel over the scans."""
    for colour, (name, trace) in zip(_AXIS_COLOURS, traces.items(), strict=False):
        axes.plot(trace, color=INK if len(traces) == 1 else colour, linewidth=1.0, label=name)
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    if len(traces) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)


def _mark_censored(axes: Axes, scans: Sequence[int]) -> None:
    """Shade the scans that are censored."""
    for scan in scans:
        axes.axvspan(scan - 0.5, scan + 0.5, color="#d55e00", alpha=0.25, linewidth=0)


def _censored_title(n_censored: int, n_scans: int) -> str:
    """Say how many scans are censored."""
    if not n_censored:
        return "no scan is censored"
    return f"{n_censored} of {n_scans} scans are censored (shaded)"
