"""What a run's motion and residuals are in each scan: a table, and an image of the residuals."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives import paths
from bids_fx.derivatives.quality import is_number
from bids_fx.derivatives.write import six_digits, write_bytes, write_json, write_table
from bids_fx.glm.carpet import Residuals
from bids_fx.inputs import BoldRun, FloatArray
from bids_fx.json_files import read_object
from bids_fx.records import RunPlan
from bids_fx.regular import read_text
from bids_fx.traces import FD, ROTATIONS, TRANSLATIONS, MotionTraces

CENSORED = "censored"
RESIDUALS = ("residual_mean", "residual_sd", "residual_dvars")

#: Value of residuals that is white in the carpet's image, in standard deviations; minus that is 1,
#: which is almost black, and 0 is a scan without residuals.
CARPET_LIMIT = 3.0
_CARPET_MIDDLE, _CARPET_SPAN = 128, 127

_SD = "SD over scans"
_OLS = "residuals of ordinary least squares, each voxel's divided by their SD over scans"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityTraces:
    """The table of a run's motion and residuals, as it was written.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n_scans,)
        By name; NaN for n/a.
    fd_limit_mm : float or None
        Framewise displacement above which scans were censored; None where none were for it.
    fd_text : str
        Where the displacement is from; empty without any.
    """

    columns: Mapping[str, FloatArray]
    fd_limit_mm: float | None = None
    fd_text: str = ""

    @property
    def censored(self) -> list[int]:
        """Return the scans that are censored, counted from 0."""
        return [int(scan) for scan in np.flatnonzero(self.columns[CENSORED])]


def write_traces(run: RunPlan, traces: MotionTraces, residuals: Residuals, out_dir: Path) -> None:
    """Write the table of a run's scans with its sidecar, and the image of the residuals.

    Parameters
    ----------
    run : RunPlan
        A run that was fitted.
    traces : MotionTraces
        Its motion.
    residuals : Residuals
        Of its kept scans.
    out_dir : Path
        The output folder.
    """
    assert isinstance(run.source, BoldRun)
    assert run.design is not None
    kept = np.flatnonzero(run.design.kept)
    n_scans = run.source.n_scans
    censored = (~run.design.kept).astype(int).tolist()
    columns: dict[str, list[int] | list[float] | list[float | None]] = {
        **{name: values.tolist() for name, values in _in_order(traces)},
        CENSORED: censored,
    }
    for name, values in zip(
        RESIDUALS, (residuals.mean, residuals.sd, residuals.dvars), strict=True
    ):
        whole = np.full(n_scans, np.nan)
        whole[kept] = values
        columns[name] = [six_digits(value) for value in whole.tolist()]
    path = out_dir / paths.timeseries(run.entities)
    write_table(path, list(columns), list(zip(*columns.values(), strict=True)))
    described = _described(run, traces, residuals)
    write_json(
        out_dir / paths.sidecar(paths.timeseries(run.entities)),
        {"Description": _TABLE, **{name: described[name] for name in columns}},
    )
    image = np.zeros((len(residuals.carpet), n_scans), dtype=np.uint8)
    image[:, kept] = to_grey(residuals.carpet)
    write_bytes(out_dir / paths.carpet(run.entities), to_png(image))


_TABLE = "Motion, censoring and residuals of a run, one row per stored volume"


def _in_order(traces: MotionTraces) -> Iterator[tuple[str, FloatArray]]:
    """Iterate over the columns that there are, in the table's order."""
    for name in (FD, *TRANSLATIONS, *ROTATIONS):
        if name in traces.columns:
            yield name, traces.columns[name]


