"""An analysis of the command line, written down as a BIDS Stats Model."""

from __future__ import annotations

from dataclasses import dataclass

from bids_fx.glm.names import delay_ending, fir_delays, normalise_hrf_name
from bids_fx.model import Contrast
from bids_fx.settings import AnalysisSettings
from bids_fx.stats_models.labels import Labels
from bids_fx.stats_models.names import TRIAL_TYPE
from bids_fx.stats_models.records import (
    INTERCEPT,
    DummyContrasts,
    Edge,
    ModelHRF,
    Node,
    NodeContrast,
    StatsModel,
)
from bids_fx.steps import Step
from bids_fx.transforms.records import Instruction

#: The version of the specification that is written.
VERSION = "1.0.0"
#: Settings of the runs that a model states, in any case, so that later defaults change nothing.
_STATED = (
    *("hrf_model", "confounds", "drift_model", "high_pass_s", "noise_model"),
    *("smoothing_fwhm_mm", "signal_scaling", "dummy_scans", "missing"),
)
_STATED_IF_SET = ("fd_threshold_mm", "slice_time_ref", "combine_subset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An analysis of one task, as far as a model has to say it.

    Parameters
    ----------
    task : str
        Label of the task.
    settings : AnalysisSettings
        The choices.
    conditions : tuple of str
        The conditions of all participants, sorted.
    contrasts : tuple of Contrast
        Of these conditions.
    steps : tuple of Step
        How results are combined; those that apply to the runs.
    columns : tuple of str
        Columns of the confounds tables that enter the design of every run.
    keys : tuple of str
        Short keys of the entities that the runs have.
    is_modulated : bool
        Whether the heights of events differ from 1.
    """

    task: str
    settings: AnalysisSettings
    conditions: tuple[str, ...]
    contrasts: tuple[Contrast, ...]
    steps: tuple[Step, ...]
    columns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    is_modulated: bool = False


def export_model(asked: Asked, name: str) -> StatsModel:
    """Write an analysis down as a model that gives the same results.

    Parameters
    ----------
    asked : Asked
        The analysis.
    name : str
        The model's name.

    Notes
    -----
    Other programs find in it the conditions, their convolution, the confounds that all runs have,
    the contrasts and the nodes. What they do not know of stands in ``Software.bids_fx``, which
    beats nothing of it: it is the whole truth about the run's settings.
    """
    nodes = (_run_node(asked), *(_combining_node(step, asked) for step in asked.steps))
    return StatsModel(
        name=name,
        description="Made by bids_fx from the options of its command line",
        version=VERSION,
        input={"task": (asked.task,)},
        nodes=nodes,
        edges=tuple(
            Edge(source=step.source or nodes[0].name, destination=step.name)
            for step in asked.steps
        ),
    )


def _run_node(asked: Asked) -> Node:
    """Return the node of the runs."""
    settings = asked.settings
    names = [TRIAL_TYPE + condition for condition in asked.conditions]
    hrf_model = normalise_hrf_name(settings.hrf_model)
    is_fir = hrf_model.startswith("fir")
    endings = ["", *(f"_{extra}" for extra in hrf_model.split(" + ")[1:])]
    instructions = [Instruction(name="Factor", inputs=("trial_type",))]
    if asked.is_modulated:
        instructions += [
            Instruction(name="Product", inputs=(name, "modulation"), outputs=(name,))
            for name in names
        ]
    if not is_fir:
        family, *extras = hrf_model.split(" + ")
        arguments: dict[str, object] = {"Model": family}
        arguments |= {extra.capitalize(): True for extra in extras}
        instructions.append(Instruction(name="Convolve", inputs=tuple(names), arguments=arguments))
    labels = Labels({})
    contrasts = tuple(_node_contrast(one, hrf_model) for one in asked.contrasts)
    return Node(
        name="run",
        level="run",
        group_by=("run", "sub", *(key for key in asked.keys if key not in {"run", "sub"})),
        x=(*(name + ending for name in names for ending in endings), *asked.columns),
        has_intercept=True,
        instructions=tuple(instructions),
        # FIR delays of other programs are in other units, and HRF says what is meant.
        hrf=ModelHRF(variables=tuple(names), hrf_model=hrf_model) if is_fir else None,
        high_pass_hz=1 / settings.high_pass_s if settings.drift_model == "cosine" else None,
        contrasts=contrasts,
        software=_software(settings),
        labels={
            one.name: one.label for one in asked.contrasts if labels.of(one.name) != one.label
        },
    )


def _combining_node(step: Step, asked: Asked) -> Node:
    """Return the node of a step."""
    apart = [key for key in asked.keys if key not in {*step.over, "sub"}]
    return Node(
        name=step.name,
        level=step.level,
        model_type="meta",
        group_by=("sub", *apart, "contrast"),
        has_intercept=True,
        dummies=DummyContrasts(conditions=(INTERCEPT,)),
        software={
            "combination": step.combination or asked.settings.combination,
            "combine_over": step.over,
        },
    )


def _node_contrast(asked: Contrast, hrf_model: str) -> NodeContrast:
    """Return a contrast with the names that X has."""
    terms = [
        {_column(name, basis, hrf_model): weight for name, basis, weight in row}
        for row in asked.rows
    ]
    conditions = tuple(dict.fromkeys(name for row in terms for name in row))
    return NodeContrast(
        name=asked.name,
        conditions=conditions,
        weights=tuple(tuple(row.get(name, 0.0) for name in conditions) for row in terms),
        test="F" if asked.test == "F" else "t",
    )


def _column(condition: str, basis: int | None, hrf_model: str) -> str:
    """Return the name of a condition's column, or of all its FIR delays together."""
    if basis is None:
        return TRIAL_TYPE + condition
    family, *extras = hrf_model.split(" + ")
    if family.startswith("fir"):
        delays = fir_delays(family)
        return TRIAL_TYPE + condition + delay_ending(delays[basis] if delays else basis)
    return TRIAL_TYPE + condition + ("", *(f"_{extra}" for extra in extras))[basis]


def _software(settings: AnalysisSettings) -> dict[str, object]:
    """Return the settings of the runs that a model states."""
    values = {name: getattr(settings, name) for name in _STATED}
    values |= {name: getattr(settings, name) for name in _STATED_IF_SET if getattr(settings, name)}
    if settings.drift_model != "cosine":
        del values["high_pass_s"]
    return values
