"""A model applied to a run: which regressors it gets, and what is told of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_fx.entities import parse_name
from bids_fx.inputs import BoldRun, ConfoundTable, EventTable, Grid
from bids_fx.model_runs import CONVOLVED, UNCONVOLVED, Applied, apply_model
from bids_fx.stats_models.records import Node
from tests.model_files import read, with_run

NAME = "sub-01_task-x_run-1"
#: Ten volumes, one every 2 s.
N_SCANS, TR = 10, 2.0
SPM = CONVOLVED.format("spm")
FACTOR = {"Name": "Factor", "Input": ["trial_type"]}


def convolve(*names: str, **more: object) -> dict[str, object]:
    return {"Name": "Convolve", "Input": list(names), "Model": "spm", **more}


def a_run(
    trial_type: tuple[str | None, ...] = ("face", "house", "face"),
    confounds: dict[str, list[float]] | None = None,
    **columns: list[float],
) -> BoldRun:
    """Return a run with events of 2 s, one every 4 s, and a table of confounds."""
    n = len(trial_type)
    names = np.empty(n, dtype=object)
    names[:] = trial_type
    values: dict[str, Any] = {"trial_type": names}
    values |= {name: np.array(column, np.float64) for name, column in columns.items()}
    table = {"trans_x": np.arange(N_SCANS, dtype=np.float64)}
    table |= {name: np.array(column, np.float64) for name, column in (confounds or {}).items()}
    return BoldRun(
        entities=parse_name(f"{NAME}_bold.nii.gz").entities,
        bold=Path("bold.nii.gz"),
        grid=Grid(shape=(1, 1, 1), affine=((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0))),
        n_scans=N_SCANS,
        repetition_time=TR,
        events=EventTable(
            onsets=4.0 * np.arange(n), durations=np.full(n, 2.0), columns=values
        ),
        confounds=ConfoundTable(path=Path("confounds.tsv"), values=table),
    )


def a_node(
    *x: object, instructions: list[dict[str, object]] | None = None, **more: object
) -> Node:
    """Return the run node of a model; contrasts of nothing are left out."""
    model = {"Type": "glm", "X": [*x, 1], **more.pop("model", {})}  # type: ignore[dict-item]
    raw: dict[str, object] = {"Model": model, "Contrasts": [], **more}
    if instructions is not None:
        raw["Transformations"] = {
            "Transformer": "pybids-transforms-v1",
            "Instructions": instructions,
        }
    content = with_run(**raw)
    content["Nodes"] = content["Nodes"][:1]
    return read(content).root
