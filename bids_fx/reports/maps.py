"""Reading back the maps that the report shows, and their peaks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import falls_more
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.records import GroupPlan, RunPlan
from bids_fx.regular import MOST_OF_IMAGE, read_bytes

FloatArray = npt.NDArray[np.floating]

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The largest value of a map.

    Parameters
    ----------
    value : float
        The value itself.
    xyz : tuple of 3 float
        Centre of its voxel, world coordinates in mm.
    """

    value: float
    xyz: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers by which a map is known.

    Parameters
    ----------
    peak : Peak
        Its largest value.
    lowest : Peak
        Its least value.
    n_above : int
        Voxels whose absolute value is above a threshold.
    """

    peak: Peak
    lowest: Peak
    n_above: int

    @property
    def main(self) -> Peak:
        """The one of both with the larger absolute value."""
        return self.lowest if falls_more(self.peak.value, self.lowest.value) else self.peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A map as it was read.

    Parameters
    ----------
    data : ndarray of shape (nx, ny, nz)
        NaN where there is no result.
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm.
    """

    data: FloatArray
    affine: npt.NDArray[np.float64]


def run_z(run: RunPlan, label: str, out_dir: Path) -> Volume:
    """Return a run's z map: as published, or from the maps that were made beforehand.

    Parameters
    ----------
    run : RunPlan
        A run that can estimate the contrast.
    label : str
        The contrast's label.
    out_dir : Path
        The output folder.

    Returns
    -------
    Volume
        The z map.

    Raises
    ------
    OSError
        Where a map is missing or damaged.
    ValueError
        Where maps made beforehand come without degrees of freedom.
    """
    if isinstance(run.source, BoldRun):
        return read_volume(out_dir / paths.statmap(run.entities, label, "z"))
    return _given_z(run.source, label)


def run_effect(run: RunPlan, label: str, out_dir: Path) -> Volume:
    """Return a run's effect map, published or made beforehand; raises as `run_z` does."""
    if isinstance(run.source, RunMaps):
        return read_volume(run.source.maps[label]["effect"])
    return read_volume(out_dir / paths.statmap(run.entities, label, "effect"))


def combined(group: GroupPlan, label: str, stat: str, out_dir: Path) -> Volume:
    """Return a published map of a combination; raises OSError where it is missing."""
    return read_volume(out_dir / paths.statmap(group.entities, label, stat))


def result_z(result: RunPlan | GroupPlan, label: str, out_dir: Path) -> Volume:
    """Return the z map of a run or a combination; raises as `run_z` does."""
    if isinstance(result, GroupPlan):
        return combined(result, label, "z", out_dir)
    return run_z(result, label, out_dir)


def result_effect(result: RunPlan | GroupPlan, label: str, out_dir: Path) -> Volume:
    """Return the effect map of a run or a combination; raises as `run_z` does."""
    if isinstance(result, GroupPlan):
        return combined(result, label, "effect", out_dir)
    return run_effect(result, label, out_dir)


def mean_image(run: RunPlan, out_dir: Path) -> Volume:
    """Return the mean image of a run that was fitted; raises OSError where it is missing."""
    return read_volume(out_dir / paths.mean_image(run.entities))


def read_volume(path: Path) -> Volume:
    """Read an image of three dimensions.

    Raises
    ------
    OSError
        Where it is missing, damaged or no image.
    """
    data, affine = _load(path)
    if math.prod(data.shape[3:]) != 1:
        raise OSError(f"{path.name} is an image of {data.shape[3]} volumes")
    # Some programs write maps with a fourth axis of length 1.
    return Volume(data=data.reshape(data.shape[:3]), affine=affine)


