"""Joining runs from the files of their maps: the same results for any slabs, in bounded memory."""

from __future__ import annotations

import json
import resource
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pytest

from bids_fx import joining
from bids_fx.dataset import estimates
from bids_fx.dataset.slabs import Slab, SlabReader
from bids_fx.derivatives import paths
from bids_fx.derivatives.influence import read_influence
from bids_fx.derivatives.results import published_maps
from bids_fx.derivatives.write import sha256
from bids_fx.errors import BIDSFXError
from bids_fx.glm.combined import combined_f_maps, combined_maps
from bids_fx.inputs import RunMaps
from bids_fx.records import Plan, RunContrast, RunPlan
from tests.small_plans import (
    AFFINE,
    ANY,
    FACE,
    FACE_HOUSE,
    GRID,
    SHAPE,
    entities,
    make_plan,
    write_map,
)

FloatArray = npt.NDArray[np.float64]
Stacks = dict[str, dict[str, FloatArray]]

N_VOXELS = GRID.n_voxels
#: float32 files of results that are computed in float64.
FLOAT32 = 1e-6


def make_stacks(rng: np.random.Generator, n_runs: int) -> Stacks:
    """Return the maps of runs by contrast and stat, shape (n_runs, *SHAPE[, n_volumes]).

    No run covers the first plane, and each lacks some voxels.
    """
    lacks = rng.random((n_runs, *SHAPE)) < 0.3
    lacks[:, :, :, 0] = True
    dof = rng.uniform(20, 60, (n_runs, *SHAPE))
    dof[0, 2, 2, 2] = 5  # too few for weights
    variance = rng.uniform(0.5, 2, (n_runs, *SHAPE))
    covariance = np.array([1.0, -0.4, 1.5]) * variance[..., np.newaxis]
    stacks = {
        "face": {
            "effect": rng.normal(1, 1, (n_runs, *SHAPE)),
            "variance": variance,
            "dof": dof,
        },
        "any": {
            "effect": rng.normal(1, 1, (n_runs, *SHAPE, 2)),
            "covariance": covariance,
            "dof": dof.copy(),
        },
    }
    for stats in stacks.values():
        for stack in stats.values():
            stack[lacks] = np.nan
    return {
        label: {stat: np.float32(stack).astype(np.float64) for stat, stack in stats.items()}
        for label, stats in stacks.items()
    }


def plan_of(folder: Path, stacks: Stacks, *, ending: str = "nii.gz") -> Plan:
    """Write maps of runs and plan their combination."""
    contrasts = {"face": FACE, "any": ANY, "faceGthouse": FACE_HOUSE}
    n_runs = len(next(iter(stacks.values()))["effect"])
    runs = []
    for number in range(n_runs):
        name = f"sub-01_task-x_run-{number + 1}"
        maps = {
            label: {
                stat: folder / f"{name}_contrast-{label}_stat-{stat}_statmap.{ending}"
                for stat in stats
            }
            for label, stats in stacks.items()
        }
        for label, stats in stacks.items():
            for stat, stack in stats.items():
                write_map(maps[label][stat], stack[number])
        files = [path for stats in maps.values() for path in stats.values()]
        source = RunMaps(
            entities=entities(name),
            grid=GRID,
            maps=maps,
            names={label: label for label in maps},
            dof={label: 30.0 + number for label, stats in maps.items() if "dof" not in stats},
            uris={path: f"bids:runmaps:{path.name}" for path in files},
        )
        runs.append(
            RunPlan(
                key=f"task-x_run-{number + 1}",
                entities=source.entities,
                source=source,
                contrasts=tuple(
                    RunContrast(contrast=contrasts[label], rows=((), ()) if label == "any" else ())
                    for label in maps
                ),
            )
        )
    return make_plan(runs)


def join(plan: Plan, out_dir: Path, *, n_threads: int = 1) -> dict[str, bytes]:
    """Join the runs of a plan by each contrast and return all files by name."""
    maps = {key: path for run in plan.runs for key, path in published_maps(run, out_dir).items()}
    group = plan.groups[0]
    for item in group.estimable:
        joining.join_runs(plan, group, item.contrast.label, maps, out_dir, n_threads=n_threads)
    joining.join_masks(plan, group, out_dir)
    return {path.name: path.read_bytes() for path in out_dir.rglob("*") if path.is_file()}


