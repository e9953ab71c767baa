"""What a call leaves in its folder of logs for programs: how all went, and what each node took."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_fx import __version__
from bids_fx.cli.outcomes import Outcome
from bids_fx.derivatives import paths
from bids_fx.derivatives.write import stamp_of, write_json, write_table
from bids_fx.logs import fields
from bids_fx.records import Plan
from bids_fx.usage import NodeUsage, Taken

logger = logging.getLogger("bids_fx")

#: Files of a call's folder of logs.
SUMMARY, RESOURCES = "summary.json", "resources.tsv"


@dataclass(frozen=True, slots=True)
class Stamps:
    """The planned outputs of a participant as they were at a moment.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    stamps : dict of str to list
        Size and time of change of each file that was there or not, which is empty then.
    """

    out_dir: Path
    stamps: Mapping[str, Sequence[object]]

    @classmethod
    def of(cls, plans: Iterable[Plan], out_dir: Path) -> Stamps:
        """Look at the outputs of some plans."""
        outputs = {str(path) for plan in plans for path in paths.expected_outputs(plan)}
        return cls(out_dir, {path: stamp_of(out_dir / path) for path in sorted(outputs)})

    @property
    def written(self) -> tuple[str, ...]:
        """Those of them that were written since."""
        return tuple(
            path
            for path, stamp in self.stamps.items()
            if (now := stamp_of(self.out_dir / path)) and now != stamp
        )


def write_summary(
    log_dir: Path, level: str, ended: Sequence[tuple[Outcome, tuple[str, ...]]], taken: Taken
) -> None:
    """Write how a call and each of its participants ended.

    Parameters
    ----------
    log_dir : Path
        The call's folder of logs.
    level : str
        Of the analysis.
    ended : sequence of (Outcome, tuple of str)
        How each participant ended, and which outputs were written for it.
    taken : Taken
        What the whole call took so far.
    """
    participants = {
        f"sub-{item.participant}": {
            "state": item.state,
            "reasons": list(item.reasons),
            **item.taken.to_json(),
            "outputs": {
                "planned": item.n_planned,
                "missing": list(item.missing),
                "written": list(written),
            },
            "warnings": list(item.warnings),
            "worst": dict(item.worst),
        }
        for item, written in ended
    }
    summary = {"version": __version__, "level": level, **taken.to_json()}
    write_json(log_dir / SUMMARY, {**summary, "participants": participants})


#: Columns of the table of nodes, and what each is.
_COLUMNS = {
    "participant_id": {"Description": "Participant, with sub-"},
    "task": {"Description": "What the node did, as in the log"},
    "seconds": {"Description": "Time on the clock", "Units": "s"},
    "cpu_seconds": {"Description": "Time of processors, of all threads together", "Units": "s"},
    "peak_mb": {
        "Description": "The most memory of the process that the node ran in: of its own or, with "
        "one process, of the main one while the node ran. Pages that processes share count in "
        "each of them. n/a where it is not known",
        "Units": "MB",
    },
    "planned_mb": {"Description": "What was planned for that process", "Units": "MB"},
    "threads": {"Description": "Threads that were planned"},
}


def write_resources(log_dir: Path, nodes: Sequence[NodeUsage]) -> None:
    """Write what each node of a call took, with a description of the table's columns.

    Parameters
    ----------
    log_dir : Path
        The call's folder of logs.
    nodes : sequence of NodeUsage
        In the order in which they ended; those that had nothing to do have no row.
    """
    path = log_dir / RESOURCES
    write_table(path, list(_COLUMNS), [_row(node) for node in nodes if node.task])
    write_json(path.with_suffix(".json"), _COLUMNS)


def _row(node: NodeUsage) -> list[object]:
    """Return a node's cells."""
    usage = node.usage
    measured: list[float | None] = [None, None, None]
    if usage is not None:
        peak = None if usage.peak_mb is None else round(usage.peak_mb)
        measured = [round(usage.seconds, 2), round(usage.cpu_s, 2), peak]
    who = f"sub-{node.participant}"
    return [who, node.task, *measured, round(node.planned_mb), node.threads]


def warn_of_excess(nodes: Iterable[NodeUsage]) -> None:
    """Warn of each node that took more memory than was planned."""
    for node in nodes:
        peak = None if node.usage is None else node.usage.peak_mb
        if peak is not None and peak > node.planned_mb and node.task:
            logger.warning(
                "sub-%s %s: took %.0f MB, more than the %.0f MB that were planned.",
                node.participant,
                node.task,
                peak,
                node.planned_mb,
                extra=fields(
                    participant=node.participant,
                    task=node.task,
                    peak_mb=round(peak),
                    planned_mb=round(node.planned_mb),
                ),
            )
