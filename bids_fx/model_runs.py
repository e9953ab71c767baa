"""A model file applied to a run: from its tables to the regressors that X names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bids_fx.errors import Notice, Problem
from bids_fx.glm.design import Column, Condition, Response
from bids_fx.inputs import BoldRun
from bids_fx.model_variables import confounds_read, matching, run_variables
from bids_fx.stats_models.names import is_held, plain_name
from bids_fx.stats_models.records import Node
from bids_fx.suggest import did_you_mean
from bids_fx.transforms.convolve import convolve, has_response
from bids_fx.transforms.records import (
    Clock,
    Dense,
    Sparse,
    TransformError,
    Variable,
    Variables,
)
from bids_fx.transforms.sampling import is_unseen, sample, to_dense
from bids_fx.transforms.scope import is_pattern

#: What is remarked of variables of events; the last is warned of.
IMPLIED = "taken for values of trial_type, of which no instruction makes conditions"
CONVOLVED = "convolved with the {} HRF, since the model says nothing of convolution"
UNCONVOLVED = "in the design without convolution, since neither HRF nor Convolve names them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a model makes of a run.

    Parameters
    ----------
    responses : tuple of Response
        The regressors of X but for the columns of the confounds table, in X's order.
    conditions : tuple of Condition
        The events of those that are responses to events.
    hrf_models : tuple of str
        The HRF models of the responses, sorted.
    hrf_of : mapping of str to str or None
        By condition its HRF model; None where it enters as it is.
    confounds : tuple of str
        Columns of the confounds table that X names, or shell patterns of them.
    reads_confounds : bool
        Whether instructions read columns of the confounds table.
    absent : mapping of str to str
        What X names and the run does not have, by plain name, and why.
    problems : tuple of Problem
        What cannot be done.
    notices : tuple of Notice
        What was left out of this run.
    remarks : mapping of str to tuple of str
        Names of variables by what holds of them in whichever run has them.
    unmatched : tuple of str
        Patterns in X that match nothing.
    texts : tuple of str
        Variables of texts in X, which cannot be regressors.
    lacking : mapping of str to str
        Names in X and in instructions that neither the run nor an instruction has, as they are
        written, and why not.
    missed : mapping of str to str
        Regressors in X, weighed by no contrast, that instructions cannot make here, and why.
    """

    responses: tuple[Response, ...] = ()
    conditions: tuple[Condition, ...] = ()
    hrf_models: tuple[str, ...] = ()
    hrf_of: Mapping[str, str | None] = field(default_factory=dict)
    confounds: tuple[str, ...] = ()
    reads_confounds: bool = False
    absent: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    missed: Mapping[str, str] = field(default_factory=dict)


def apply_model(source: BoldRun, root: Node, *, hrf_model: str) -> Applied:
    """Make the regressors of a run.

    Parameters
    ----------
    source : BoldRun
        The run, with its whole events table.
    root : Node
        The model's node at run level.
    hrf_model : str
        For a model that says nothing of convolution, and a Convolve without Model.

    Returns
    -------
    Applied
        With all problems at once, as far as they do not follow from each other.
    """
    run = _Run(source, root, hrf_model)
    try:
        run.transform()
    except TransformError as error:
        run.refuse(error.found, error.remedy or "see bids_fx-model for what the instruction does")
        return run.result()
    for entry in root.x:
        run.enter(entry)
    return run.result()


