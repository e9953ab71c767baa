"""Drafts: of the confounds tables only what a plan needs is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_fx.dataset.confounds import load_strategies
from bids_fx.drafts import draft_plan
from bids_fx.entities import parse_name
from bids_fx.glm.design import Condition
from bids_fx.inputs import BoldRun, ConfoundTable, EventTable, Found, Grid
from bids_fx.plan import finish_plan, make_plan
from bids_fx.settings import AnalysisSettings
from bids_fx.stats_models.records import Node
from bids_fx.transforms.records import Instruction

N_SCANS = 60
NAMES = (
    *(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"),
    *("framewise_displacement", "csf", "white_matter"),
    *(f"a_comp_cor_{number:02d}" for number in range(20)),
)
SETTINGS = AnalysisSettings(contrasts=("face",))


@pytest.fixture
def found(rng: np.random.Generator) -> Found:
    """Return a participant with one run and a table of many confounds."""
    table = ConfoundTable(
        path=Path("c.tsv"),
        values={name: rng.normal(size=N_SCANS) for name in NAMES},
        metadata={name: {"Method": "Mean"} for name in NAMES},
    )
    face = Condition(
        name="face", onsets=np.array([10.0, 50]), durations=np.ones(2), amplitudes=np.ones(2)
    )
    run = BoldRun(
        entities=parse_name("sub-1_task-x_bold").entities,
        bold=Path("bold.nii.gz"),
        grid=Grid(shape=(2, 2, 2), affine=((2.0, 0, 0, 0), (0, 2, 0, 0), (0, 0, 2, 0), (0,) * 4)),
        n_scans=N_SCANS,
        repetition_time=2.0,
        conditions=(face,),
        confounds=table,
    )
    return Found(participant="1", runs=(run,))


def kept(found: Found, settings: AnalysisSettings) -> set[str]:
    (source,) = draft_plan(found, settings, load_strategies()).sources
    assert source.confounds.values.keys() == source.confounds.metadata.keys()
    return set(source.confounds.values)


def test_columns_of_the_design_and_of_the_motion_figure_are_kept(found: Found) -> None:
    assert kept(found, replace(SETTINGS, confounds=("csf",))) == {*NAMES[:7], "csf"}
    assert kept(found, replace(SETTINGS, confounds=())) == {*NAMES[:7]}


def test_regressors_that_a_model_makes_of_the_table_are_confounds_but_not_its_columns(
    found: Found,
) -> None:
    (run,) = found.runs
    root = Node(
        name="run",
        level="run",
        x=("face", "csf", "moved"),
        instructions=(
            Instruction(name="Threshold", inputs=("framewise_displacement",), outputs=("moved",)),
        ),
    )
    events = EventTable(
        path=Path("e.tsv"),
        onsets=np.array([10.0]),
        durations=np.ones(1),
        columns={"face": np.ones(1)},
    )
    modelled = replace(found, runs=(replace(run, events=events),))
    settings = replace(SETTINGS, confounds=(), model_name="m")
    (drafted,) = draft_plan(modelled, settings, load_strategies(), root).runs
    choice = drafted.confounds
    assert (choice.columns, choice.made, choice.is_read) == (("csf",), ("moved",), True)
    assert choice.names == ("csf", "moved")
    assert drafted.source.hrf_of == {"face": "spm"}


def test_a_plan_of_a_draft_is_the_plan_of_what_was_found(found: Found) -> None:
    strategies = load_strategies()
    settings = replace(SETTINGS, confounds=("motion6", "a_comp_cor_0*", "nothing*"))
    draft = draft_plan(found, settings, strategies)
    finished = finish_plan(draft, settings, known_conditions={})
    whole = make_plan(found, settings, strategies, known_conditions={})
    assert finished.problems == whole.problems
    assert "no column matches 'nothing*'" in str(whole.problems[0])
    assert finished.runs[0].settings_hash == whole.runs[0].settings_hash
    assert finished.runs[0].confounds == whole.runs[0].confounds
