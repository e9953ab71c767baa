"""Joining by steps: weights, sums of means, and maps of groups, from files of known values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.derivatives import paths
from bids_fx.derivatives.influence import read_influence
from bids_fx.derivatives.joined import group_inputs, map_uri
from bids_fx.derivatives.results import published_maps
from bids_fx.grouping import collapse_lone_runs, group_runs
from bids_fx.joining import join_masks, join_runs
from bids_fx.records import GroupPlan, Plan, RunContrast, RunPlan
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import Cell, Step, StepContrast
from tests.small_plans import ANY, make_run_maps, write_map

SETTINGS = AnalysisSettings()
SPACE = "_space-A"
#: float32 files of results that are computed in float64.
FLOAT32 = 1e-6
FACE = StepContrast(name="face", label="face", source="face")


def contrast(*cells: tuple[float, dict[str, str]]) -> StepContrast:
    made = tuple(Cell(weight=weight, labels=labels) for weight, labels in cells)
    return StepContrast(name="made", label="made", source="face", cells=made)


def runs_of(folder: Path, sessions: str = "ab", runs: str = "12") -> list[RunPlan]:
    """Return runs of the effects 1, 2, 4, 8, … and the variances 1, 1/2, 1/4, …."""
    names = [f"sub-01_ses-{s}_task-x_run-{r}{SPACE}" for s in sessions for r in runs]
    return [
        make_run_maps(folder, name, effect=2.0**i, variance=0.5**i, dof=30.0 + 10 * i)
        for i, name in enumerate(names)
    ]


def joined(runs: Sequence[RunPlan], out: Path, *steps: Step) -> Plan:
    """Join all that steps ask for, and return the plan."""
    collapsed = collapse_lone_runs(runs, SETTINGS, (), steps)
    groups, problems, _ = group_runs(collapsed, (), SETTINGS, steps)
    assert problems == ()
    plan = Plan(participant="01", settings=SETTINGS, runs=collapsed, groups=groups, steps=steps)
    for group in plan.written_groups:
        maps = {
            key: file
            for result in plan.inputs(group)
            for key, file in published_maps(result, out).items()
        }
        for item in group.estimable:
            join_runs(plan, group, item.contrast.label, maps, out, n_threads=1)
        if group.estimable:
            join_masks(plan, group, out)
    return plan


def value(out: Path, group: GroupPlan, label: str, stat: str) -> float:
    """Return the one value that a map has inside its mask."""
    data = nb.load(out / paths.statmap(group.entities, label, stat)).get_fdata()
    assert np.isnan(data[0, 0, 0]) or data[0, 0, 0] == 0
    inside = np.delete(data.ravel(), 0)
    assert (inside == inside[0]).all()
    return float(inside[0])


SESSION = Step(name="session", level="session")


def over_sessions(*contrasts: StepContrast, source: str | None = "session") -> Step:
    return Step(
        name="subject", level="subject", source=source, over=("run", "ses"), contrasts=contrasts
    )


def test_one_mean_of_weight_1_is_the_plain_combination_to_the_last_bit(tmp_path: Path) -> None:
    runs = runs_of(tmp_path / "maps")
    for name, step in (
        ("a", replace(SESSION, contrasts=None)),
        ("b", replace(SESSION, contrasts=(FACE,))),
        ("c", replace(SESSION, contrasts=(replace(contrast((1.0, {"ses": "a"})), label="face"),))),
    ):
        joined(runs, tmp_path / name, step)
    files = sorted((tmp_path / "a").rglob("*ses-a*.nii.gz"))
    assert len(files) == 7 + 1 + 4 + 2 + 1
    for other in "bc":
        for file in files:
            same = tmp_path / other / file.relative_to(tmp_path / "a")
            assert same.read_bytes() == file.read_bytes(), same.name


@pytest.mark.parametrize("weight", [-1.0, 3.0, 0.1])
def test_a_weight_multiplies_the_effect_and_its_square_the_variance(
    tmp_path: Path, weight: float
) -> None:
    plan = joined(
        runs_of(tmp_path / "maps"),
        tmp_path / "out",
        replace(SESSION, contrasts=(FACE, contrast((weight, {})))),
    )
    group = plan.groups[1]

    def ratio(stat: str) -> float:
        made, plain = (value(tmp_path / "out", group, label, stat) for label in ("made", "face"))
        return made / plain

    sign = np.sign(weight)
    for stat, factor in {
        "effect": weight,
        "variance": weight**2,
        "tau2": weight**2,
        **dict.fromkeys(("dof", "q", "isq", "nruns", "zchangerun"), 1.0),
        **dict.fromkeys(("t", "z", "zchange"), sign),
    }.items():
        assert ratio(stat) == pytest.approx(factor, rel=2 * FLOAT32), stat
    rows = read_influence(tmp_path / "out" / paths.influence_tables(group)["made"])
    assert [row.peak for row in rows] == [{1: "positive", -1: "negative"}[sign]] * 2
    assert rows[0].effect == pytest.approx(weight * 4.0, rel=FLOAT32)
    assert rows[0].z_all == pytest.approx(value(tmp_path / "out", group, "made", "z"), rel=1e-5)


@pytest.mark.parametrize("source", ["session", None])
def test_a_weighted_sum_of_means_equals_the_closed_form(
    tmp_path: Path, source: str | None
) -> None:
    made = contrast((2.0, {"ses": "a"}), (-0.5, {"ses": "b"}))
    steps = [replace(one, combination="unweighted") for one in (SESSION, over_sessions(made))]
    plan = joined(
        runs_of(tmp_path / "maps"),
        tmp_path / "out",
        *(steps if source else [replace(steps[1], source=None)]),
    )
    group = plan.groups[-1]
    # Means 1.5 and 6 of the variances (1 + 1/2) / 4 and (1/4 + 1/8) / 4.
    assert value(tmp_path / "out", group, "made", "effect") == 2 * 1.5 - 0.5 * 6
    first, second = 4 * 1.5 / 4, 0.25 * 0.375 / 4
    found = value(tmp_path / "out", group, "made", "variance")
    assert found == pytest.approx(first + second, rel=FLOAT32)
    dofs = (1.5**2 / (1 / 30 + 0.25 / 40), 0.375**2 / (1 / 16 / 50 + 1 / 64 / 60))
    wanted = (first + second) ** 2 / (first**2 / dofs[0] + second**2 / dofs[1])
    assert value(tmp_path / "out", group, "made", "dof") == pytest.approx(wanted, rel=2e-6)
    assert value(tmp_path / "out", group, "made", "nruns") == (2 if source else 4)


def test_a_sum_has_a_value_where_every_mean_has_one(tmp_path: Path) -> None:
    runs = runs_of(tmp_path / "maps")
    effect = runs[0].source.maps["face"]["effect"]
    for run, places in ((runs[0], [1, 2]), (runs[1], [2])):
        effect = run.source.maps["face"]["effect"]
        image = nb.load(effect)
        data = image.get_fdata()
        data[places] = np.nan
        write_map(effect, data, image.affine)
    made = contrast((1.0, {"ses": "a"}), (-1.0, {"ses": "b"}))
    plan = joined(runs, tmp_path / "out", over_sessions(made, source=None))
    group = plan.groups[-1]
    stem = tmp_path / "out"
    counts = nb.load(stem / paths.statmap(group.entities, "made", "nruns")).get_fdata()
    assert [counts[x, 1, 1] for x in range(4)] == [4, 3, 0, 4]
    z = nb.load(stem / paths.statmap(group.entities, "made", "z")).get_fdata()
    np.testing.assert_array_equal(np.isfinite(z), counts > 0)
    mask = nb.load(stem / paths.mask(group.entities)).get_fdata()
    np.testing.assert_array_equal(mask > 0, counts > 0)


def test_uris_are_of_the_sessions_maps_or_of_the_maps_made_beforehand(tmp_path: Path) -> None:
    plan = joined(runs_of(tmp_path / "maps"), tmp_path / "out", SESSION, over_sessions(FACE))
    out = tmp_path / "out"
    inner, *_, outer = plan.groups
    assert all(uri.startswith("bids:runmaps:") for uri in group_inputs(plan, inner, out))
    inputs = group_inputs(plan, outer, out)
    assert len(inputs) == 2 * 3
    assert set(map(str.lower, inputs)) == {
        f"bids::{file.relative_to(out)}".lower() for file in inputs.values()
    }
    facts = json.loads(
        (out / paths.sidecar(paths.statmap(outer.entities, "face", "z"))).read_text()
    )
    assert facts["Sources"] == sorted(inputs)
    (first, *_) = published_maps(inner, out).values()
    assert map_uri(inner, first, out) in inputs


def test_an_f_contrast_of_sessions_is_joined_from_their_maps(tmp_path: Path) -> None:
    runs = []
    for number, session in enumerate("ab"):
        run = make_run_maps(
            tmp_path / "maps",
            f"sub-01_ses-{session}_task-x_run-1{SPACE}",
            effect=1.0,
            variance=1.0,
            dof=40.0,
        )
        maps = {}
        for stat, values in (("effect", [1.0 + number, 2.0]), ("covariance", [1.0, 0.0, 1.0])):
            maps[stat] = tmp_path / f"{session}_{stat}.nii.gz"
            write_map(maps[stat], np.broadcast_to(values, (6, 7, 5, len(values))))
        source = replace(
            run.source,
            maps={"any": maps},
            names={"any": "any"},
            dof={"any": 40.0},
            rows={"any": 2},
            uris={path: f"bids:runmaps:{path.name}" for path in maps.values()},
        )
        item = RunContrast(contrast=ANY, rows=((), ()))
        runs.append(replace(run, source=source, contrasts=(item,)))
    second = Step(
        name="subject", level="subject", source="session", over=("ses",), combination="unweighted"
    )
    plan = joined(runs, tmp_path / "out", SESSION, second)
    group = plan.groups[-1]
    assert plan.n_rows(group.contrasts[0]) == 2
    effect = nb.load(tmp_path / "out" / paths.statmap(group.entities, "any", "effect"))
    np.testing.assert_array_equal(effect.get_fdata()[3, 3, 3], [1.5, 2.0])
