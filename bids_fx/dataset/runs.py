"""One run of BOLD data with all that belongs to it, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bids_fx.dataset.events import read_event_table, read_events
from bids_fx.dataset.files import DatasetFile, Faults
from bids_fx.dataset.images import check_same_grid, read_voxels
from bids_fx.dataset.masks import mask_of
from bids_fx.dataset.matching import (
    Sources,
    find_confounds,
    find_design,
    find_mask,
    find_metadata,
    find_segmentation,
    find_t1w,
    require_events,
)
from bids_fx.dataset.nifti import ImageHeader, check_complete, read_header
from bids_fx.dataset.streams import bad_file
from bids_fx.dataset.tables import describes_columns, read_confounds, read_design
from bids_fx.errors import BIDSFXError, Notice, Problem
from bids_fx.glm.design import Condition, Design
from bids_fx.inputs import BoldRun, ConfoundTable, EventTable
from bids_fx.settings import AnalysisSettings

#: Sidecar and header may differ by this much, in seconds: rounding, not another value.
_SAME_TIME = 1e-3
#: No volume is taken in less, in seconds, nor takes longer: such a number is in another unit.
_SHORTEST_TR = 0.01
_LONGEST_TR = 100.0
#: Voxels of a mask that are read where the series cannot tell whether they fit; 0.8 mm of a head.
_MOST_UNSURE = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a run's volumes were taken.

    Parameters
    ----------
    repetition_time : float
        Seconds between volumes.
    slice_time : float
        Seconds from a volume's onset to the moment its slices were corrected to.
    warnings : tuple of str
        What was assumed, or does not fit together.
    """

    repetition_time: float
    slice_time: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """What a run's model is made from: events and confounds, or a design made beforehand."""

    conditions: tuple[Condition, ...] = ()
    events: EventTable | None = None
    confounds: ConfoundTable | None = None
    design: Design | None = None
    names_conditions: bool = False
    events_file: DatasetFile | None = None
    confounds_file: DatasetFile | None = None
    design_file: DatasetFile | None = None
    notices: tuple[Notice, ...] = ()


def load_run(
    bold: DatasetFile, sources: Sources, *, analysis: AnalysisSettings, participant: str
) -> tuple[BoldRun | None, tuple[Problem, ...]]:
    """Read and check one run: headers, mask, tables and sidecars, but not the series itself.

    Parameters
    ----------
    bold : DatasetFile
        The BOLD series.
    sources : Sources
        Where what belongs to it is looked for.
    analysis : AnalysisSettings
        For the slice time reference.
    participant : str
        Label without ``sub-``.

    Returns
    -------
    run : BoldRun or None
        None where something is wrong.
    problems : tuple of Problem
        All that is wrong.
    """
    faults = Faults(participant)
    header = faults.attempt(read_bold_header, bold.path)
    metadata = faults.attempt(find_metadata, bold, sources)
    own, raw = metadata or ({}, {})
    timing = None
    if metadata is not None and (header is not None or "RepetitionTime" in raw | own):
        timing = faults.attempt(read_timing, bold.path, own, raw, header, analysis)
    mask = find_mask(bold, sources)
    counted = faults.attempt(_count_mask, mask.path, header) if mask is not None else None
    tables = _load_tables(bold, sources, header, timing, faults)
    if header is None or timing is None or faults.problems:
        return None, faults.problems

    t1w, warnings = _usable_t1w(bold, sources)
    segmentation = find_segmentation(bold, sources)
    n_mask_voxels, doubts = counted or (None, ())
    warnings += timing.warnings + doubts
    if mask is None:
        warnings += (f"{bold.path.name}: no brain mask beside it; one is computed from its mean.",)
    files = (bold, mask, tables.events_file, tables.confounds_file, tables.design_file, t1w)
    run = BoldRun(
        entities=bold.entities.without("desc"),
        bold=bold.path,
        mask=_path(mask),
        events_files=(tables.events_file.path,) if tables.events_file else (),
        confounds_file=_path(tables.confounds_file),
        t1w=_path(t1w),
        segmentation=segmentation and (segmentation[0].path, segmentation[1].path),
        grid=header.grid,
        n_scans=header.n_scans,
        repetition_time=timing.repetition_time,
        slice_time=timing.slice_time,
        conditions=tables.conditions,
        events=tables.events,
        confounds=tables.confounds,
        design=tables.design,
        design_file=_path(tables.design_file),
        names_conditions=tables.names_conditions,
        n_mask_voxels=n_mask_voxels,
        skull_stripped=own.get("SkullStripped") is True,
        uris={file.path: file.uri for file in (*files, *(segmentation or ())) if file},
        notices=(
            *(Notice(text=text, participant=participant) for text in warnings),
            *tables.notices,
        ),
    )
    return run, ()


