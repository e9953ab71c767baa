"""The files that belong to the output dataset as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bids_fx import __version__
from bids_fx.container import image_around, tag_around
from bids_fx.derivatives.locks import locked
from bids_fx.derivatives.write import remove_temporaries, to_json, write_bytes, write_json
from bids_fx.json_files import object_or_nothing
from bids_fx.regular import read_bytes
from bids_fx.settings import WORK_AREA, DataSelection
from bids_fx.usage import Taken

#: Names that BIDS does not know yet; folders stand without a slash, or their entry is not matched.
BIDSIGNORE = (
    "*.html",
    "*_statmap.*",
    "*_design.*",
    "*_contrasts.*",
    "*_corr.*",
    "*_qc.*",
    "*_desc-qc.*",
    "*_desc-quality_timeseries.*",
    "*_desc-residuals_carpet.*",
    "*_clusters.*",
    "*_influence.*",
    "*_boldref.*",
    "qc.*",
    "summary.json",
    "calls.*",
    "figures",
    "models",
    "jobs",
    "work",
)

BIDS_VERSION = "1.10.0"


def write_dataset_files(out_dir: Path, data: DataSelection) -> None:
    """Write ``dataset_description.json`` and ``.bidsignore`` unless they say the same already.

    Parameters
    ----------
    out_dir : Path
        The output folder; made if need be.
    data : DataSelection
        Where the inputs are; their folders become `DatasetLinks`, which stay from earlier calls.
    """
    path, ignore = out_dir / "dataset_description.json", out_dir / ".bidsignore"
    with locked(out_dir, path.stem):
        remove_temporaries(out_dir, path.name, ignore.name)
        old = object_or_nothing(path)
        links = old.get("DatasetLinks")
        new = _description(data, links if isinstance(links, dict) else {})
        if to_json(new) != to_json(old):
            write_json(path, new)
        content = read_bytes(ignore) if ignore.is_file() else b""
        if (whole := _with_ours(content)) != content:
            write_bytes(ignore, whole)


def _with_ours(content: bytes) -> bytes:
    r"""Return the content of ``.bidsignore`` with all our lines, others as they are.

    Examples
    --------
    >>> _with_ours(b"*.log\n*_sta").splitlines()[:3]
    [b'*.log', b'*.html', b'*_statmap.*']
    """
    ours = [line.encode() for line in BIDSIGNORE]
    lines = content.splitlines()
    # What is left of a line of ours may hide files from the validator that it should see.
    if lines and not content.endswith(b"\n") and any(one.startswith(lines[-1]) for one in ours):
        del lines[-1]
    missing = [line for line in ours if line not in lines]
    return b"".join(line + b"\n" for line in (*lines, *missing)) if missing else content


def _description(data: DataSelection, links: Mapping[str, object]) -> dict[str, object]:
    """Return the content of ``dataset_description.json``."""
    generated: dict[str, object] = {
        "Name": "bids_fx",
        "Version": __version__,
        "Description": "First-level models of BOLD runs and fixed effects over runs",
    }
    tag = tag_around()
    if tag is not None:
        kind = "singularity" if image_around() is not None else "docker"
        generated["Container"] = {"Type": kind, "Tag": tag}
    folders = {"raw": data.bids_dir, **dict(data.derivatives)}
    if data.design_dir is not None:
        folders["design"] = data.design_dir
    if data.run_maps_dir is not None:
        folders["runmaps"] = data.run_maps_dir
    return {
        "Name": "bids_fx: first-level models and fixed effects",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "License": "See the source datasets",
        "HowToAcknowledge": "Please use the text in logs/CITATION.md",
        "GeneratedBy": [generated],
        "DatasetLinks": {
            **links,
            **{key: path.resolve().as_uri() for key, path in folders.items()},
        },
    }


def write_state(
    out_dir: Path,
    participant: str,
    state: str,
    reason: str = "",
    *,
    taken: Taken | None = None,
) -> None:
    """Write down how far a participant is; the participant's lock must be held.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    participant : str
        Label without ``sub-``.
    state : str
        ``running``, ``done`` or ``failed``.
    reason : str
        Why it failed.
    taken : Taken or None
        What the call took for it; None while it is at work.
    """
    values: dict[str, object] = {"participant": participant, "state": state, "reason": reason}
    if taken is not None:
        values |= taken.to_json()
    with changing_states(out_dir):
        write_json(state_path(out_dir, participant), values)


@contextmanager
def changing_states(out_dir: Path) -> Iterator[None]:
    """Keep other processes from writing states meanwhile, for moments.

    Those that plan to work on a participant write them too, and are not the ones that have the
    participant's lock.
    """
    with locked(out_dir, "states"):
        yield


def read_state(out_dir: Path, participant: str) -> dict[str, object]:
    """Return a participant's state; empty where it was never planned."""
    return object_or_nothing(state_path(out_dir, participant))


def state_path(out_dir: Path, participant: str) -> Path:
    """Return where a participant's state is kept."""
    return out_dir / WORK_AREA / "states" / f"sub-{participant}.json"
