"""What the report says of settings, software and inputs."""

from __future__ import annotations

from collections.abc import Mapping

from bids_fx.records import Plan
from bids_fx.reports.page import Table
from bids_fx.settings import chosen_settings, idle_settings, setting_text


def settings_table(plan: Plan) -> Table:
    """Return all settings, and whether each was chosen, is a default or is not in force."""
    chosen = chosen_settings(plan.settings)
    idle = idle_settings(
        plan.settings,
        given_designs=plan.has_given_designs,
        given_maps=plan.has_given_maps,
        hrf_models=plan.hrf_models,
    )
    rows = []
    for name, value in plan.settings.to_json().items():
        origin = "chosen" if name in chosen else "default"
        if name in idle:
            origin = f"not in force: {idle[name]}"
        rows.append((name, setting_text(name, value), origin))
    return Table(
        caption="Settings that change numbers",
        head=("Setting", "Value", "Origin"),
        rows=tuple(rows),
        tones={"chosen": "strong"},
    )


def software_table(software: Mapping[str, str]) -> Table:
    """Return the versions of the software."""
    return Table(caption="Software", head=("Package", "Version"), rows=tuple(software.items()))


def inputs_table(plan: Plan) -> Table:
    """Return the input files of each run as BIDS URIs, never as paths of the machine."""
    rows = [(run.key, uri) for run in plan.runs for uri in sorted(run.source.uris.values())]
    return Table(caption="Input files", head=("Run", "File"), rows=tuple(rows))


def hashes_table(plan: Plan) -> Table:
    """Return the hashes that the sidecars carry too, to tell analyses apart."""
    rows = [(run.key, run.settings_hash) for run in plan.runs]
    rows += [(group.key, group.settings_hash) for group in plan.written_groups]
    return Table(
        caption="Hashes of all that changes the numbers but the images (SettingsHash)",
        head=("Run or group", "SHA-256"),
        rows=tuple(rows),
    )
