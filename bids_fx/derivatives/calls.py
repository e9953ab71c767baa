"""What the output folder keeps of the calls for a participant, and what of it still holds."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np

from bids_fx.calls import Call
from bids_fx.derivatives import paths
from bids_fx.derivatives.holdings import published_design_hash, still_holds
from bids_fx.derivatives.whole import is_whole, n_rows_of
from bids_fx.derivatives.write import write_text
from bids_fx.errors import BIDSFXError, Notice, visible_json
from bids_fx.glm.design import Column, Design
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.json_files import object_or_nothing, read_object
from bids_fx.plain import PlainError, from_plain, to_plain
from bids_fx.records import Plan, RunPlan
from bids_fx.regular import read_bytes, read_text

logger = logging.getLogger("bids_fx")

#: Raised with another form of the file.
FORMAT = 2


def joined(call: Call, out_dir: Path) -> tuple[Call, ...]:
    """Return what a call did, behind those before that it does not replace.

    Parameters
    ----------
    call : Call
        The call; of its plan all is kept but tables, matrices and the machine's paths.
    out_dir : Path
        The output folder, with the results of the call.

    Returns
    -------
    tuple of Call
        All that hold, oldest first, as they are kept. If what was kept before cannot be read, it
        is moved out of the way, and a notice says so.
    """
    own = _without_places(replace(call, plan=_kept(call.plan)), out_dir)
    path = out_dir / paths.calls(call.plan.participant)
    try:
        older = read_calls(out_dir, call.plan.participant)
    except BIDSFXError as error:
        path.replace(path.with_suffix(".damaged"))
        (problem,) = error.problems
        text = f"{problem.where}: {problem.found}; it was renamed to {path.stem}.damaged"
        notice = Notice(
            text=f"{text}, and results of earlier calls are left as they are, and not reported.",
            participant=call.plan.participant,
        )
        logger.warning("sub-%s: %s", call.plan.participant, notice.text)
        plan = replace(own.plan, notices=(*own.plan.notices, notice))
        return (replace(own, plan=plan),)
    held = (still_holds(one, own.plan, out_dir) for one in older)
    return (*(one for one in held if one is not None), own)


def write_calls(out_dir: Path, calls: Sequence[Call]) -> Path:
    """Write down what calls did for a participant, as `joined` returns it, if it is news."""
    path = out_dir / paths.calls(calls[-1].plan.participant)
    plain = [to_plain(one) for one in calls]
    values = {"Format": FORMAT, "Digest": _digest(plain), "Calls": plain}
    text = f"{visible_json(_as_text(values))}\n"
    if not path.is_file() or read_bytes(path) != text.encode():
        write_text(path, text)
    return path


def _as_text(values: object) -> str:
    """Return JSON in one line; keys stay in their order, which the report shows."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _digest(plain: object) -> str:
    """Return the hash by which damage to the calls in a file is found, however they are laid out.

    What is left of them after it, a run's name that nothing has any more for example, cannot be
    told from what a call wrote by looking at it alone.
    """
    return hashlib.sha256(visible_json(_as_text(plain)).encode()).hexdigest()