def _load(path: Path) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Return the values of an image, in the order in which it is stored, and its affine."""
    import nibabel as nb
    from isal import igzip, igzip_lib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    # The library's stub declares an instance where the module has the class.
    isal_error = cast("type[Exception]", igzip_lib.IsalError)
    damaged = (EOFError, OSError, ValueError, ImageFileError, HeaderDataError, WrapStructError)
    content = read_bytes(path, MOST_OF_IMAGE)
    try:
        if content.startswith(_GZIP):
            content = igzip.decompress(content)
        size = {int.from_bytes(content[:4], order) for order in ("little", "big")}
        kind = nb.Nifti2Image if nb.Nifti2Header.sizeof_hdr in size else nb.Nifti1Image
        image = kind.from_bytes(content)
        data = image.get_fdata(dtype=np.float32, caching="unchanged")
    except (isal_error, *damaged) as error:
        raise OSError(f"{path.name} cannot be read as an image: {error}") from error
    return data, np.asarray(image.affine, dtype=np.float64)


def is_covered(values: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell where a map has a result: neither NaN nor the 0 that other programs put outside."""
    covered: npt.NDArray[np.bool_] = np.isfinite(values) & (values != 0)
    return covered


def find_peak(values: FloatArray, affine: npt.NDArray[np.float64]) -> Peak | None:
    """Return the largest value of a map and its place; of equal ones the first in C order.

    Returns
    -------
    Peak or None
        None where the map has no result at all.
    """
    covered = is_covered(values)
    largest = float(values.max(where=covered, initial=-np.inf))
    if math.isinf(largest):
        return None
    there = values == largest
    # Plane by plane: images are stored in Fortran order, of which the first voxel is another.
    plane = int(there.any(axis=(1, 2)).argmax())
    place = np.array([plane, *np.argwhere(there[plane])[0]])
    x, y, z = world_coordinates(place, affine).tolist()
    return Peak(value=largest, xyz=(x, y, z))


def summarize(
    values: FloatArray, affine: npt.NDArray[np.float64], threshold: float
) -> Summary | None:
    """Return the numbers by which a map is known; None where it has no result at all."""
    peak, deepest = find_peak(values, affine), find_peak(-values, affine)
    if peak is None or deepest is None:
        return None
    covered = is_covered(values)
    return Summary(
        peak=peak,
        lowest=Peak(value=-deepest.value, xyz=deepest.xyz),
        n_above=int(np.count_nonzero(covered & (np.abs(values) > threshold))),
    )


def value_at(volume: Volume, xyz: tuple[float, float, float]) -> float:
    """Return a map's value at the voxel nearest to a world coordinate; NaN outside the grid."""
    place = world_coordinates(np.array(xyz), inverse(volume.affine))
    index = np.rint(place).astype(int)
    if (index < 0).any() or (index >= volume.data.shape).any():
        return float("nan")
    return float(volume.data[tuple(index)])


def world_coordinates(
    points: npt.NDArray[np.floating | np.integer], affine: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Apply an affine to points of shape (..., 3)."""
    moved: npt.NDArray[np.float64] = points @ affine[:3, :3].T + affine[:3, 3]
    return moved


def inverse(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the affine from world coordinates to voxel indices."""
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)


def _given_z(source: RunMaps, label: str) -> Volume:
    """Compute z from effects, their (co)variance and degrees of freedom: a combination of one."""
    from bids_fx.glm.combined import combined_f_maps, combined_maps

    maps = source.maps[label]
    effects, affine = _read_rows(maps["effect"])
    if "dof" in maps:
        dof, _ = _read_rows(maps["dof"])
    elif label in source.dof:
        dof = np.full((1, effects.shape[1]), source.dof[label])
    else:
        raise ValueError(f"{source.entities}, contrast {label}: no degrees of freedom")
    # Other programs put 0 outside the brain.
    voxels = np.flatnonzero(is_covered(effects).any(axis=0))
    z = np.full(effects.shape[1], np.nan)
    if label in source.rows:
        covariances, _ = _read_rows(maps["covariance"])
        stacks = (effects[np.newaxis, :, voxels], covariances[np.newaxis, :, voxels])
        z[voxels] = combined_f_maps(*stacks, dof[:, voxels], combination="unweighted")["z"]
    else:
        variances, _ = _read_rows(maps["variance"])
        stacks = (effects[:, voxels], variances[:, voxels])
        z[voxels] = combined_maps(*stacks, dof[:, voxels], combination="unweighted")["z"]
    return Volume(data=z.reshape(source.grid.shape), affine=affine)


def _read_rows(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Read an image of one volume or more, shape (n_volumes, n_voxels), and its affine."""
    data, affine = _load(path)
    rows = np.moveaxis(data.reshape(*data.shape[:3], -1), -1, 0)
    return rows.reshape(len(rows), -1).astype(np.float64), affine
