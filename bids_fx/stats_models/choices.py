"""The settings of a call under a model file: what the file says beats what holds otherwise."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

from bids_fx.entities import same_label
from bids_fx.errors import ExitCode, Notice, Problem
from bids_fx.settings import AnalysisSettings, DataSelection, setting_text
from bids_fx.stats_models.records import Node, StatsModel

#: Options of the command line by the settings that they change, where the names differ.
_OPTIONS = {
    "high_pass_s": "--high-pass",
    "smoothing_fwhm_mm": "--smoothing-fwhm",
    "fd_threshold_mm": "--fd-threshold",
}
#: 1/f and back may be off by rounding.
_ROUNDING = 1e-9


def settings_under(
    model: StatsModel, settings: AnalysisSettings, given: Collection[str], where: str
) -> tuple[AnalysisSettings, tuple[Problem, ...], tuple[Notice, ...]]:
    """Return the settings with which a model file is run.

    Parameters
    ----------
    model : StatsModel
        The model.
    settings : AnalysisSettings
        What the command line says, and the program's defaults.
    given : collection of str
        The fields of `settings` that the user gave.
    where : str
        The model's file, for messages.

    Returns
    -------
    settings : AnalysisSettings
        Of a model the confounds are those of X and of ``Software.bids_fx`` alone.
    problems : tuple of Problem
        Options that contradict the file.
    notices : tuple of Notice
        What holds since the file does not say it.
    """
    stated = _stated(model.root)
    stated |= _combining(model)
    problems = [
        Problem(
            where=f"{_option(name)} {setting_text(name, getattr(settings, name))}",
            found=f"{where} says {setting_text(name, value)}",
            remedy="leave the option out, or change the file",
            code=ExitCode.USAGE,
        )
        for name, value in stated.items()
        if name in given and getattr(settings, name) != value
    ]
    if "hrf_model" in given and _says_hrf(model.root):
        problems.append(
            Problem(
                where=f"--hrf-model {settings.hrf_model}",
                found=f"{where} says with what its variables are convolved",
                remedy="leave the option out, or change the file",
                code=ExitCode.USAGE,
            )
        )
    notices = []
    if not {"drift_model", "high_pass_s"} & {*stated, *given}:
        if model.root.names_cosines:
            stated["drift_model"] = "none"
            text = "the drift is that of the cosine columns in X"
        else:
            text = f"it says nothing of drift: cosines with {settings.high_pass_s:g} s are added"
        notices.append(Notice(text=f"{where}: {text}.", warning=False))
    names = {item.name for item in fields(settings)}
    # The reader has checked the values as the command line checks its own.
    changed: dict[str, Any] = {k: v for k, v in stated.items() if k in names}
    changed.setdefault("confounds", ())
    changed["model_name"] = model.name or where
    return replace(settings, **changed), tuple(problems), tuple(notices)


def data_under(
    model: StatsModel, data: DataSelection, where: str
) -> tuple[DataSelection, tuple[Problem, ...]]:
    """Return the data that a model file is run on: what ``Input`` says, within the options.

    Parameters
    ----------
    model : StatsModel
        The model.
    data : DataSelection
        What the command line says.
    where : str
        The model's file, for messages.
    """
    asked = {
        "sub": ("--participant-label", data.participants),
        "ses": ("--session-label", data.sessions),
        "task": ("--task-id", data.tasks),
        "run": ("--run-id", data.runs),
    }
    problems = tuple(
        Problem(
            where=f"{option} {label}",
            found=f"Input of {where} has {', '.join(model.input[key])} only",
            remedy="choose among them, or change the file",
            code=ExitCode.USAGE,
        )
        for key, (option, labels) in asked.items()
        if key in model.input
        for label in labels
        if not any(same_label(label, one) for one in model.input[key])
    )
    if not data.participants and "sub" in model.input:
        by = f"Input of {where}: subject"
        data = replace(data, participants=model.input["sub"], participants_by=by)
    scope = {key: labels for key, labels in model.input.items() if key != "sub"}
    return replace(data, scope=scope), problems


def _stated(root: Node) -> dict[str, object]:
    """Return the settings that a model's run node states."""
    stated = dict(root.software)
    if root.high_pass_hz is not None:
        seconds = 1 / root.high_pass_hz
        exact = stated.get("high_pass_s")
        is_same = isinstance(exact, float) and abs(exact / seconds - 1) < _ROUNDING
        stated |= {"drift_model": "cosine", "high_pass_s": exact if is_same else seconds}
    elif "high_pass_s" in stated:
        stated.setdefault("drift_model", "cosine")
    return stated


def _combining(model: StatsModel) -> dict[str, object]:
    """Return the settings of combining that all nodes above the runs share."""
    nodes = [node for node in model.nodes if node.level in ("session", "subject")]
    stated: dict[str, object] = {}
    for key in ("combination", "combine_subset"):
        values = {node.software.get(key) for node in nodes}
        if len(values) == 1 and None not in values:
            stated[key] = values.pop()
    over = [n.software["combine_over"] for n in nodes if "combine_over" in n.software]
    if over:
        stated["combine_over"] = max(map(_tuple, over), key=len)
    return stated


def _tuple(value: object) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return value


def _says_hrf(root: Node) -> bool:
    """Tell whether nothing is left to the default HRF."""
    models = [i.arguments.get("Model") for i in root.instructions if i.name == "Convolve"]
    return root.hrf is not None or (bool(models) and all(models))


def _option(name: str) -> str:
    return _OPTIONS.get(name, "--" + name.replace("_", "-"))
