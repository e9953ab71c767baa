"""Smoothing of whole volumes, by scipy's filter and nothing else."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d


def smooth_whole(volume: np.ndarray, sigma: tuple[float, ...]) -> np.ndarray:
    """Return a volume smoothed axis by axis, float32 between the axes."""
    smoothed = volume.astype(np.float32)
    for axis, one in enumerate(sigma):
        if one > 0:
            gaussian_filter1d(smoothed, one, axis=axis, output=smoothed, truncate=4.0)
    return smoothed