def read(plan: Plan, out_dir: Path, label: str, stat: str) -> FloatArray:
    path = out_dir / paths.statmap(plan.groups[0].entities, label, stat)
    return np.asarray(nb.load(path).get_fdata())


def flat(stack: FloatArray) -> FloatArray:
    """Bring a stack of maps to (n_runs, n_voxels) or (n_runs, n_volumes, n_voxels)."""
    voxels = stack.reshape(len(stack), N_VOXELS, -1)
    return np.moveaxis(voxels, 1, 2) if stack.ndim > 4 else voxels[..., 0]


@pytest.fixture
def nine(tmp_path: Path, rng: np.random.Generator) -> Plan:
    """Return the plan of nine runs: numpy sums eight numbers and more in pairs."""
    return plan_of(tmp_path / "maps", make_stacks(rng, 9))


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_every_map_is_what_the_core_gives_for_all_runs_at_once(
    tmp_path: Path, rng: np.random.Generator, ending: str
) -> None:
    stacks = make_stacks(rng, 3)
    plan = plan_of(tmp_path / "maps", stacks, ending=ending)
    join(plan, tmp_path / "out")
    for label, core in (("face", combined_maps), ("any", combined_f_maps)):
        expected = core(*map(flat, stacks[label].values()), combination="weighted")
        item = next(i for i in plan.groups[0].estimable if i.contrast.label == label)
        for stat in paths.combined_stats(item):
            written = read(plan, tmp_path / "out", label, stat)
            written = written.reshape(N_VOXELS, -1).T.reshape(expected[stat].shape)
            np.testing.assert_allclose(
                written, expected[stat], rtol=FLOAT32, err_msg=f"{label} {stat}"
            )