def read_bold_header(path: Path) -> ImageHeader:
    """Return the header of a BOLD series.

    Raises
    ------
    BIDSFXError
        If the file is no complete NIfTI image of several volumes.
    """
    header = read_header(path)
    if len(header.shape) != 4:
        shape = " x ".join(map(str, header.shape))
        raise bad_file(path, f"an image of {shape} voxels", "give a series of volumes (4D)")
    check_complete(path, header)
    return header


def read_timing(
    path: Path,
    own: Mapping[str, object],
    raw: Mapping[str, object],
    header: ImageHeader | None,
    analysis: AnalysisSettings,
) -> Timing:
    """Return when a run's volumes were taken.

    Parameters
    ----------
    path : Path
        The BOLD series, for messages.
    own, raw : dict
        Metadata of the series and of its raw run; the former count first.
    header : ImageHeader or None
        Counts where no sidecar has a repetition time; None where it cannot be read.
    analysis : AnalysisSettings
        Its `slice_time_ref` beats every sidecar.

    Raises
    ------
    BIDSFXError
        If there is no repetition time, or a time makes no sense.

    Notes
    -----
    A header counts only with its unit: 1.0 without unit is what programs write that know none.
    Older versions of fMRIPrep shift slices to the middle of the volume and do not say so by
    ``StartTime``; later ones do.
    """
    in_header = header.repetition_time if header is not None else None
    tr = _seconds(path, own, raw, "RepetitionTime")
    warnings: list[str] = []
    if tr is None:
        if in_header is None:
            sparse = "VolumeTiming" in own or "VolumeTiming" in raw
            raise bad_file(
                path,
                "no RepetitionTime in a sidecar and none in the header"
                + (", only VolumeTiming (sparse sampling)" if sparse else ""),
                "volumes at equal distances are needed"
                if sparse
                else "write RepetitionTime (in seconds) into a sidecar of the run",
            )
        tr = in_header
        warnings.append(
            f"{path.name}: no sidecar has a RepetitionTime; the header's {tr:g} s is taken."
        )
    elif in_header is not None and abs(tr - in_header) > _SAME_TIME:
        warnings.append(
            f"{path.name}: the sidecar's RepetitionTime {tr:g} s is taken; the header says "
            f"{in_header:g} s."
        )
    if not _SHORTEST_TR < tr < _LONGEST_TR:
        limits = f"between {_SHORTEST_TR:g} and {_LONGEST_TR:g}"
        raise bad_file(path, f"a RepetitionTime of {tr:g} s", f"write it in seconds, {limits}")
    slice_time, warning = _slice_time(path, own, raw, tr, analysis)
    return Timing(
        repetition_time=tr,
        slice_time=slice_time,
        warnings=(*warnings, warning) if warning else tuple(warnings),
    )


def _slice_time(
    path: Path,
    own: Mapping[str, object],
    raw: Mapping[str, object],
    repetition_time: float,
    analysis: AnalysisSettings,
) -> tuple[float, str | None]:
    """Return the slice time in seconds, and a warning where it is an assumption."""
    if analysis.slice_time_ref is not None:
        return analysis.slice_time_ref * repetition_time, None
    start = _seconds(path, own, raw, "StartTime")
    if start is not None:
        if start < 0:
            raise bad_file(path, f"a StartTime of {start:g} s", "write the time as 0 or more")
        late = start > repetition_time
        return start, f"{path.name}: StartTime {start:g} s exceeds the TR." if late else None
    if own.get("SliceTimingCorrected", raw.get("SliceTimingCorrected")) is True:
        text = (
            f"{path.name}: slices were time-corrected, but no StartTime says to when; the middle "
            "of the volume is assumed (--slice-time-ref overrules this)."
        )
        return 0.5 * repetition_time, text
    return 0.0, None


