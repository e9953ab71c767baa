"""The same instructions carried out by pybids, where it is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.small_runs import carry_out, events

pytestmark = pytest.mark.oracle

#: Both sides are sums of a few numbers.
ROUNDING = 1e-12
COLUMNS: dict[str, list[Any]] = {
    "t": ["b", "a", "c", "a", "b", "a"],
    "x": [1.5, -2.0, 0.25, 3.0, -0.5, 4.0],
    "y": [2.0, 1.0, 0.0, 5.0, -1.0, 0.0],
    "p": [1.0, 0.0, 1.0, 1.0, 0.0, 0.0],
    "q": [0.0, 0.0, 1.0, 1.0, 1.0, 0.0],
    "n": [1.0, None, 2.0, 4.0, None, 7.0],
}
JOINED = {"Input": ["p", "q"], "Output": "z"}


def by_pybids(raw: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Return onsets, durations and values by name after an instruction."""
    from bids.modeling.transformations import TransformerManager
    from bids.variables import BIDSRunVariableCollection, SparseRunVariable
    from bids.variables.entities import RunInfo

    run = RunInfo({"subject": "01"}, 40.0, 2.0, "none.nii.gz", 20)
    variables = [
        SparseRunVariable(
            name=name,
            data=pd.DataFrame(
                {"onset": 4.0 * np.arange(6), "duration": np.ones(6), "amplitude": values}
            ),
            run_info=[run],
            source="events",
        )
        for name, values in COLUMNS.items()
    ]
    collection = BIDSRunVariableCollection(variables)
    TransformerManager(keep_history=False).transform(collection, [raw])
    return {
        name: pd.DataFrame(
            {
                "onset": item.onset,
                "duration": item.duration,
                "value": item.values.to_numpy().ravel(),
            }
        )
        for name, item in collection.variables.items()
    }


@pytest.mark.parametrize(
    "raw",
    [
        {"Name": "Factor", "Input": ["t"]},
        {"Name": "Factor", "Input": ["p"], "Sep": "_"},
        {"Name": "Factor", "Input": ["t"], "Constraint": "drop_one", "RefLevel": "b"},
        {"Name": "Factor", "Input": ["t"], "Constraint": "mean_zero"},
        {"Name": "And", **JOINED},
        {"Name": "Or", **JOINED},
        {"Name": "Product", "Input": ["x", "y"], "Output": ["z"]},
        {"Name": "Sum", "Input": ["x", "y"], "Output": ["z"], "Weights": [2, -3]},
        {"Name": "Not", "Input": ["p"]},
        {"Name": "Demean", "Input": ["x", "n"]},
        {"Name": "Scale", "Input": ["x", "n"]},
        {"Name": "Scale", "Input": ["n"], "ReplaceNA": "after", "Output": ["z"]},
        {"Name": "Scale", "Input": ["n"], "ReplaceNA": "before"},
        {"Name": "Scale", "Input": ["x", "y"], "Demean": [True, False], "Rescale": False},
        {"Name": "Threshold", "Input": ["x"], "Threshold": 1, "Binarize": True},
        {"Name": "Threshold", "Input": ["x"], "Threshold": 1, "Above": False},
        {"Name": "Orthogonalize", "Input": ["x"], "Other": ["y", "p"]},
        {"Name": "Filter", "Input": ["x"], "Query": "x > 0 and t == 'a'", "By": ["t"]},
        {"Name": "Filter", "Input": ["t"], "Query": "t == 'a' or not x > 1", "By": ["x"]},
        {"Name": "DropNA", "Input": ["n"]},
        {"Name": "Rename", "Input": ["x", "t"], "Output": ["u", "v"]},
        {"Name": "Copy", "Input": ["x", "t"], "OutputPrefix": "a_", "OutputSuffix": "_b"},
        {"Name": "Select", "Input": ["x", "t"]},
        {"Name": "Delete", "Input": ["x", "t"]},
        {"Name": "Replace", "Input": ["t"], "Replace": {"a": "z"}},
        {"Name": "Assign", "Input": ["p"], "Target": "x", "TargetAttr": "duration"},
        {"Name": "Assign", "Input": ["x"], "Target": "y", "InputAttr": "onset"},
        {"Name": "Split", "Input": ["x"], "By": ["t"]},
        {"Name": "Split", "Input": ["x"], "By": ["t", "q"]},
    ],
    ids=lambda raw: str(raw["Name"]),
)
def test_instruction_gives_what_pybids_gives(raw: dict[str, Any]) -> None:
    theirs = by_pybids(dict(raw))
    ours = carry_out({name: events(values) for name, values in COLUMNS.items()}, raw).values
    renamed = {name.replace(".0", ""): table for name, table in theirs.items()}
    full = {name: table for name, table in renamed.items() if len(table)}
    assert sorted(ours) == sorted(full)
    for name, table in full.items():
        found = ours[name]
        assert found.onsets.tolist() == table["onset"].tolist()
        assert found.durations.tolist() == table["duration"].tolist()
        if found.is_text:
            assert found.values.tolist() == table["value"].tolist()
        else:
            expected = table["value"].to_numpy(dtype=np.float64)
            np.testing.assert_allclose(found.values, expected, rtol=ROUNDING, atol=ROUNDING)
