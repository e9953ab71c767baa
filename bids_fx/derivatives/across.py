"""The tables over all participants: ``qc.tsv`` with its description, and ``summary.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_fx.analyses import differences
from bids_fx.derivatives import paths
from bids_fx.derivatives.write import six_digits, write_json, write_table
from bids_fx.entities import WORDS
from bids_fx.quality import MEASURES
from bids_fx.settings import setting_text
from bids_fx.standing import Analysis, Overview, RunQuality, Standing

#: Entities that have a column whether any run has them or not, and the column's name.
_ALWAYS = {"sub": "participant_id", "ses": "session_id", "task": "task", "run": "run"}
_PLACE = ("space", "res")
#: How the further ones follow.
_FURTHER = ("acq", "ce", "rec", "dir", "echo", "part", "cohort", "den", "hemi")
_MEANINGS = {
    "sub": "Participant, with sub-",
    "ses": "Session, with ses-; n/a without sessions",
    "space": "Space of the images; n/a for a space without a name",
    "res": "Resolution of the images, by label",
}


def write_tables(overview: Overview, out_dir: Path) -> None:
    """Write ``qc.tsv``, ``qc.json`` and ``summary.json``.

    Parameters
    ----------
    overview : Overview
        All participants.
    out_dir : Path
        The output folder.
    """
    keys = _keys(overview.runs)
    names = [measure.name for measure in MEASURES]
    header = [*(_column(key) for key in keys), "analysis", *names]
    write_table(out_dir / paths.QUALITY_TABLE, header, [_row(run, keys) for run in overview.runs])
    write_json(out_dir / paths.sidecar(paths.QUALITY_TABLE), _described(overview, keys))
    write_json(out_dir / paths.SUMMARY, _summary(overview))


def _keys(runs: Sequence[RunQuality]) -> list[str]:
    """Return the entities that have a column, in order."""
    there = {key for run in runs for key in run.entities}
    others = there.difference(_ALWAYS, _PLACE, _FURTHER)
    further = [key for key in _FURTHER if key in there]
    return [*_ALWAYS, *further, *sorted(others), *_PLACE]


def _column(key: str) -> str:
    """Return the name of an entity's column."""
    return _ALWAYS.get(key, key)


def _row(run: RunQuality, keys: Sequence[str]) -> list[object]:
    """Return the cells of a run."""
    entities = run.entities
    labels = [
        (f"{key}-{entities[key]}" if key in ("sub", "ses") else entities[key])
        if key in entities
        else None
        for key in keys
    ]
    measures = (six_digits(run.measures.get(measure.name)) for measure in MEASURES)
    return [*labels, run.analysis, *measures]


def _described(overview: Overview, keys: Sequence[str]) -> dict[str, object]:
    """Return the description of each column of ``qc.tsv``."""
    columns: dict[str, object] = {
        _column(key): {"Description": _MEANINGS.get(key, f"Label of the {WORDS.get(key, key)}")}
        for key in keys
    }
    columns["analysis"] = {
        "Description": "Runs of one analysis have the same settings but for the contrasts, the "
        "same model file and the same versions of software; measures that depend on the model "
        "compare within one analysis only",
        "Levels": {item.name: _differences(item, overview) for item in overview.analyses},
    }
    for measure in MEASURES:
        columns[measure.name] = {
            "LongName": measure.title,
            "Description": measure.description,
            "Units": measure.units,
        }
    return columns


def _differences(analysis: Analysis, overview: Overview) -> str:
    """Return what tells an analysis from that of the most participants."""
    first = overview.analyses[0]
    if analysis.name == first.name:
        return "that of the most participants"
    return "; ".join(differences(analysis.call, first.call))


def _summary(overview: Overview) -> dict[str, object]:
    """Return what ``summary.json`` holds."""
    return {
        "participants": {
            f"sub-{standing.participant}": _standing(standing) for standing in overview.standings
        },
        "totals": {
            "participants": len(overview.standings),
            "states": overview.counts,
            "runs": sum(standing.n_used for standing in overview.standings),
            "runs_left_out": sum(standing.n_left_out for standing in overview.standings),
            "outputs": {
                "planned": sum(standing.n_planned for standing in overview.standings),
                "missing": sum(len(standing.missing) for standing in overview.standings),
            },
            "warnings": sum(len(standing.warnings) for standing in overview.standings),
            "worst": overview.worst,
        },
        "analyses": {
            item.name: {
                "settings": {
                    name: setting_text(name, value)
                    for name, value in item.call.plan.settings.to_json().items()
                    if name != "contrasts"
                },
                "software": item.call.software,
                "participants": sum(item in standing.analyses for standing in overview.standings),
            }
            for item in overview.analyses
        },
        "limits": list(map(str, overview.limits)),
    }


def _standing(standing: Standing) -> dict[str, object]:
    """Return what ``summary.json`` says of a participant."""
    report = paths.report(standing.participant)
    return {
        "state": standing.state,
        "reasons": list(standing.reasons),
        "runs": standing.n_used,
        "runs_left_out": standing.n_left_out,
        "contrasts": list(standing.contrasts),
        "seconds": standing.seconds,
        "peak_mb": standing.peak_mb,
        "outputs": {"planned": standing.n_planned, "missing": list(standing.missing)},
        "warnings": list(standing.warnings),
        "worst": standing.worst,
        "analyses": [analysis.name for analysis in standing.analyses],
        "report": str(report) if standing.has_report else None,
    }