@pytest.mark.parametrize("slab", [1, 9 * 6 * 2, 9 * 6 * 61])
def test_no_byte_depends_on_the_size_of_slabs(
    tmp_path: Path, nine: Plan, slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = join(nine, tmp_path / "a")
    monkeypatch.setattr(estimates, "SLAB", slab)
    assert join(nine, tmp_path / "b") == expected


@pytest.mark.parametrize("n_threads", [2, 5])
def test_no_byte_depends_on_the_number_of_threads(
    tmp_path: Path, nine: Plan, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "SLAB", 1000)
    expected = join(nine, tmp_path / "a")
    assert join(nine, tmp_path / "b", n_threads=n_threads) == expected


@pytest.mark.parametrize("n_runs", [2, 12])
def test_what_is_read_at_once_does_not_grow_with_the_runs(
    tmp_path: Path, rng: np.random.Generator, n_runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path / "maps", make_stacks(rng, n_runs))
    monkeypatch.setattr(estimates, "SLAB", 1000)
    held: list[weakref.ref[npt.NDArray[np.generic]]] = []
    most = 0
    read_slab = SlabReader.read

    def spy(reader: SlabReader, n_voxels: int) -> Slab:
        nonlocal most
        slab = read_slab(reader, n_voxels)
        held.extend(map(weakref.ref, slab.volumes))
        alive = [volume for one in held if (volume := one()) is not None]
        most = max(most, sum(volume.size for volume in alive))
        return slab

    monkeypatch.setattr(SlabReader, "read", spy)
    join(plan, tmp_path / "out")
    # Of every file all is read once.
    assert len(held) > n_runs * (3 + 6)
    assert 0 < most <= 1000


def test_the_mask_holds_the_voxels_of_any_contrast_and_names_what_all_were_made_from(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    stacks = make_stacks(rng, 2)
    for stack in stacks["face"].values():
        stack[:, 1, 1, 2] = np.nan
    for stack in stacks["any"].values():
        stack[:, 4, 5, 3] = np.nan
    plan = plan_of(tmp_path / "maps", stacks)
    files = join(plan, tmp_path / "out")
    counts = {label: read(plan, tmp_path / "out", label, "nruns") for label in stacks}
    path = tmp_path / "out" / paths.mask(plan.groups[0].entities)
    mask = np.asarray(nb.load(path).dataobj) == 1
    np.testing.assert_array_equal(mask, (counts["face"] > 0) | (counts["any"] > 0))
    assert all((mask != (values > 0)).any() for values in counts.values())
    recorded = json.loads(files[path.name.replace("nii.gz", "json")])["InputHashes"]
    given = [run.source for run in plan.runs]
    assert recorded == {
        uri: sha256(file)
        for source in given
        if isinstance(source, RunMaps)
        for file, uri in source.uris.items()
    }


def test_a_mask_is_not_joined_where_a_contrast_is_gone(tmp_path: Path, nine: Plan) -> None:
    join(nine, tmp_path / "out")
    counts = tmp_path / "out" / paths.statmap(nine.groups[0].entities, "any", "nruns")
    counts.unlink()
    with pytest.raises(BIDSFXError, match=rf"{counts.name}: no such file"):
        joining.join_masks(nine, nine.groups[0], tmp_path / "out")


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Allow this process eight files more than it has open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("few_descriptors")
def test_many_runs_need_few_open_files(tmp_path: Path, rng: np.random.Generator) -> None:
    plan = plan_of(tmp_path / "maps", make_stacks(rng, 30))
    assert join(plan, tmp_path / "out")


def planted(rng: np.random.Generator, places: dict[tuple[int, int, int], float]) -> Stacks:
    """Return two equal runs of noise below |t| = 1 but for some effects at some places."""
    effect = rng.uniform(-0.5, 0.5, SHAPE)
    for place, value in places.items():
        effect[place] = value
    ones = np.ones((2, *SHAPE))
    return {"face": {"effect": np.stack([effect] * 2), "variance": ones, "dof": 40 * ones}}


@pytest.mark.parametrize("slab", [1, 6 * 30, 2**20])
def test_of_equal_peaks_the_first_in_c_order_is_told_whatever_the_slabs(
    tmp_path: Path, rng: np.random.Generator, slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "SLAB", slab)
    # The file's order is that of the last axis, C order that of the first.
    peaks = {(4, 1, 0): 9.0, (1, 2, 4): 9.0, (1, 3, 2): 9.0, (5, 0, 1): -8.0, (0, 6, 4): -8.0}
    plan = plan_of(tmp_path / "maps", planted(rng, peaks))
    join(plan, tmp_path / "out")
    table = tmp_path / "out" / paths.influence_tables(plan.groups[0])["face"]
    rows = read_influence(table)
    assert [row.peak for row in rows] == ["positive"] * 2 + ["negative"] * 2
    for row, place in zip(rows[::2], [(1, 2, 4), (0, 6, 4)], strict=True):
        assert (row.x, row.y, row.z) == tuple(AFFINE[:3] @ [*place, 1])
        assert row.effect == peaks[place]


def test_a_voxel_is_covered_where_any_run_has_an_estimate_and_the_mask_where_any_contrast(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    stacks = make_stacks(rng, 3)
    both = {
        "face": stacks["face"],
        "faceGthouse": {k: v.copy() for k, v in stacks["face"].items()},
    }
    both["face"]["effect"][:, :2] = np.nan
    both["faceGthouse"]["effect"][:, 4:] = np.nan
    both["faceGthouse"]["variance"][:, 3] = 0
    plan = plan_of(tmp_path / "maps", both)
    join(plan, tmp_path / "out")
    union = np.zeros(SHAPE, dtype=bool)
    for label, stats in both.items():
        enters = np.isfinite(stats["effect"]) & (stats["variance"] > 0)
        np.testing.assert_array_equal(
            read(plan, tmp_path / "out", label, "nruns"), enters.sum(axis=0)
        )
        finite = np.isfinite(read(plan, tmp_path / "out", label, "z"))
        np.testing.assert_array_equal(finite, enters.any(axis=0))
        union |= enters.any(axis=0)
    assert not union.all()
    mask = nb.load(tmp_path / "out" / paths.mask(plan.groups[0].entities))
    np.testing.assert_array_equal(mask.get_fdata(), union)


def test_sidecars_have_the_hash_of_each_map(tmp_path: Path, rng: np.random.Generator) -> None:
    plan = plan_of(tmp_path / "maps", make_stacks(rng, 2))
    join(plan, tmp_path / "out")
    hashes = {f"bids:runmaps:{path.name}": sha256(path) for path in (tmp_path / "maps").iterdir()}
    group = plan.groups[0]
    images = {label: paths.statmap(group.entities, label, "z") for label in ("face", "any")}
    for label, image in (*images.items(), ("", paths.mask(group.entities))):
        facts = json.loads((tmp_path / "out" / paths.sidecar(image)).read_text())
        wanted = {uri: one for uri, one in hashes.items() if f"_contrast-{label}" in uri}
        assert facts["InputHashes"] == wanted


def test_degrees_of_freedom_may_be_one_number_for_a_run(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    stacks = make_stacks(rng, 3)
    for stats in stacks.values():
        constant = np.array([30.0, 31.0, 32.0]).reshape(3, 1, 1, 1)
        stats["dof"] = np.broadcast_to(constant, (3, *SHAPE))
    plan = plan_of(tmp_path / "a", stacks)
    join(plan, tmp_path / "b")
    join(
        plan_of(
            tmp_path / "c",
            {k: {s: v for s, v in d.items() if s != "dof"} for k, d in stacks.items()},
        ),
        tmp_path / "d",
    )
    for path in (tmp_path / "b").rglob("*.nii.gz"):
        assert (
            tmp_path / "d" / path.relative_to(tmp_path / "b")
        ).read_bytes() == path.read_bytes()


def test_runs_without_any_number_make_empty_maps(tmp_path: Path, rng: np.random.Generator) -> None:
    stacks = make_stacks(rng, 2)
    for stats in stacks.values():
        stats["effect"][...] = np.nan
    plan = plan_of(tmp_path / "maps", stacks)
    join(plan, tmp_path / "out")
    for label in stacks:
        assert np.isnan(read(plan, tmp_path / "out", label, "z")).all()
        assert not read(plan, tmp_path / "out", label, "nruns").any()
        table = paths.influence_tables(plan.groups[0])[label]
        assert read_influence(tmp_path / "out" / table) == []


def damaged(plan: Plan, number: int, label: str, stat: str) -> Path:
    source = plan.runs[number].source
    assert isinstance(source, RunMaps)
    return source.maps[label][stat]


@pytest.mark.parametrize(("label", "stat"), [("face", "variance"), ("any", "covariance")])
def test_a_map_that_is_truncated_is_named(
    tmp_path: Path, nine: Plan, label: str, stat: str
) -> None:
    path = damaged(nine, 4, label, stat)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BIDSFXError, match=rf"{path.name}: truncated"):
        join(nine, tmp_path / "out", n_threads=2)


def test_a_map_on_another_grid_is_named(tmp_path: Path, nine: Plan) -> None:
    path = damaged(nine, 4, "face", "dof")
    write_map(path, np.ones(SHAPE), 2 * AFFINE)
    with pytest.raises(BIDSFXError, match=rf"{path.name}: its affine differs from that of"):
        join(nine, tmp_path / "out")


@pytest.mark.parametrize(
    ("label", "stat", "n_volumes"),
    [("face", "effect", 2), ("any", "effect", 3), ("any", "covariance", 1), ("any", "dof", 2)],
)
def test_a_map_of_another_number_of_volumes_is_named(
    tmp_path: Path, nine: Plan, label: str, stat: str, n_volumes: int
) -> None:
    path = damaged(nine, 4, label, stat)
    write_map(path, np.ones((*SHAPE, n_volumes)))
    with pytest.raises(BIDSFXError, match=rf"{path.name}: an image of shape"):
        join(nine, tmp_path / "out")


def test_a_map_that_is_gone_is_named(tmp_path: Path, nine: Plan) -> None:
    path = damaged(nine, 4, "any", "effect")
    path.unlink()
    with pytest.raises(BIDSFXError, match=rf"{path.name}: no such file"):
        join(nine, tmp_path / "out")


def test_maps_of_an_earlier_test_under_a_contrasts_name_are_removed(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    plan = plan_of(tmp_path / "maps", make_stacks(rng, 2))
    group = plan.groups[0]
    stale = tmp_path / "out" / paths.statmap(group.entities, "any", "variance")
    write_map(stale, np.ones(SHAPE))
    join(replace(plan, groups=(group,)), tmp_path / "out")
    assert not stale.exists()


def test_they_are_removed_also_where_the_contrast_cannot_be_combined(
    tmp_path: Path, nine: Plan
) -> None:
    stale = tmp_path / "out" / paths.statmap(nine.groups[0].entities, "any", "variance")
    write_map(stale, np.ones(SHAPE))
    damaged(nine, 4, "any", "effect").unlink()
    with pytest.raises(BIDSFXError, match="no such file"):
        join(nine, tmp_path / "out")
    assert not stale.exists()
