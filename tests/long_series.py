"""A dataset with series that are large beside the program, for tests of limits of memory."""

from __future__ import annotations

from bigdata import DataSpec

#: Half of the voxels are in the mask: a series of 190 MB.
LONG = DataSpec(
    name="long",
    shape=(49, 58, 49),
    voxel_mm=(3.96, 3.97, 3.96),
    n_scans=900,
    n_runs=2,
    n_distinct=1,
)
