"""How much memory each step takes, and how the plans are brought within what may be used.

All numbers are resident memory in GB, measured and rounded up; where pages are shared between
processes they count in each of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bids_fx.dataset.estimates import SLAB
from bids_fx.errors import ExitCode, Problem
from bids_fx.glm.carpet import CARPET_VOXELS
from bids_fx.glm.combined import BLOCK
from bids_fx.glm.noise import SAMPLED_VOXELS, WORKED_NUMBERS
from bids_fx.glm.series import BLOCK_VOXELS
from bids_fx.inputs import BoldRun
from bids_fx.records import GroupPlan, Plan, RunPlan
from bids_fx.reports.figures.statmaps import BAND_ROWS
from bids_fx.threads import held_at_once

#: The main process, which also does the work if there is no other; the one from which those of
#: the nodes are forked; and a node's before it reads anything.
MAIN_GB, MAIN_ALONE_GB, SERVER_GB, NODE_GB = 0.15, 0.207, 0.135, 0.13
#: A run's part of the plans, which the main process holds.
PLANNED_RUN_GB = 0.0003
#: What each thread takes beside its data: the C library keeps freed memory for each.
THREAD_GB = 0.004
#: What computing a mask takes: the library that does it, and some volumes.
MASKING_GB = 0.11
#: What the report takes beside the maps of its viewer, which the main process packs; and for each
#: thread that does, by voxel of the largest grid: measured at 1 mm, 38 bytes and, of four, 29.
PAGE_GB, PACKED_VOXEL_GB = 0.1, 40e-9
#: Figures of a run's design.
RUN_FIGURE_GB = 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the program may use.

    Parameters
    ----------
    n_procs : int
        Processors.
    n_threads : int or None
        Threads of one process; None shares the processors out.
    total_gb : float
        Memory of all processes together.
    is_limit : bool
        Whether more must not be used; else it is what there is, and a plan that needs more by our
        estimate is tried.
    n_planned : int
        Runs whose plans are held meanwhile.
    """

    n_procs: int
    n_threads: int | None
    total_gb: float
    is_limit: bool
    n_planned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What the nodes may use.

    Parameters
    ----------
    n_procs : int
        Nodes at the same time; with 1 all work is done in the main process.
    fit_threads, join_threads : int
        Threads of a fit, and of the combination of a contrast.
    mem_gb : float
        Memory of all nodes together.
    own_gb : float
        Memory of the program beside them.
    """

    n_procs: int
    fit_threads: int
    join_threads: int
    mem_gb: float
    own_gb: float

    @property
    def base_gb(self) -> float:
        """What a node's process holds before it reads anything."""
        return 0.0 if self.n_procs == 1 else NODE_GB


def allow(
    plans: Sequence[Plan], machine: Machine, *, n_fits: int, n_joins: int
) -> tuple[Allowance, list[Plan]]:
    """Share out processors and memory, and decide which series are kept on disk.

    Parameters
    ----------
    plans : sequence of Plan
        Of some participants or all; those with problems take part in nothing.
    machine : Machine
        What there is.
    n_fits, n_joins : int
        Fits, and combinations of one contrast each, among which the processors are shared out.

    Returns
    -------
    allowance : Allowance
        The first of these ways in which every node fits: as many nodes at once as there are
        processors; one node at a time, with as many threads; with a single thread, unless their
        number is fixed. If none does, the first in which they fit with series on disk.
    plans : list of Plan
        With the memory of each node, and a problem for each that does not fit in any way, which
        does not keep the others from theirs.
    """
    ways = [
        (may_store, _allowance(machine, *way))
        for may_store in (False, True)
        for way in _ways(machine, n_fits, n_joins)
    ]
    last = ways[-1][1]
    tried = [_budgeted(plan, last, may_store=True) for plan in plans]
    if machine.is_limit:
        tried = [_refuse(plan, last) for plan in tried]
    runnable = [plan for plan in tried if not plan.problems]
    for may_store, allowance in ways:
        budgeted = [_budgeted(plan, allowance, may_store=may_store) for plan in runnable]
        needs = [need_gb for plan in budgeted for _, need_gb in _nodes(plan, allowance)]
        if max(needs, default=0.0) <= allowance.mem_gb:
            break
    found = iter(budgeted)
    return allowance, [plan if plan.problems else next(found) for plan in tried]


