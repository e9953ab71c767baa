"""Models written down are valid by the schema of the specification."""

from __future__ import annotations

import json
from pathlib import Path

import bsmschema.models
import pytest

from bids_fx.stats_models.read import read_model
from bids_fx.stats_models.write import model_json

FOUND = Path(__file__).parent.parent / "data" / "stats_models"


@pytest.mark.oracle
@pytest.mark.parametrize("path", sorted(FOUND.rglob("*.json")), ids=lambda path: path.parts[-3])
def test_written_model_is_valid(path: Path) -> None:
    model, problems, _ = read_model(path)
    if model is None:
        assert problems
        return
    bsmschema.models.BIDSStatsModel.model_validate(json.loads(model_json(model)))
