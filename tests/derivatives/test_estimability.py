"""What the sidecar of a design says that it can estimate."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bids_fx.dataset.tables import read_design
from bids_fx.derivatives import paths
from bids_fx.derivatives.estimability import describe_columns, describe_contrast, describe_fit
from bids_fx.derivatives.results import write_design
from bids_fx.glm.contrasts import variance_inflation
from bids_fx.glm.design import Column, Design
from bids_fx.records import RunContrast
from bids_fx.settings import AnalysisSettings
from tests.small_plans import FACE, FACE_HOUSE, make_run

ROWS = ((("face", 1.0),), (("face", 1.0), ("house", -1.0)))


@pytest.fixture
def design() -> Design:
    """Return a design of 30 scans, two of them censored, with a twin and a column of zeros."""
    rng = np.random.default_rng(3)
    face, house = rng.normal(size=(2, 30))
    matrix = np.zeros((30, 7))
    matrix[:, 0], matrix[:, 1], matrix[:, 2] = face, house, 2 * house
    matrix[4, 4] = matrix[9, 5] = matrix[9, 3] = 1.0
    matrix[:, 6] = 1.0
    roles = {"censored_scan_0004": "censored", "censored_scan_0009": "censored"}
    names = ("face", "house", "twin", "brief", *roles, "constant")
    return Design(
        matrix=matrix,
        columns=tuple(
            Column(
                name=name, role=roles.get(name, "constant" if name == "constant" else "confound")
            )
            for name in names
        ),
    )


def test_fit_is_that_of_the_kept_scans_without_their_columns(design: Design) -> None:
    assert describe_fit(design) == {
        "Scans": 28,
        "Columns": 5,
        "Rank": 3,
        "ResidualDegreesOfFreedom": 25,
    }


def test_every_column_has_its_inflation_in_the_kept_scans_or_a_note(design: Design) -> None:
    described = {str(entry["Name"]): entry for entry in describe_columns(design)}
    assert list(described) == list(design.names)
    kept = np.delete(design.matrix, [4, 9], axis=0)[:, [0, 1, 6]]
    expected = float(variance_inflation(kept)[0])
    assert described["face"]["VarianceInflation"] == pytest.approx(expected, rel=1e-5)
    notes = {
        name: str(entry["VarianceInflationNote"]).partition(":")[0]
        for name, entry in described.items()
        if entry["VarianceInflation"] is None
    }
    assert notes == {
        "house": "infinite",
        "twin": "infinite",
        "brief": "none",
        "censored_scan_0004": "not in the fit",
        "censored_scan_0009": "not in the fit",
        "constant": "none",
    }


def test_contrast_tells_rows_efficiency_and_inflation() -> None:
    contrast = replace(FACE_HOUSE, test="F")
    item = RunContrast(
        contrast=contrast, rows=ROWS, efficiency=(2.123456789, 1.0), inflation=(1.5, np.nan)
    )
    assert describe_contrast(item) == {
        "Name": contrast.name,
        "Label": contrast.label,
        "Formula": contrast.formula,
        "Test": "F",
        "Rows": [{"face": 1.0}, {"face": 1.0, "house": -1.0}],
        "Estimable": True,
        "Reason": None,
        "Efficiency": [2.12346, 1.0],
        "VarianceInflation": [1.5, None],
    }


def test_contrast_that_cannot_be_estimated_tells_why() -> None:
    described = describe_contrast(RunContrast(contrast=FACE, reason="no event"))
    assert (described["Estimable"], described["Reason"]) == (False, "no event")
    assert (described["Rows"], described["Efficiency"]) == ([], [])


def test_written_sidecar_holds_all_of_it_and_is_read_back(tmp_path) -> None:
    run = make_run("sub-01_task-x_run-1", censored=(3, 7))
    run = replace(run, confounds=replace(run.confounds, columns=(), censored=()))
    write_design(run, AnalysisSettings(), tmp_path)
    path = tmp_path / paths.design(run.entities)
    sidecar = json.loads((tmp_path / paths.sidecar(paths.design(run.entities))).read_text())
    assert sidecar["Fit"]["Scans"] == 38
    assert [entry["Label"] for entry in sidecar["Contrasts"]] == [
        item.contrast.label for item in run.contrasts
    ]
    assert read_design(path).columns == run.design.columns
