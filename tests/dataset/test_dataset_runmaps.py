"""Run-level maps made beforehand, as different programs leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_fx.dataset.index import list_participants
from bids_fx.entities import parse_name
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.inputs import Found, RunMaps
from bids_fx.settings import AnalysisSettings
from tests.dataset.trees import SHAPE, Tree, names, told, write_image, write_json, write_text

STATS = ("effect", "variance")
F_STATS = ("effect", "covariance")


class Maps:
    """A folder of run maps that is filled map by map."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.root = tree.root / "maps"
        self.root.mkdir()

    def add(
        self,
        stem: str,
        label: str = "face",
        *,
        stats: tuple[str, ...] = STATS,
        folder: str | None = None,
        volumes: dict[str, int] | None = None,
        **sidecar: object,
    ) -> Path:
        """Write a contrast's maps, 4D where `volumes` says so, and sidecars; return the folder."""
        if folder is None:
            folder = f"sub-{parse_name(stem + '_x').entities['sub']}/func"
        for stat in stats:
            path = self.root / folder / f"{stem}_contrast-{label}_stat-{stat}_statmap.nii.gz"
            shape = SHAPE if volumes is None or stat not in volumes else (*SHAPE, volumes[stat])
            write_image(path, np.ones(shape, dtype=np.float32))
            if sidecar:
                write_json(path.with_name(path.name.replace(".nii.gz", ".json")), **sidecar)
        return self.root / folder

    def add_f(self, stem: str, label: str = "any", *, rows: int = 2, **choices: object) -> Path:
        """Write the maps of an F test as this program does."""
        given = {
            "stats": F_STATS,
            "volumes": {"effect": rows, "covariance": rows * (rows + 1) // 2},
            "ContrastTest": "F",
            "NumeratorDegreesOfFreedom": rows,
            "DegreesOfFreedom": 40,
        }
        return self.add(stem, label, **(given | choices))

    def find(self, *, run_dof: float | None = None, **choices: object) -> Found:
        analysis = AnalysisSettings(run_dof=run_dof)
        return self.tree.find(analysis=analysis, run_maps_dir=self.root, **choices)

    def one(self, *, run_dof: float | None = None) -> RunMaps:
        """Return the one run that is found without a fault."""
        found = self.find(run_dof=run_dof)
        assert found.problems == ()
        (run,) = found.runs
        assert isinstance(run, RunMaps)
        return run


@pytest.fixture
def maps(tree: Tree) -> Maps:
    return Maps(tree)


@pytest.mark.parametrize(
    "folder", ["sub-01/func", "sub-01/ses-1/func", "node-runLevel/sub-01", "sub-01", "."]
)
def test_maps_are_found_wherever_a_program_puts_them(maps: Maps, folder: str) -> None:
    maps.add("sub-01_task-a_run-1", folder=folder, DegreesOfFreedom=40, ContrastName="face > 0")
    maps.add("sub-01_task-a_run-2", folder=folder, DegreesOfFreedom=41.5)
    maps.add("sub-011_task-a_run-1", folder=folder.replace("sub-01", "sub-011"))
    found = maps.find()
    assert found.problems == ()
    assert names(found) == ["sub-01_task-a_run-1", "sub-01_task-a_run-2"]
    first, second = found.runs
    assert isinstance(first, RunMaps)
    assert isinstance(second, RunMaps)
    stem = "sub-01_task-a_run-1_contrast-face_stat"
    assert {s: path.name for s, path in first.maps["face"].items()} == {
        stat: f"{stem}-{stat}_statmap.nii.gz" for stat in STATS
    }
    assert (first.names, second.names) == ({"face": "face > 0"}, {"face": "face"})
    assert (first.dof, second.dof) == ({"face": 40.0}, {"face": 41.5})
    assert first.grid.shape == SHAPE
    prefix = "" if folder == "." else f"{folder}/"
    effect = first.maps["face"]["effect"]
    assert first.uris[effect] == f"bids:runmaps:{prefix}{stem}-effect_statmap.nii.gz"


def test_run_that_is_asked_for_and_has_no_maps_is_absent(maps: Maps) -> None:
    maps.add("sub-01_task-a_run-1", DegreesOfFreedom=40)
    found = maps.find(runs=("1", "7"))
    assert names(found) == ["sub-01_task-a_run-1"]
    assert [str(one) for one in found.absent] == [
        "sub-01_run-7: left out, since there is no run 7, but 1."
    ]


def test_participants_are_those_who_have_maps(maps: Maps) -> None:
    maps.add("sub-02_task-a_run-1")
    maps.add("sub-10_task-a_run-1", folder=".")
    maps.add("sub-11_task-a_run-1", folder=".bids_fx_work/sub-11")
    maps.tree.run("sub-07_task-a")
    data = maps.tree.data(run_maps_dir=maps.root, derivatives=())
    assert list_participants(data) == ("02", "10")
    with pytest.raises(BIDSFXError, match="no such participant"):
        list_participants(maps.tree.data(run_maps_dir=maps.root, participants=("07",)))


def test_folder_without_maps_has_no_participant(maps: Maps) -> None:
    with pytest.raises(BIDSFXError, match="no participant in it") as raised:
        list_participants(maps.tree.data(run_maps_dir=maps.root))
    assert raised.value.exit_code == ExitCode.NOTHING_SELECTED


def test_combined_maps_and_other_statistics_are_passed_over(maps: Maps) -> None:
    for session in (1, 2):
        stem = f"sub-01_ses-{session}_task-a"
        folder = f"sub-01/ses-{session}/func"
        maps.add(f"{stem}_run-1", folder=folder, stats=(*STATS, "t", "z"), DegreesOfFreedom=9)
        maps.add(stem, folder=folder, stats=(*STATS, "q", "tau2"), DegreesOfFreedom=9)
    maps.add("sub-01_task-a", DegreesOfFreedom=9)
    found = maps.find()
    assert names(found) == [f"sub-01_ses-{session}_task-a_run-1" for session in (1, 2)]
    assert set(found.runs[0].maps["face"]) == set(STATS)
    assert found.problems == ()
    assert told(found).count("of no single run by name") == 3


def test_sessions_without_numbered_runs_are_runs(maps: Maps) -> None:
    for session in (1, 2):
        maps.add(f"sub-01_ses-{session}_task-a", DegreesOfFreedom=9)
    maps.add("sub-01_task-a", DegreesOfFreedom=9)
    assert names(maps.find()) == ["sub-01_ses-1_task-a", "sub-01_ses-2_task-a"]


def test_names_without_run_and_session_are_a_problem(maps: Maps) -> None:
    maps.add("sub-01_task-a", DegreesOfFreedom=9)
    (problem,) = maps.find().problems
    assert "no name has run- or ses-" in problem.found
    assert problem.code == ExitCode.MISSING_INPUT


def test_filters_and_spaces_apply_to_maps_too(maps: Maps) -> None:
    for run in (1, 2):
        for space in ("", "_space-T1w"):
            maps.add(f"sub-01_task-a_run-{run}{space}", DegreesOfFreedom=9)
    found = maps.find(runs=("2",), spaces=("T1w",))
    assert names(found) == ["sub-01_task-a_run-2_space-T1w"]
    assert [str(entities) for entities in found.left_out] == ["sub-01_task-a_run-1_space-T1w"]
    (problem,) = maps.find().problems
    assert problem.found == "several spaces are there"


# ------------------------------------------------------------------------- degrees of freedom

# of rank 3: the second column is the first again, and the third only has other units
DESIGN = "face\tface2\ttiny\tconstant\n" + "".join(
    f"{i}\t{2 * i}\t{1e-20 * (i % 3)!r}\t1\n" for i in range(30)
)


def test_map_of_degrees_of_freedom_comes_first(maps: Maps) -> None:
    maps.add("sub-01_task-a_run-1", stats=(*STATS, "dof"), DegreesOfFreedom=40)
    run = maps.one()
    assert run.dof == {}
    assert run.maps["face"]["dof"].name.endswith("_stat-dof_statmap.nii.gz")


def test_sidecar_comes_before_the_design(maps: Maps) -> None:
    folder = maps.add("sub-01_task-a_run-1", DegreesOfFreedom=40)
    write_text(folder / "sub-01_task-a_run-1_design.tsv", DESIGN)
    assert maps.one(run_dof=7).dof == {"face": 40.0}


def test_sidecar_of_the_variance_counts_too(maps: Maps) -> None:
    maps.add("sub-01_task-a_run-1", stats=("effect",), ContrastName="face")
    maps.add("sub-01_task-a_run-1", stats=("variance",), DegreesOfFreedom=40)
    assert maps.one().dof == {"face": 40.0}


@pytest.mark.parametrize("stem", ["sub-01_task-a_run-1", "sub-01_task-a_run-1_space-T1w_res-2"])
def test_design_beside_the_maps_gives_rows_minus_rank(maps: Maps, stem: str) -> None:
    folder = maps.add("sub-01_task-a_run-1_space-T1w")
    write_text(folder / f"{stem}_design.tsv", DESIGN)
    write_text(folder / "sub-01_task-a_run-2_design.tsv", DESIGN.replace("\n29\t", "\n30\t"))
    assert maps.one(run_dof=7).dof == {"face": 27.0}


def test_effects_sidecar_comes_before_the_variances(maps: Maps) -> None:
    for stat, dof in (("effect", 40), ("variance", 41)):
        maps.add("sub-01_task-a_run-1", stats=(stat,), DegreesOfFreedom=dof, ContrastName=stat)
    run = maps.one()
    assert (run.dof, run.names) == ({"face": 40.0}, {"face": "effect"})


def test_design_of_no_run_by_name_does_not_count(maps: Maps) -> None:
    folder = maps.add("sub-01_task-a_run-1")
    write_text(folder / "sub-01_task-a_design.tsv", DESIGN)
    assert maps.one(run_dof=7).dof == {"face": 7.0}


def test_stated_degrees_of_freedom_come_last(maps: Maps) -> None:
    folder = maps.add("sub-01_task-a_run-1")
    write_text(folder / "sub-01_task-a_run-2_design.tsv", DESIGN)
    assert maps.one(run_dof=7).dof == {"face": 7.0}


def test_degrees_of_freedom_are_never_invented(maps: Maps) -> None:
    maps.add("sub-01_task-a_run-1")
    found = maps.find()
    (problem,) = found.problems
    assert problem.remedy == "state them with --run-dof"
    assert problem.code == ExitCode.MISSING_INPUT
    assert found.runs == ()


@pytest.mark.parametrize("said", [0, -3, "40", [40], True])
def test_degrees_of_freedom_that_make_no_sense_are_a_problem(maps: Maps, said: object) -> None:
    maps.add("sub-01_task-a_run-1", DegreesOfFreedom=said)
    (problem,) = maps.find(run_dof=7).problems
    assert problem.found == f"{said!r} degrees of freedom"


# ------------------------------------------------------------------------------------ F tests


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_effects_with_their_covariance_are_an_f_test(maps: Maps, rows: int) -> None:
    maps.add_f("sub-01_task-a_run-1", rows=rows, stats=(*F_STATS, "F", "z"), ContrastName="x")
    maps.add("sub-01_task-a_run-1", "face", DegreesOfFreedom=41)
    run = maps.one()
    assert run.rows == {"any": rows}
    assert set(run.maps["any"]) == set(F_STATS)
    assert (run.names, run.dof) == ({"any": "x", "face": "face"}, {"any": 40.0, "face": 41.0})


def test_one_row_may_be_stored_without_a_fourth_dimension(maps: Maps) -> None:
    maps.add("sub-01_task-a_run-1", stats=F_STATS, DegreesOfFreedom=40)
    assert maps.one().rows == {"face": 1}


@pytest.mark.parametrize("stats", [("covariance",), ("effect", "covariance")])
def test_denominator_is_told_by_the_covariances_sidecar_too(
    maps: Maps, stats: tuple[str, ...]
) -> None:
    volumes = {"effect": 2, "covariance": 3}
    maps.add("sub-01_task-a_run-1", stats=("effect",), volumes=volumes)
    maps.add("sub-01_task-a_run-1", stats=stats, volumes=volumes, DegreesOfFreedom=38.5)
    assert maps.one().dof == {"face": 38.5}


def test_map_of_the_denominator_comes_first_for_an_f_test_too(maps: Maps) -> None:
    maps.add_f("sub-01_task-a_run-1", stats=(*F_STATS, "dof"))
    run = maps.one()
    assert (run.dof, run.rows) == ({}, {"any": 2})
    assert set(run.maps["any"]) == {*F_STATS, "dof"}


@pytest.mark.parametrize(("effect", "covariance"), [(2, 2), (2, 6), (3, 3), (1, 3)])
def test_volumes_that_are_of_no_f_test_are_a_problem(
    maps: Maps, effect: int, covariance: int
) -> None:
    volumes = {"effect": effect, "covariance": covariance}
    maps.add_f("sub-01_task-a_run-1", rows=effect, volumes=volumes)
    (problem,) = maps.find().problems
    assert problem.where.endswith("stat-covariance_statmap.nii.gz")
    assert problem.found == f"{covariance} volumes beside {effect} of the effect map"
    assert f"in {effect * (effect + 1) // 2} volumes" in problem.remedy


def test_sidecar_that_contradicts_the_volumes_is_a_problem(maps: Maps) -> None:
    maps.add_f("sub-01_task-a_run-1", NumeratorDegreesOfFreedom=3)
    (problem,) = maps.find().problems
    assert "NumeratorDegreesOfFreedom is 3, but the effect map has 2" in problem.found


def test_residual_dof_never_stand_in_for_those_of_each_voxel(maps: Maps) -> None:
    maps.add(
        "sub-01_task-a_run-1",
        stats=("effect", "variance"),
        DegreesOfFreedom=40,
        DegreesOfFreedomPerVoxel=True,
    )
    (problem,) = maps.find().problems
    assert "no degrees of freedom: no stat-dof map" in problem.found
    assert maps.one(run_dof=7).dof == {"face": 7.0}


def test_dof_map_of_an_f_test_is_one_volume(maps: Maps) -> None:
    volumes = {"effect": 2, "covariance": 3, "dof": 2}
    maps.add_f("sub-01_task-a_run-1", stats=(*F_STATS, "dof"), volumes=volumes)
    (problem,) = maps.find().problems
    assert problem.where.endswith("stat-dof_statmap.nii.gz")
    assert f"an image of shape {(*SHAPE, 2)}" in problem.found


def test_variance_and_covariance_of_one_contrast_are_a_problem(maps: Maps) -> None:
    maps.add_f("sub-01_task-a_run-1", stats=(*F_STATS, "variance"))
    (problem,) = maps.find().problems
    assert problem.found == "both a variance and a covariance map"


def test_covariance_without_effect_is_a_problem(maps: Maps) -> None:
    maps.add_f("sub-01_task-a_run-1", stats=("covariance",))
    (problem,) = maps.find().problems
    assert problem.found == "no effect map, only covariance"
    assert problem.code == ExitCode.MISSING_INPUT


def test_f_tests_without_covariance_are_left_out_with_a_word(maps: Maps) -> None:
    stem = "sub-01_task-a_run-1"
    maps.add(stem, "any", stats=(*STATS, "F"), volumes={"effect": 2}, DegreesOfFreedom=9)
    maps.add(stem, "other", stats=("F", "z"), DegreesOfFreedom=9)
    maps.add(stem, "face", DegreesOfFreedom=9)
    assert set(maps.one().maps) == {"face"}
    warnings = [notice for notice in maps.find().notices if notice.warning]
    assert [notice.text.partition(":")[0] for notice in warnings] == [
        f"{stem}_contrast-any",
        f"{stem}_contrast-other",
    ]
    assert all("no stat-covariance map" in notice.text for notice in warnings)


def test_nothing_but_f_tests_without_covariance_leaves_nothing_to_combine(maps: Maps) -> None:
    maps.add("sub-01_task-a_run-1", stats=("F",), DegreesOfFreedom=9)
    found = maps.find()
    assert found.runs == ()
    (problem,) = found.problems
    assert problem.code == ExitCode.MISSING_INPUT
    assert "this F test is left out" in told(found)


@pytest.mark.parametrize("test", ["an F test of 3 row(s)", "a t contrast"])
def test_one_label_for_different_tests_of_a_task_is_a_problem(maps: Maps, test: str) -> None:
    maps.add_f("sub-01_task-a_run-1")
    if test == "a t contrast":
        maps.add("sub-01_task-a_run-2", "any", DegreesOfFreedom=9)
    else:
        maps.add_f("sub-01_task-a_run-2", rows=3)
    maps.add_f("sub-01_task-b_run-1", rows=4)
    (problem,) = maps.find().problems
    assert problem.where == "sub-01_task-a_run-2_contrast-any"
    assert problem.found == f"{test}, but an F test of 2 row(s) in sub-01_task-a_run-1"
    assert problem.participant == "01"


def test_t_contrast_of_several_volumes_is_told_what_it_lacks(maps: Maps) -> None:
    maps.add("sub-01_task-a_run-1", volumes={"effect": 2}, DegreesOfFreedom=9)
    (problem,) = maps.find().problems
    assert "stat-covariance" in problem.remedy


# --------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(("stat", "absent"), [("effect", "variance"), ("variance", "effect")])
def test_effect_without_variance_and_the_other_way_are_problems(
    maps: Maps, stat: str, absent: str
) -> None:
    maps.add("sub-01_task-a_run-1", stats=(stat,), DegreesOfFreedom=9)
    (problem,) = maps.find().problems
    assert problem.found == f"no {absent} map, only {stat}"
    assert problem.code == ExitCode.MISSING_INPUT


def test_one_map_in_two_folders_is_a_problem(maps: Maps) -> None:
    for node in ("a", "b"):
        maps.add("sub-01_task-a_run-1", folder=f"node-{node}/sub-01", DegreesOfFreedom=9)
    assert [p.found.partition(":")[0] for p in maps.find().problems] == [
        "several effect maps",
        "several variance maps",
    ]


def test_maps_of_one_run_on_different_grids_are_a_problem(maps: Maps) -> None:
    maps.add("sub-01_task-a_run-1", DegreesOfFreedom=9)
    folder = maps.add("sub-01_task-a_run-1", "house", DegreesOfFreedom=9)
    name = "sub-01_task-a_run-1_contrast-house_stat-variance_statmap.nii.gz"
    write_image(folder / name, np.ones(SHAPE, dtype=np.float32), zoom=3.0)
    (problem,) = maps.find().problems
    assert problem.where == str(folder / name)
    assert "its affine differs" in problem.found


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.ones((*SHAPE, 2), dtype=np.float32), "an image of shape"), (None, "not a NIfTI image")],
)
def test_map_that_is_no_volume_is_a_problem(
    maps: Maps, values: np.ndarray | None, message: str
) -> None:
    folder = maps.add("sub-01_task-a_run-1", DegreesOfFreedom=9)
    path = folder / "sub-01_task-a_run-1_contrast-face_stat-effect_statmap.nii.gz"
    if values is None:
        path.write_text("garbage", encoding="utf-8")
    else:
        write_image(path, values)
    (problem,) = maps.find().problems
    assert problem.where == str(path)
    assert message in problem.found
    assert problem.participant == "01"