class _Run:
    """One run on its way to its regressors."""

    def __init__(self, source: BoldRun, root: Node, hrf_model: str) -> None:
        self._source = source
        self._root = root
        self._hrf_model = hrf_model
        self._name = str(source.entities)
        self._clock = Clock(
            n_scans=source.n_scans,
            repetition_time=source.repetition_time,
            slice_time=source.slice_time,
        )
        self._variables = Variables()
        self._entered: dict[str, Response] = {}
        self._conditions: dict[str, Condition] = {}
        self._hrf_models: set[str] = set()
        self._hrf_by_condition: dict[str, str | None] = {}
        self._confounds: dict[str, None] = {}
        self._absent: dict[str, str] = {}
        self._problems: list[Problem] = []
        self._notices: list[Notice] = []
        self._remarks: dict[str, dict[str, None]] = {}
        self._unmatched: list[str] = []
        self._texts: list[str] = []
        self._lacking: dict[str, str] = {}
        self._missed: dict[str, str] = {}

    def transform(self) -> None:
        """Carry out the model's instructions."""
        self._variables, implied = run_variables(
            self._source, self._root, self._clock, hrf_model=self._hrf_model
        )
        for entry in implied:
            self._remark(IMPLIED, entry)
        for text in self._variables.notices:
            self._tell(text)
        for name, place in self._variables.unknown.items():
            self._lacking[name] = f"{place}: {self._variables.why_absent(name)}"

    def enter(self, entry: str) -> None:
        """Enter what an entry of X names."""
        names = matching(entry, self._variables, self._source.confounds)
        for name in names:
            variable = self._variables.values.get(name)
            confound = variable.confound if isinstance(variable, Dense) else None
            if variable is None or confound is not None:
                self._enter_confound(confound or name)
            elif plain_name(name) not in self._entered:
                self._enter_variable(name, variable)
        if not names and is_pattern(entry):
            self._unmatched.append(entry)
        elif not names:
            self._miss(entry)

    def _enter_confound(self, name: str) -> None:
        """Ask for a column of the confounds table, as it is."""
        self._confounds.setdefault(name)
        if self._root.hrf is not None and is_held(name, self._root.hrf.variables):
            self.refuse(
                f"HRF names '{name}', a column of the confounds table",
                "convolve it by an instruction, or leave it out of Variables of HRF",
            )

    def result(self) -> Applied:
        """Return what was made."""
        return Applied(
            responses=tuple(self._entered.values()),
            conditions=tuple(self._conditions.values()),
            hrf_models=tuple(sorted(self._hrf_models)),
            hrf_of=self._hrf_by_condition,
            confounds=tuple(self._confounds),
            reads_confounds=bool(confounds_read(self._source, self._root.instructions)),
            absent=self._absent,
            problems=tuple(self._problems),
            notices=tuple(self._notices),
            remarks={text: tuple(names) for text, names in self._remarks.items()},
            unmatched=tuple(self._unmatched),
            texts=tuple(self._texts),
            lacking=self._lacking,
            missed=self._missed,
        )

    def refuse(self, found: str, remedy: str) -> None:
        """Add a problem of this run."""
        self._problems.append(Problem(where=self._name, found=found, remedy=remedy))

    def _enter_variable(self, name: str, variable: Variable) -> None:
        """Enter a variable, convolved if the model wants it so."""
        if isinstance(variable, Sparse):
            if variable.is_text:
                self._texts.append(name)
                return
            variable = self._without_gaps(name, variable)
        hrf_model = self._hrf_of(name, variable)
        if hrf_model is not None and not has_response(variable):
            plain = plain_name(name)
            self._absent[plain] = f"condition '{plain}' has no event in this run"
        elif isinstance(variable, Dense) and variable.hrf_model and hrf_model is not None:
            self.refuse(
                f"'{name}' is convolved by an instruction and by HRF",
                "leave it out of Variables of HRF, or leave the instruction out",
            )
        elif hrf_model is not None:
            for column, response in convolve(name, variable, self._clock, hrf_model).items():
                self._enter_dense(column, response)
        elif isinstance(variable, Sparse):
            self._remark(UNCONVOLVED, name)
            self._enter_dense(name, to_dense(variable, self._clock))
        else:
            self._enter_dense(name, variable)

    def _hrf_of(self, name: str, variable: Variable) -> str | None:
        """Return the HRF model that a variable of X is convolved with here, if any."""
        hrf = self._root.hrf
        if hrf is not None:
            return hrf.hrf_model if is_held(name, hrf.variables) else None
        if not self._root.says_convolution and isinstance(variable, Sparse):
            self._remark(CONVOLVED.format(self._hrf_model), name)
            return self._hrf_model
        return None

    def _without_gaps(self, name: str, variable: Sparse) -> Sparse:
        """Return a variable without the events that have no value."""
        gaps = np.isnan(variable.values)
        if not gaps.any():
            return variable
        count = int(gaps.sum())
        self._tell(f"{count} event{'s' * (count > 1)} without '{name}' left out of it")
        return Sparse(
            onsets=variable.onsets[~gaps],
            durations=variable.durations[~gaps],
            values=variable.values[~gaps],
        )

    def _note_events(self, name: str, variable: Sparse) -> None:
        """Keep the events of a response for the report."""
        felt = variable.values != 0
        plain = plain_name(name)
        self._conditions[plain] = Condition(
            name=plain,
            onsets=variable.onsets[felt],
            durations=variable.durations[felt],
            amplitudes=variable.values[felt],
        )

    def _enter_dense(self, name: str, variable: Dense) -> None:
        """Enter a variable as a column of the design."""
        values = sample(variable, self._clock)
        if is_unseen(variable, self._clock):
            self.refuse(
                f"'{name}' is 0 at all frame times, though its samples between them are not",
                "use ToDense with the SamplingRate 'TR', or Convolve",
            )
            return
        gaps = np.flatnonzero(~np.isfinite(values))
        if gaps.size:
            self.refuse(
                f"'{name}' has no value in scan {gaps[0] + 1}"
                + (f" and {gaps.size - 1} others" if gaps.size > 1 else ""),
                "fill them in by an instruction, such as Scale with ReplaceNA, or leave it out",
            )
            return
        plain = plain_name(name)
        if variable.condition is not None and variable.hrf_model is not None:
            self._hrf_models.add(variable.hrf_model)
            if variable.events is not None:
                self._note_events(variable.condition, variable.events)
        if variable.is_nuisance:
            column = Column(name=plain, role="confound")
        elif variable.condition is None:
            column = Column(name=plain, role="condition", condition=plain, basis=0)
        else:
            is_own = variable.is_fir or variable.basis == 0
            column = Column(
                name=plain,
                role="condition" if is_own else "derivative",
                condition=plain_name(variable.condition),
                basis=variable.basis,
            )
        if column.condition is not None:
            self._hrf_by_condition[column.condition] = variable.hrf_model
        self._entered[plain] = Response(matrix=values[:, np.newaxis], columns=(column,))

    def _miss(self, entry: str) -> None:
        """Note that the run does not have what X names."""
        plain = plain_name(entry)
        is_level = any(entry.startswith(prefix) for prefix in self._variables.levels)
        is_weighed = self._is_weighed(plain)
        if is_level or entry in self._variables.absent:
            reason = self._variables.why_absent(entry)
        elif is_weighed:
            reason = f"condition '{plain}' has no event in this run"
        else:
            # Nothing is asked of it, so that it is taken for a confound.
            reason = f"this run has no '{plain}', nor has its confounds table"
            self._confounds.setdefault(entry)
        question = did_you_mean(entry, self._known())
        self._lacking[entry] = f"X: {reason}" + (f" ({question})" if question else "")
        self._absent[plain] = reason
        if entry in self._confounds:
            return
        if is_level or is_weighed:
            self._tell(f"it is fitted without '{plain}' of X: {reason}", warning=False)
        else:
            self._missed[plain] = reason

    def _known(self) -> set[str]:
        """Return all names that an entry of X could have."""
        table = self._source.confounds
        variables = set(map(plain_name, self._variables.values))
        return variables | (set(table.values) if table is not None else set())

    def _is_weighed(self, plain: str) -> bool:
        """Tell whether contrasts or the HRF speak of an entry of X, so that it is a condition."""
        root = self._root
        named = {name for one in root.contrasts for name in one.conditions}
        named |= set(root.dummy_names)
        named |= set(root.hrf.variables if root.hrf else ())
        return plain in set(map(plain_name, named))

    def _remark(self, text: str, name: str) -> None:
        """Say something of a variable that holds in all runs which have it."""
        self._remarks.setdefault(text, {}).setdefault(plain_name(name))

    def _tell(self, text: str, *, warning: bool = True) -> None:
        self._notices.append(Notice(text=f"{self._name}: {text}.", warning=warning))
