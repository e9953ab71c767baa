"""Figures by matplotlib: arrays and records in, figure out."""

from bids_fx.reports.figures.carpet import draw_carpet
from bids_fx.reports.figures.clusters import cluster_table
from bids_fx.reports.figures.cuts import StatRow, choose_cuts
from bids_fx.reports.figures.designs import (
    draw_contrasts,
    draw_correlation,
    draw_design,
)
from bids_fx.reports.figures.modelmaps import ModelMap, draw_model_maps
from bids_fx.reports.figures.motion import draw_motion
from bids_fx.reports.figures.statmaps import draw_statmaps
from bids_fx.reports.figures.style import save_bands, save_figure
from bids_fx.reports.figures.whiteness import draw_whiteness

__all__ = [
    "ModelMap",
    "StatRow",
    "choose_cuts",
    "cluster_table",
    "draw_carpet",
    "draw_contrasts",
    "draw_correlation",
    "draw_design",
    "draw_model_maps",
    "draw_motion",
    "draw_statmaps",
    "draw_whiteness",
    "save_bands",
    "save_figure",
]
