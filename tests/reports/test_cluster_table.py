"""Clusters: which voxels, which peak, which order."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.derivatives.clusters import (
    CLUSTER_COLUMNS,
    Cluster,
    read_clusters,
    write_clusters,
)
from bids_fx.reports.figures import cluster_table
from tests.small_plans import AFFINE

SHAPE = (8, 9, 10)
MASK = np.ones(SHAPE, dtype=bool)


def test_cluster_has_the_place_value_effect_and_size_of_its_peak() -> None:
    z, effect = np.zeros(SHAPE), np.zeros(SHAPE)
    z[2:4, 3, 4] = 4.0, 5.0
    effect[3, 3, 4] = 0.25
    (cluster,) = cluster_table(z, AFFINE, MASK, 3.0, effect=effect)
    assert cluster == Cluster(
        xyz=(0.0, -1.0, 8.0), peak_z=5.0, effect=0.25, size_mm3=72.0, n_voxels=2
    )


def test_clusters_of_both_signs_come_by_decreasing_absolute_peak() -> None:
    z = np.zeros(SHAPE)
    z[0, 0, 0], z[4, 4, 4], z[7, 8, 9] = 4.0, -6.0, 5.0
    peaks = [cluster.peak_z for cluster in cluster_table(z, AFFINE, MASK, 3.0, effect=z)]
    assert peaks == [-6.0, 5.0, 4.0]


def test_equal_peaks_come_in_the_order_of_their_places() -> None:
    z = np.zeros(SHAPE)
    z[7, 8, 9], z[0, 0, 0], z[4, 4, 4] = 4.0, -4.0, 4.0
    places = [cluster.xyz for cluster in cluster_table(z, AFFINE, MASK, 3.0, effect=z)]
    expected = [(AFFINE @ [*ijk, 1])[:3].tolist() for ijk in ((0, 0, 0), (4, 4, 4), (7, 8, 9))]
    assert [list(place) for place in places] == expected


def test_of_equal_peaks_in_a_cluster_the_first_in_c_order_counts() -> None:
    z = np.zeros(SHAPE, order="F")
    z[2, 5:8, 4] = z[3, 2:6, 4] = 4.0
    (cluster,) = cluster_table(z, np.eye(4), MASK, 3.0, effect=z)
    assert cluster.xyz == (2.0, 5.0, 4.0)
    assert cluster.n_voxels == 7


def test_order_in_which_a_map_is_stored_changes_nothing(rng: np.random.Generator) -> None:
    z = np.round(rng.standard_normal((12, 13, 14)) * 2)
    stored = np.asfortranarray(z)
    mask = np.ones(z.shape, dtype=bool)
    table = cluster_table(z, AFFINE, mask, 3.0, effect=z)
    assert cluster_table(stored, AFFINE, mask, 3.0, effect=stored) == table
    assert len(table) > 20


def test_voxels_that_touch_by_an_edge_alone_are_two_clusters() -> None:
    z = np.zeros(SHAPE)
    z[2, 2, 2] = z[3, 3, 2] = 4.0
    assert len(cluster_table(z, AFFINE, MASK, 3.0, effect=z)) == 2


def test_neighbours_of_opposite_sign_are_two_clusters() -> None:
    z = np.zeros(SHAPE)
    z[2, 2, 2], z[3, 2, 2] = 4.0, -4.0
    assert len(cluster_table(z, AFFINE, MASK, 3.0, effect=z)) == 2


def test_voxel_at_the_threshold_or_outside_the_mask_or_without_result_does_not_count() -> None:
    z = np.zeros(SHAPE)
    z[1, 1, 1], z[3, 3, 3], z[5, 5, 5] = 3.0, 9.0, np.nan
    mask = MASK.copy()
    mask[3, 3, 3] = False
    assert cluster_table(z, AFFINE, mask, 3.0, effect=z) == []


@pytest.mark.oracle
def test_clusters_are_those_of_nilearn(rng: np.random.Generator) -> None:
    from nilearn.reporting import get_clusters_table

    z = rng.standard_normal((20, 22, 18))
    z[5:9, 5:9, 5:9] += 3.0
    z[12:16, 12:15, 10:14] -= 3.0
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    mask = np.ones(z.shape, dtype=bool)
    ours = cluster_table(z, affine, mask, 2.5, effect=z)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces changes to its own arguments
        table = get_clusters_table(nb.Nifti1Image(z, affine), 2.5, two_sided=True)
    main = table[table["Cluster Size (mm3)"] != ""]
    theirs = {
        (row["X"], row["Y"], row["Z"], row["Peak Stat"], row["Cluster Size (mm3)"])
        for _, row in main.iterrows()
    }
    assert {(*c.xyz, c.peak_z, c.size_mm3) for c in ours} == theirs
    assert len(ours) > 10


def test_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    cluster = Cluster(
        xyz=(-3.0, 4.5, 12.25), peak_z=-4.125, effect=0.5, size_mm3=288.0, n_voxels=8
    )
    path = write_clusters(tmp_path / "a_clusters.tsv", [("combined", cluster)])
    assert read_clusters(path) == [("combined", cluster)]
    assert path.read_text().splitlines()[0].split("\t") == list(CLUSTER_COLUMNS)


def test_effect_that_is_not_known_is_written_as_na(tmp_path: Path) -> None:
    cluster = Cluster(
        xyz=(0.0, 0.0, 0.0), peak_z=4.0, effect=float("nan"), size_mm3=27.0, n_voxels=1
    )
    path = write_clusters(tmp_path / "a_clusters.tsv", [("combined", cluster)])
    assert "\tn/a\t" in path.read_text()
    assert np.isnan(read_clusters(path)[0][1].effect)


def test_table_without_clusters_has_its_head(tmp_path: Path) -> None:
    path = write_clusters(tmp_path / "a_clusters.tsv", [])
    assert path.read_text() == "\t".join(CLUSTER_COLUMNS) + "\n"
    assert read_clusters(path) == []


def test_without_one_effect_a_voxel_clusters_have_none() -> None:
    z = np.zeros(SHAPE)
    z[1, 2, 3] = 5.0
    (found,) = cluster_table(z, np.eye(4), z != 0, 3.0, effect=None)
    assert found.peak_z == 5.0
    assert np.isnan(found.effect)