def _seconds(
    path: Path, own: Mapping[str, object], raw: Mapping[str, object], key: str
) -> float | None:
    """Return a time from the sidecars; None where none has it."""
    value = own.get(key, raw.get(key))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise bad_file(path, f"{key} {value!r} in its sidecar", "write a number of seconds")
    return float(value)


def _load_tables(
    bold: DatasetFile,
    sources: Sources,
    header: ImageHeader | None,
    timing: Timing | None,
    faults: Faults,
) -> _Tables:
    """Read what the model is made from, as far as it can be read."""
    designs = sources.designs
    if designs is not None:
        file = faults.attempt(find_design, bold, designs)
        design = faults.attempt(_read_design, file.path, header) if file else None
        return _Tables(
            design=design,
            design_file=file,
            names_conditions=file is not None
            and design is not None
            and describes_columns(file.path),
        )
    seconds = header.n_scans * timing.repetition_time if header and timing else math.inf
    events = faults.attempt(require_events, bold, sources.raw)
    tables = _Tables()
    if events is not None:
        read = _read_whole if sources.whole_events else _read_conditions
        participant = bold.entities.get("sub")
        tables = faults.attempt(read, events.path, seconds, participant) or tables
        if header is not None:
            faults.attempt(_require_few_conditions, events.path, tables.conditions, header)
    values = None
    confounds = find_confounds(bold, sources)
    if confounds is not None and header is not None:
        values = faults.attempt(read_confounds, confounds.path, header.n_scans)
    return replace(tables, confounds=values, events_file=events, confounds_file=confounds)


def _require_few_conditions(
    path: Path, conditions: Sequence[Condition], header: ImageHeader
) -> None:
    """Refuse more conditions than there are scans to tell them apart."""
    if len(conditions) > header.n_scans:
        raise bad_file(
            path,
            f"{len(conditions)} conditions, but the BOLD series has {header.n_scans} volumes",
            "give trials of one kind one trial_type",
        )


def _read_conditions(path: Path, seconds: float, participant: str | None) -> _Tables:
    """Read events by trial type."""
    conditions, notices = read_events(path, run_seconds=seconds, participant=participant)
    return _Tables(conditions=conditions, notices=notices)


def _read_whole(path: Path, seconds: float, participant: str | None) -> _Tables:
    """Read events with all their columns."""
    events, notices = read_event_table(path, run_seconds=seconds, participant=participant)
    return _Tables(events=events, notices=notices)


def _read_design(path: Path, header: ImageHeader | None) -> Design:
    """Read a design matrix and compare its length with the series'."""
    design = read_design(path)
    if header is not None and len(design.matrix) != header.n_scans:
        raise bad_file(
            path,
            f"{len(design.matrix)} rows, but {header.path.name} has {header.n_scans} volumes",
            "give the design matrix of this run, one row per volume",
        )
    return design


def _count_mask(path: Path, header: ImageHeader | None) -> tuple[int, tuple[str, ...]] | None:
    """Return the number of voxels of a mask that fits the series, and what is odd about it.

    Many voxels are not read before it is known that the series has as many.
    """
    own = read_header(path)
    if header is not None:
        check_same_grid(path, own.grid, header.path, header.grid)
    elif own.grid.n_voxels > _MOST_UNSURE:
        check_complete(path, own)
        return None
    volume = read_voxels(own)
    inside = mask_of(volume.values, path)
    holes = int(np.count_nonzero(~np.isfinite(volume.values)))
    text = f"{path.name}: {holes} voxels without a number are taken to be outside the mask."
    return int(inside.sum()), (text,) * (holes > 0)


def _usable_t1w(bold: DatasetFile, sources: Sources) -> tuple[DatasetFile | None, tuple[str, ...]]:
    """Return the T1w image for the report; a broken one is told and done without."""
    t1w = find_t1w(bold, sources)
    if t1w is None:
        return None, ()
    try:
        check_complete(t1w.path, read_header(t1w.path))
    except BIDSFXError as error:
        return None, (f"{t1w.path.name}: not shown, since it is {error.problems[0].found}.",)
    return t1w, ()


def _path(file: DatasetFile | None) -> Path | None:
    return file.path if file is not None else None