def _described(
    run: RunPlan, traces: MotionTraces, residuals: Residuals
) -> dict[str, dict[str, object]]:
    """Return the sidecar's entry of each column."""
    limit = run.confounds.fd_threshold_mm
    origin = (
        "computed from the motion parameters, the rotations as lengths on a sphere of 50 mm "
        "(Power et al. 2012), since the confounds table has none"
        if traces.is_computed
        else "as in the confounds table"
    )
    some = f"over {residuals.n_voxels} voxels, evenly spread over the fitted ones, of the {_OLS}"
    change = "Root mean square of the change from the scan before"
    return {
        FD: {
            "Description": f"Framewise displacement, {origin}",
            "Units": "mm",
            **({} if limit is None else {"CensoredAbove": limit}),
        },
        **{
            name: {"Description": f"Translation along {name[-1]}", "Units": "mm"}
            for name in TRANSLATIONS
        },
        **{
            name: {"Description": f"Rotation around {name[-1]}", "Units": "rad"}
            for name in ROTATIONS
        },
        CENSORED: {
            "Description": "Whether the scan is left out of the fit",
            "Levels": {"0": "in the fit", "1": "left out"},
        },
        "residual_mean": {"Description": f"Mean {some}", "Units": _SD},
        "residual_sd": {"Description": f"Standard deviation {some}", "Units": _SD},
        "residual_dvars": {
            "Description": f"{change}, {some}; n/a where the scan before is missing",
            "Units": _SD,
        },
    }


def read_traces(run: RunPlan, out_dir: Path) -> QualityTraces:
    """Read the table of a run's scans back.

    Parameters
    ----------
    run : RunPlan
        A run that was fitted.
    out_dir : Path
        The output folder.

    Raises
    ------
    OSError
        Where it is missing.
    ValueError
        Where it is damaged.
    """
    path = out_dir / paths.timeseries(run.entities)
    head, *lines = read_text(path).splitlines()
    names = head.split("\t")
    rows = [line.split("\t") for line in lines]
    if CENSORED not in names or not rows or any(len(row) != len(names) for row in rows):
        raise ValueError(f"{path.name} is no table of a run's scans")
    columns = {
        name: np.array([np.nan if cell == "n/a" else float(cell) for cell in cells])
        for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }
    sidecar = out_dir / paths.sidecar(paths.timeseries(run.entities))
    entry = read_object(sidecar).get(FD, {})
    limit_mm, text = (
        (entry.get("CensoredAbove"), entry.get("Description", ""))
        if isinstance(entry, dict)
        else (None, None)
    )
    if not (limit_mm is None or is_number(limit_mm)) or not isinstance(text, str):
        raise ValueError(f"{sidecar.name} does not say what {FD} is")
    return QualityTraces(columns=columns, fd_limit_mm=limit_mm, fd_text=text)


def to_grey(values: FloatArray) -> npt.NDArray[np.uint8]:
    """Return residuals in standard deviations as grey levels from 1 to 255.

    Examples
    --------
    >>> to_grey(np.array([-9.0, -3.0, 0.0, 1.5, 3.0]))
    array([  1,   1, 128, 192, 255], dtype=uint8)
    """
    levels = np.rint(_CARPET_MIDDLE + _CARPET_SPAN * values / CARPET_LIMIT)
    return np.clip(levels, 1, 255).astype(np.uint8)


def from_grey(levels: npt.NDArray[np.uint8]) -> FloatArray:
    """Return the residuals of grey levels in standard deviations; NaN for 0.

    Examples
    --------
    >>> from_grey(np.array([0, 1, 128, 255], dtype=np.uint8))
    array([nan, -3.,  0.,  3.])
    """
    values = (levels.astype(np.float64) - _CARPET_MIDDLE) * CARPET_LIMIT / _CARPET_SPAN
    return np.where(levels == 0, np.nan, values)


def to_png(image: npt.NDArray[np.uint8]) -> bytes:
    """Return an image, shape (n_rows, n_columns), as an 8-bit greyscale PNG file.

    Notes
    -----
    Written out here, since the file is data and made by the fit, which needs no library for
    pictures. An image without rows becomes one of a row of 0.
    """
    rows = image if len(image) else np.zeros((1, image.shape[1]), np.uint8)
    header = struct.pack(">2I5B", rows.shape[1], len(rows), 8, 0, 0, 0, 0)
    # Each line starts with its filter: 0 is none.
    lines = np.pad(rows, ((0, 0), (1, 0))).tobytes()
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    """Return a part of a PNG file: its length, name, content and checksum."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