def read_calls(out_dir: Path, participant: str) -> tuple[Call, ...]:
    """Read what calls did for a participant.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    participant : str
        Label without ``sub-``.

    Returns
    -------
    tuple of Call
        Oldest first; none where there is no such file.

    Raises
    ------
    BIDSFXError
        Where it is damaged or of another version of the program.
    """
    path = out_dir / paths.calls(participant)
    try:
        values = read_object(path)
        if values["Format"] != FORMAT:
            raise PlainError(f"its form is {values['Format']}, not {FORMAT}")
        if values["Digest"] != _digest(values["Calls"]):
            raise PlainError("it was changed since a call wrote it")
        return tuple(from_plain(Call, one) for one in values["Calls"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BIDSFXError.single(
            str(paths.calls(participant)),
            f"what earlier calls did cannot be read ({error})",
            "move it away; results of earlier calls are then left as they are, and not reported",
        ) from error


def restored(plan: Plan, out_dir: Path) -> Plan:
    """Return a kept plan with what can be had again: design matrices, and where inputs are.

    Parameters
    ----------
    plan : Plan
        As `read_calls` returns it.
    out_dir : Path
        The output folder, whose ``DatasetLinks`` say where the datasets were.

    Returns
    -------
    Plan
        The paths of datasets that are not known lead nowhere; a run whose matrix is missing,
        damaged or of another analysis (tables of designs have no space in their names) has no
        design.
    """
    roots = _roots(out_dir)

    def find(file: Path) -> Path:
        _, name, inside = str(file).split(":", 2)
        return roots[name] / inside if name in roots else file

    runs = (
        replace(run, source=_moved(run.source, find), design=_read_design(run, out_dir))
        for run in plan.runs
    )
    return replace(plan, runs=tuple(runs))


def _kept(plan: Plan) -> Plan:
    """Return a plan without tables, matrices and what depends on the machine."""
    runs = [
        replace(run, source=_named(run.source), mem_gb=0.0, on_disk=False)
        for run in plan.outline().runs
    ]
    groups = (replace(group, mem_gb=0.0) for group in plan.groups)
    return replace(plan, runs=tuple(runs), groups=tuple(groups))


def _without_places(call: Call, out_dir: Path) -> Call:
    """Return a call whose texts name files by their datasets, not by where these are."""
    folders = {f"{root}/": f"bids:{name}:" for name, root in _roots(out_dir).items()}
    folders[f"{out_dir.resolve()}/"] = folders[f"{out_dir}/"] = ""

    def told(text: str) -> str:
        for folder in sorted(folders, key=len, reverse=True):
            text = text.replace(folder, folders[folder])
        return text

    plan = replace(
        call.plan,
        problems=tuple(
            replace(one, where=told(one.where), found=told(one.found), remedy=told(one.remedy))
            for one in call.plan.problems
        ),
        notices=tuple(replace(one, text=told(one.text)) for one in call.plan.notices),
    )
    failures = tuple(replace(one, message=told(one.message)) for one in call.failures)
    return replace(call, plan=plan, reasons=tuple(map(told, call.reasons)), failures=failures)


def _named(source: BoldRun | RunMaps) -> BoldRun | RunMaps:
    """Return a source with BIDS URIs for paths."""
    uris = source.uris
    return _moved(source, lambda file: Path(uris[file]))


def _moved(source: BoldRun | RunMaps, move: Callable[[Path], Path]) -> BoldRun | RunMaps:
    """Return a source with other paths."""
    uris = {move(file): uri for file, uri in source.uris.items()}
    if isinstance(source, RunMaps):
        maps = {
            label: {stat: move(file) for stat, file in own.items()}
            for label, own in source.maps.items()
        }
        return replace(source, maps=maps, uris=uris)

    def moved(file: Path | None) -> Path | None:
        return None if file is None else move(file)

    image, names = source.segmentation or (None, None)
    return replace(
        source,
        bold=move(source.bold),
        events_files=tuple(map(move, source.events_files)),
        mask=moved(source.mask),
        confounds_file=moved(source.confounds_file),
        t1w=moved(source.t1w),
        segmentation=None if image is None or names is None else (move(image), move(names)),
        design_file=moved(source.design_file),
        uris=uris,
    )


def _roots(out_dir: Path) -> dict[str, Path]:
    """Return the folders of the datasets by name, as far as the output folder tells."""
    links = object_or_nothing(out_dir / "dataset_description.json").get("DatasetLinks")
    try:
        parts = {name: urlparse(str(link)) for name, link in dict(links or {}).items()}
    except (ValueError, TypeError):
        return {}
    return {name: Path(unquote(part.path)) for name, part in parts.items() if part.path}


def _read_design(run: RunPlan, out_dir: Path) -> Design | None:
    """Read a design matrix of ours back; None where it is another's, damaged or not there."""
    if published_design_hash(run, out_dir) != run.design_hash:
        return None
    table = paths.design(run.entities)
    if not is_whole(table, out_dir, n_rows=n_rows_of(run).get(table)):
        return None
    try:
        told = read_object(out_dir / paths.sidecar(table))
        columns = tuple(
            Column(
                name=one["Name"],
                role=one["Role"],
                condition=one["Condition"],
                basis=one["Basis"],
            )
            for one in told["Columns"]
        )
        lines = read_text(out_dir / table).splitlines()
        matrix = np.loadtxt(lines, delimiter="\t", skiprows=1, ndmin=2, comments=None)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Design(matrix=matrix, columns=columns) if matrix.shape[1] == len(columns) else None
