"""Brain masks: what an image of one marks, and one computed from a run's mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_fx.dataset.streams import bad_file
from bids_fx.inputs import FloatArray

BoolArray = npt.NDArray[np.bool_]
#: Values of a mask are as near as this to whole numbers: a slope that makes 255 a 1 is rounded.
_WHOLE = 1e-3


def compute_mask(mean_image: npt.NDArray[Any]) -> BoolArray:
    """Compute a brain mask from a run's mean image.

    Parameters
    ----------
    mean_image : ndarray of shape (nx, ny, nz)
        Mean over scans, not skull-stripped or with a background of zeros.

    Returns
    -------
    ndarray of bool, shape (nx, ny, nz)
        All False where no voxel stands out.

    Notes
    -----
    The threshold lies in the widest gap of the intensity histogram between its 20th and 85th
    percentile, then holes and loose parts go: the method of ``nilearn.masking.compute_epi_mask``,
    after Nichols' *masking on the antimode*.
    """
    import nibabel as nb
    from nilearn.masking import compute_epi_mask

    finite = np.nan_to_num(np.asarray(mean_image, dtype=np.float32), posinf=0, neginf=0)
    if finite.min() == finite.max():
        return np.zeros(finite.shape, dtype=bool)
    mask = compute_epi_mask(nb.Nifti1Image(finite, np.eye(4)))
    return np.asarray(mask.dataobj).astype(bool)


def mask_of(values: FloatArray, path: Path) -> BoolArray:
    """Return the voxels of a mask image, all that are neither 0 nor without a number.

    Parameters
    ----------
    values : ndarray of shape (nx, ny, nz)
        Those of the image.
    path : Path
        The image, for messages.

    Raises
    ------
    BIDSFXError
        If there is none, or a value is no whole number or negative, as in a map of
        probabilities.
    """
    finite = np.isfinite(values)
    inside: BoolArray = finite & (values != 0)
    if not inside.any():
        raise bad_file(path, "a mask without any voxel", "give the mask of this run")
    marks = values[inside]
    odd = marks[(np.abs(marks - np.rint(marks)) > _WHOLE) | (marks < 0)]
    if odd.size:
        found = f"no mask, but an image of values such as {odd[0]:.4g}"
        raise bad_file(path, found, "give a mask of 0 and 1, or put a threshold to this image")
    return inside
