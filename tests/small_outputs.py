"""Output folders of a few participants in all states, for tests of what is told across them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bids_fx.calls import Call, Failure
from bids_fx.derivatives import paths
from bids_fx.derivatives.calls import joined, write_calls
from bids_fx.derivatives.dataset import write_state
from bids_fx.derivatives.write import write_json
from bids_fx.records import Plan
from bids_fx.settings import AnalysisSettings
from tests.small_plans import make_group, make_plan, make_run

SOFTWARE = {"bids_fx": "1.0.0", "numpy": "2.4.0"}
#: By run; the second is the worse in each.
QUALITY: tuple[dict[str, float | None], ...] = (
    {"n_scans": 40, "fd_mean": 0.25, "censored_perc": 2.5, "tsnr_median": 60.0},
    {"n_scans": 40, "fd_mean": 0.5, "censored_perc": 5.0, "tsnr_median": 40.5, "vif_max": None},
)


def plan_of(participant: str, *, n_runs: int = 2, space: str = "", **settings: object) -> Plan:
    """Return the plan of a participant with some runs of one task."""
    stem = f"sub-{participant}_task-x"
    end = f"_space-{space}" if space else ""
    runs = [make_run(f"{stem}_run-{number}{end}") for number in range(1, n_runs + 1)]
    return make_plan(
        runs,
        (make_group(f"{stem}{end}", runs),),
        participant=participant,
        settings=replace(AnalysisSettings(), **settings),
    )


def write_quality(
    out_dir: Path, plan: Plan, measures: tuple[Mapping[str, object], ...] = QUALITY
) -> None:
    """Publish the quality of a plan's runs."""
    for run, values in zip(plan.runs, measures * len(plan.runs), strict=False):
        write_json(out_dir / paths.quality(run.entities), values)


def finish(
    out_dir: Path,
    participant: str,
    *,
    plan: Plan | None = None,
    measures: tuple[Mapping[str, object], ...] = QUALITY,
    **changes: object,
) -> Plan:
    """Leave what a call that is done leaves; `changes` are of its `Call`."""
    plan = plan_of(participant) if plan is None else plan
    for path in paths.expected_outputs(plan):
        if path not in paths.shared_outputs(plan):
            (out_dir / path).parent.mkdir(parents=True, exist_ok=True)
            (out_dir / path).write_text("stand-in")
    for run in plan.runs:
        sidecar = out_dir / paths.sidecar(paths.mask(run.entities))
        sidecar.write_text(json.dumps({"SettingsHash": run.settings_hash}))
    write_quality(out_dir, plan, measures)
    (out_dir / paths.report(participant)).write_text("report")
    call = replace(Call(plan=plan, state="done", software=SOFTWARE), **changes)
    write_calls(out_dir, joined(call, out_dir))
    write_state(out_dir, participant, call.state, "; ".join(call.reasons))
    return plan


def fail(out_dir: Path, participant: str, reason: str, **settings: object) -> Plan:
    """Leave what a call leaves that failed in its second run."""
    plan = plan_of(participant, **settings)
    failure = Failure(record=plan.runs[1].key, message=reason, details=reason)
    finish(out_dir, participant, plan=plan, state="failed", reasons=(reason,), failures=(failure,))
    for path in paths.run_images(plan.runs[1]):
        (out_dir / path).unlink()
    (out_dir / paths.quality(plan.runs[1].entities)).unlink()
    return plan
