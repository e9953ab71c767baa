"""The figures of runs: design and published files in, files out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives import paths
from bids_fx.derivatives.quality import read_quality
from bids_fx.derivatives.timeseries import from_grey, read_traces
from bids_fx.records import RunPlan
from bids_fx.regular import read_bytes
from bids_fx.reports import maps
from bids_fx.reports.figures.carpet import draw_carpet
from bids_fx.reports.figures.designs import draw_contrasts, draw_correlation, draw_design
from bids_fx.reports.figures.modelmaps import ModelMap, draw_model_maps
from bids_fx.reports.figures.motion import draw_motion
from bids_fx.reports.figures.style import save_bands, save_figure
from bids_fx.reports.figures.whiteness import draw_whiteness

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_design_figures(run: RunPlan, out_dir: Path) -> dict[str, Path]:
    """Draw the figures of a run's design.

    Parameters
    ----------
    run : RunPlan
        A run that is fitted; maps made beforehand have no such figures.
    out_dir : Path
        The output folder.

    Returns
    -------
    dict of str to Path
        By kind, as `paths.design_figures`.
    """
    design = run.design
    if design is None:
        return {}
    draw: dict[str, Callable[[], Figure]] = {
        "design": lambda: draw_design(design),
        "corr": lambda: draw_correlation(design),
        "contrasts": lambda: draw_contrasts(run),
    }
    return {
        kind: save_figure(draw[kind](), out_dir / path)
        for kind, path in paths.design_figures(run).items()
    }


def draw_fit_figures(run: RunPlan, out_dir: Path) -> dict[str, Path]:
    """Draw the figures of a run's motion, residuals and model from what the fit has written.

    Parameters
    ----------
    run : RunPlan
        A run that was fitted; maps made beforehand have no such figures.
    out_dir : Path
        The output folder.

    Returns
    -------
    dict of str to Path
        By kind, as `paths.fit_figures`.

    Raises
    ------
    OSError, ValueError
        Where a file that is needed is missing or damaged.
    """
    figures = paths.fit_figures(run)
    if not figures:
        return {}
    traces = read_traces(run, out_dir)
    draw: dict[str, Callable[[], Figure]] = {
        "motion": lambda: draw_motion(traces),
        "carpet": lambda: draw_carpet(traces, read_carpet(run, out_dir)),
        "whiteness": lambda: draw_whiteness(read_quality(run, out_dir)),
    }
    drawn = {}
    for kind, path in figures.items():
        if kind == "model":
            title = str(run.entities).replace("_", " ")
            whole = draw_model_maps(_model_maps(run, out_dir), title=title)
            drawn[kind] = save_bands([whole], out_dir / path)
        else:
            drawn[kind] = save_figure(draw[kind](), out_dir / path)
    return drawn


#: Name and units of a model's maps, and whether they are on both sides of 0.
_MODEL_MAPS = {
    "tsnr": ("temporal SNR", "mean / SD", False),
    "rsquared": ("R squared", "share", False),
    "ar1": ("autocorrelation\nof the noise", "rho", True),
    "white": ("white share\nof the noise", "share", False),
}


def _model_maps(run: RunPlan, out_dir: Path) -> Iterator[ModelMap]:
    """Iterate over the maps of a run's model that are drawn, each read when it is asked for."""
    stats = paths.model_stats(run)
    for stat, (name, units, is_signed) in _MODEL_MAPS.items():
        if stat in stats:
            volume = maps.read_volume(out_dir / paths.model_map(run.entities, stat))
            yield ModelMap(name=name, units=units, volume=volume, is_signed=is_signed)


def read_carpet(run: RunPlan, out_dir: Path) -> npt.NDArray[np.float64]:
    """Return the published image of a run's residuals in standard deviations.

    Raises
    ------
    OSError
        Where it is missing or no image.
    """
    from PIL import Image

    with Image.open(io.BytesIO(read_bytes(out_dir / paths.carpet(run.entities)))) as image:
        return from_grey(np.asarray(image.convert("L")))