def _ways(machine: Machine, n_fits: int, n_joins: int) -> list[tuple[int, int, int]]:
    """Return processes and threads of fits and of joins, the best first."""
    n_procs, fixed = machine.n_procs, machine.n_threads
    fit, join = (fixed or max(1, n_procs // max(1, nodes)) for nodes in (n_fits, n_joins))
    many, one = fixed or n_procs, fixed or 1
    return [(n_procs, fit, join), (1, many, many), (1, one, one)]


def _allowance(machine: Machine, n_procs: int, fit_threads: int, join_threads: int) -> Allowance:
    """Return what a way leaves for the nodes."""
    own_gb = MAIN_ALONE_GB if n_procs == 1 else MAIN_GB + SERVER_GB
    own_gb += PLANNED_RUN_GB * machine.n_planned
    return Allowance(
        n_procs=n_procs,
        fit_threads=fit_threads,
        join_threads=join_threads,
        mem_gb=machine.total_gb - own_gb,
        own_gb=own_gb,
    )


def _budgeted(plan: Plan, allowance: Allowance, *, may_store: bool) -> Plan:
    """Estimate each node's memory; keep on disk the series that memory cannot hold, if one may."""
    base_gb = allowance.base_gb

    def fitted(run: RunPlan) -> RunPlan:
        if run.design is None:
            return run
        whole_gb, stored_gb = (
            base_gb + fit_gb(run, allowance.fit_threads, on_disk=on_disk)
            for on_disk in (False, True)
        )
        on_disk = may_store and whole_gb > allowance.mem_gb
        return replace(run, on_disk=on_disk, mem_gb=stored_gb if on_disk else whole_gb)

    return replace(
        plan,
        runs=tuple(map(fitted, plan.runs)),
        groups=tuple(
            replace(group, mem_gb=base_gb + combination_gb(plan, group, allowance.join_threads))
            for group in plan.groups
        ),
    )


def _nodes(plan: Plan, allowance: Allowance) -> list[tuple[str, float]]:
    """Return what each node of a plan does, and its memory."""
    nodes = [(f"fitting {run.entities}", run.mem_gb) for run in plan.runs if run.design]
    nodes += [(f"combining {group.entities}", group.mem_gb) for group in plan.written_groups]
    nodes += [
        (f"drawing the design of {run.entities}", allowance.base_gb + RUN_FIGURE_GB)
        for run in plan.runs
        if run.design
    ]
    nodes += [
        (f"drawing the fit of {run.entities}", allowance.base_gb + fit_figure_gb(run))
        for run in plan.runs
        if run.design
    ]
    return nodes + [
        (
            f"drawing the contrasts of {group.entities}",
            allowance.base_gb + contrast_figure_gb(plan, group),
        )
        for group in plan.groups
    ]


def _refuse(plan: Plan, allowance: Allowance) -> Plan:
    """Add a problem for each node that does not fit."""
    own_mb, left_mb = 1e3 * allowance.own_gb, 1e3 * allowance.mem_gb
    problems = [
        Problem(
            where="--mem-mb",
            found=f"{task} needs about {1e3 * need_gb + own_mb:.0f} MB, the program's own "
            f"{own_mb:.0f} MB included, but {left_mb + own_mb:.0f} MB may be used",
            remedy=f"allow {math.ceil(1e3 * need_gb + own_mb)} MB, or leave it out",
            code=ExitCode.USAGE,
            participant=plan.participant,
        )
        for task, need_gb in _nodes(plan, allowance)
        if need_gb > allowance.mem_gb
    ]
    return replace(plan, problems=(*plan.problems, *problems))


def series_bytes(run: RunPlan) -> int:
    """Return the bytes of a run's series, float32, as it is kept in memory or on disk."""
    source = run.source
    assert isinstance(source, BoldRun)
    assert run.design is not None
    return 4 * int(run.design.kept.sum()) * (source.n_mask_voxels or source.grid.n_voxels)


def fit_gb(run: RunPlan, n_threads: int, *, on_disk: bool) -> float:
    """Estimate what fitting a run takes beyond the libraries.

    Parameters
    ----------
    run : RunPlan
        A run with a design.
    n_threads : int
        Threads of the fit.
    on_disk : bool
        Whether the series is kept on disk.

    Returns
    -------
    float
        GB: while the run is read, the float32 series, some whole volumes in float64 and those
        that threads are smoothing; while it is fitted, the series, the results in float64 and a
        block of voxels for each thread, and the residuals of some voxels; then the results, the
        maps of two contrasts and an image for each thread. A mask that is not known yet may fill
        the grid.
    """
    source = run.source
    assert isinstance(source, BoldRun)
    assert run.design is not None
    n_grid = source.grid.n_voxels
    n_voxels = source.n_mask_voxels or n_grid
    n_kept = int(run.design.kept.sum())
    series = 0 if on_disk else series_bytes(run)
    reading = 8 * (4 * n_grid + 5 * n_voxels)
    reading += held_at_once(n_threads) * (24 * n_grid + 20 * n_voxels)
    masking = 0.0 if source.mask is not None else MASKING_GB
    rows = [len(item.rows) for item in run.estimable]
    results = 8 * n_voxels * (12 + sum(q + q * (q + 1) // 2 + 1 for q in rows))
    block = 1.2 * 8 * WORKED_NUMBERS + (4 * BLOCK_VOXELS * n_kept if on_disk else 0)
    block += 1e9 * THREAD_GB
    fitting = n_threads * block + 16 * SAMPLED_VOXELS * n_kept
    # What the blocks have freed is not given back before the residuals are sampled.
    fitting += 4 * CARPET_VOXELS * n_kept
    if run.noise_model == "arma11":
        fitting += 80 * n_kept**2
    q = max(rows, default=1)
    # Of the contrast that is written and of the next.
    maps = 2 * 8 * n_voxels * (2 + 9 * q)
    writing = results + maps + _images(n_threads, q * (q + 1) // 2, n_grid, n_voxels)
    return masking + max(series + max(reading, results + fitting), writing) / 1e9


def _images(n_threads: int, n_volumes: int, n_grid: int, n_voxels: int) -> int:
    """Return the bytes of the images that threads write: as they are, and compressed."""
    return n_threads * 9 * n_volumes * (n_grid + n_voxels)


def combination_gb(plan: Plan, group: GroupPlan, n_threads: int) -> float:
    """Estimate what combining any contrast of a group takes beyond the libraries.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        A group of it.
    n_threads : int
        Threads of the combination.

    Returns
    -------
    float
        GB: the largest contrast's results; for each thread an image, as it is and compressed,
        and a block that is combined; slabs of the inputs' maps; and, the one part that grows with
        the inputs, a stream for each volume of each map.
    """
    sources = [run.source for run in plan.group_runs(group)]
    grid = sources[0].grid
    masks = [one.n_mask_voxels if isinstance(one, BoldRun) else None for one in sources]
    # The runs' masks may lie beside each other.
    n_voxels = min(grid.n_voxels, sum(one or grid.n_voxels for one in masks))
    most = 0.0
    for item in group.estimable:
        rows = plan.n_rows(item) if item.contrast.test == "F" else 1
        triangle = rows * (rows + 1) // 2
        results = n_voxels * (96 if item.contrast.test == "t" else 52 + 4 * rows + 24 * triangle)
        images = _images(n_threads, triangle, grid.n_voxels, n_voxels)
        slabs = (1 + n_threads) * 16 * SLAB + n_threads * (16 * BLOCK + 1e9 * THREAD_GB)
        streams = 0.13e6 * len(item.input_keys) * (rows + triangle + 1)
        most = max(most, results + images + slabs + streams)
    return most / 1e9


def together_gb(plan: Plan, allowance: Allowance, machine: Machine) -> float:
    """Estimate what the program takes when as many nodes of a plan run as may at once.

    Parameters
    ----------
    plan : Plan
        With the memory of each node, as `allow` returns it.
    allowance : Allowance
        What the nodes may use.
    machine : Machine
        What there is.

    Returns
    -------
    float
        GB: the program's own and the largest nodes', or what the page takes if that is more; no
        more than there is, where nodes have to wait for each other.
    """
    needs = sorted((need_gb for _, need_gb in _nodes(plan, allowance)), reverse=True)
    nodes_gb = allowance.own_gb + sum(needs[: allowance.n_procs])
    own_gb, each_gb = _page_gb([plan], machine)
    return min(machine.total_gb, max(nodes_gb, own_gb + machine.n_procs * each_gb))


def least_gb(plan: Plan, allowance: Allowance) -> float:
    """Return what the program takes while the node of a plan runs alone that needs most, in GB."""
    return allowance.own_gb + max(need_gb for _, need_gb in _nodes(plan, allowance))


def _page_gb(plans: Sequence[Plan], machine: Machine) -> tuple[float, float]:
    """Return what the page takes of the program and, beside it, of each thread that packs maps."""
    grids = (run.source.grid.n_voxels for plan in plans for run in plan.runs)
    own_gb = MAIN_ALONE_GB + SERVER_GB + PLANNED_RUN_GB * machine.n_planned + PAGE_GB
    return own_gb, THREAD_GB + PACKED_VOXEL_GB * max(grids, default=0)


def packing_threads(plans: Sequence[Plan], machine: Machine) -> int:
    """Return how many threads may pack maps for the viewer of a page, while no node runs.

    Parameters
    ----------
    plans : sequence of Plan
        What the page shows.
    machine : Machine
        What there is.

    Returns
    -------
    int
        Up to all processors; 1 however little memory there is.
    """
    own_gb, each_gb = _page_gb(plans, machine)
    return max(1, min(machine.n_procs, int((machine.total_gb - own_gb) / each_gb)))


def fit_figure_gb(run: RunPlan) -> float:
    """Estimate what drawing a run's residuals and the maps of its model takes beyond libraries.

    One map at a time is read and cut; the picture of all is drawn in one piece.
    """
    return RUN_FIGURE_GB + 16e-9 * run.source.grid.n_voxels


def contrast_figure_gb(plan: Plan, group: GroupPlan) -> float:
    """Estimate what drawing a contrast of a group takes beyond the libraries.

    Three maps at a time are held, or two while one is read; of glass brains some voxels at a time
    are looked at. The picture has a row for each input and one for the combined map; it is drawn
    in bands, of which the finished ones take little.
    """
    n_voxels = max(run.source.grid.n_voxels for run in plan.group_runs(group))
    n_rows = len(group.input_keys) + 1
    finished = max(n_rows - BAND_ROWS, 0)
    return 0.045 + 16e-9 * n_voxels + 0.005 * (n_rows - finished) + 0.0006 * finished
