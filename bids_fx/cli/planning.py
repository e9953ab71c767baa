"""From the command line to the plans of all participants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bids_fx.cli.resources import (
    available_processors,
    give_matplotlib_a_folder,
    this_machine,
    work_dir_of,
)
from bids_fx.errors import BIDSFXError, Notice, Problem
from bids_fx.suggest import listed

if TYPE_CHECKING:
    from pathlib import Path

    from bids_fx.drafts import Draft
    from bids_fx.records import Plan
    from bids_fx.settings import AnalysisSettings, Invocation
    from bids_fx.stats_models.analysis import Analysis
    from bids_fx.steps import ModelOutline


class Planner:
    """What is asked for, and the plans of all participants.

    Parameters
    ----------
    invocation : Invocation
        The command line as settings.

    Attributes
    ----------
    settings : AnalysisSettings
        The choices that hold: a model file's beat the command line's defaults.
    notices : tuple of Notice
        What a model file is read as, and what holds since it does not say it.
    model : ModelOutline or None
        The nodes of a model file that can be run.
    models : dict of str to str
        Models of this analysis by file name, to be written; there once `plans` has begun.

    Notes
    -----
    A model file that cannot be run is told by `plans`, with what is wrong with the dataset.
    """

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.settings: AnalysisSettings = invocation.analysis
        self.notices: tuple[Notice, ...] = ()
        self.model: ModelOutline | None = None
        self.models: dict[str, str] = {}
        self._data = invocation.data
        self._analysis: Analysis | None = None
        self._problems: tuple[Problem, ...] = ()
        if invocation.data.model_file is not None:
            self._read_model(invocation.data.model_file)

    def plans(self) -> Iterator[Plan]:
        """Find the data of every participant and decide what is done with them, one by one.

        All data are found before the first plan is made, since contrasts are read against the
        conditions of all participants. Of each, what the plan needs is kept and no more.

        Raises
        ------
        BIDSFXError
            With all that is wrong with the model file and the dataset as a whole.
        """
        if self._data.bids_dir.is_dir() and not self._problems:
            self._start_early()
        from bids_fx.dataset.confounds import load_strategies
        from bids_fx.dataset.index import find_all
        from bids_fx.drafts import draft_plan
        from bids_fx.memory import allow
        from bids_fx.missing import requests_met
        from bids_fx.plan import finish_plan

        strategies = load_strategies()
        root = self._analysis.model.root if self._analysis is not None else None
        found = find_all(self._data, self._participants(), analysis=self.settings)
        drafts = [draft_plan(item, self.settings, strategies, root) for item in found]
        known = self._known(drafts)
        if self._analysis is not None:
            drafts = self._checked(drafts, known, self._analysis)
        met = requests_met(drafts)
        is_shared = self._writes_models()
        if is_shared:
            self._write_down(drafts, known)
        n_runs = sum(len(draft.runs) for draft in drafts)
        machine = this_machine(self.invocation.execution, n_planned=n_runs)
        for draft in drafts:
            plan = finish_plan(
                draft,
                self.settings,
                known_conditions=known,
                known_confounds=met,
                analysis=self._analysis,
                shared=is_shared,
            )
            plan = replace(
                plan,
                notices=(*self.notices, *plan.notices),
                model=self.model,
                report=self.invocation.report,
            )
            # The plans of the others are not made yet: they are taken to be like this one.
            n_joins = len(drafts) * sum(len(group.estimable) for group in plan.written_groups)
            _, (plan,) = allow([plan], machine, n_fits=n_runs, n_joins=n_joins)
            yield plan

    def _checked(
        self, drafts: Sequence[Draft], known: Mapping[str, Sequence[str]], analysis: Analysis
    ) -> list[Draft]:
        """Refuse names of a model file that no run has, and note what holds of all runs."""
        from bids_fx.model_checks import check_labels, check_names, remarks, without_conditions

        problems = check_names(drafts, analysis, lambda: self._all_conditions(known))
        problems += check_labels(drafts, analysis)
        if problems:
            raise BIDSFXError(problems)
        self.notices = (*self.notices, *remarks(drafts, analysis))
        return without_conditions(drafts, known)

    def _writes_models(self) -> bool:
        """Tell whether the analysis is also written as a model."""
        return self.invocation.data.model == "auto" or self.invocation.execution.write_model

    def _write_down(self, drafts: Sequence[Draft], known: Mapping[str, Sequence[str]]) -> None:
        """Make models of the analysis, unless it cannot be run anyway."""
        from bids_fx.cli.exports import analysis_models

        if any(draft.runs for draft in drafts):
            label = "auto" if self.invocation.data.model == "auto" else "cli"
            self.models = analysis_models(drafts, self.settings, known, label)

    def _read_model(self, path: Path) -> None:
        """Read the model file and let it beat the defaults."""
        from bids_fx.stats_models.analysis import analyse
        from bids_fx.stats_models.choices import data_under, settings_under
        from bids_fx.stats_models.outline import outline
        from bids_fx.stats_models.read import read_model

        model, self._problems, self.notices = read_model(path)
        if model is None or self._problems:
            return
        analysis = analyse(model, path.name)
        settings, clashes, assumed = settings_under(
            model, self.settings, self.invocation.given, path.name
        )
        data, outside = data_under(model, self._data, path.name)
        self.notices = (
            *self.notices,
            *analysis.notices,
            *assumed,
            *_left_at_runs(settings, analysis),
        )
        self._problems = (*analysis.problems, *clashes, *outside)
        self._analysis, self.settings, self._data = analysis, settings, data
        self.model = outline(analysis)

    def _participants(self) -> tuple[str, ...]:
        """List the participants that are meant; raise all problems together."""
        from bids_fx.dataset.index import list_participants

        try:
            participants = list_participants(self._data)
        except BIDSFXError as error:
            raise BIDSFXError((*self._problems, *error.problems)) from error
        if self._problems:
            raise BIDSFXError(self._problems)
        return participants

    def _start_early(self) -> None:
        """Start what nodes import, which takes as long as planning does, if they will run."""
        if not _surely_computes(self.invocation):
            return
        from bids_fx.derivatives.planted import refuse_planted
        from bids_fx.workflows.server import start_server

        refuse_planted(self.invocation.execution.out_dir)
        give_matplotlib_a_folder(work_dir_of(self.invocation.execution))
        start_server()

    def _known(self, drafts: Sequence[Draft]) -> dict[str, list[str]]:
        """Gather the conditions that a contrast may name, by task.

        One that these participants lack may be one that others have, and no slip.
        """
        from bids_fx.contrasts import are_readable
        from bids_fx.model_contrasts import are_known

        known = _known_conditions(drafts)
        readable = are_readable(self.settings.contrasts, known)
        if self._analysis is not None:
            columns = {n for d in drafts for run in d.runs for n in run.confounds.columns}
            readable &= are_known(self._analysis, known, columns)
        return known if readable else self._all_conditions(known)

    def _all_conditions(self, known: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return known conditions and those of everybody else in the dataset."""
        from bids_fx.dataset.conditions import list_conditions

        columns = self._analysis.factors if self._analysis is not None else ()
        return _merged(known, list_conditions(self._data.bids_dir, columns))


def _left_at_runs(settings: AnalysisSettings, analysis: Analysis) -> tuple[Notice, ...]:
    """Tell which nodes do not combine what ``--contrast`` adds to a model."""
    nodes = [step.name for step in analysis.steps if step.contrasts is not None]
    if not (settings.contrasts and nodes):
        return ()
    text = (
        f"{analysis.where}: what --contrast adds is not combined at {listed(nodes)}, whose "
        "contrasts the file lists."
    )
    return (Notice(text=text),)


def _surely_computes(invocation: Invocation) -> bool:
    """Tell whether nodes will run in processes of their own, as far as that is known so early.

    What may be done already or, under a memory limit, in this process alone, has to be planned
    first.
    """
    from bids_fx.settings import REPORT

    execution = invocation.execution
    only_looks = execution.dry_run or execution.boilerplate_only
    if only_looks or execution.plugin_file is not None or execution.mem_mb is not None:
        return False
    labels = invocation.data.participants or ("*",)
    is_new = not all(any(execution.out_dir.glob(REPORT.format(label))) for label in labels)
    return is_new and (execution.n_procs or available_processors()) > 1


def _known_conditions(drafts: Iterable[Draft]) -> dict[str, list[str]]:
    """Gather each task's conditions over all participants."""
    from bids_fx.contrasts import conditions_of
    from bids_fx.inputs import BoldRun

    known: dict[str, set[str]] = {}
    for draft in drafts:
        for source in draft.sources:
            if isinstance(source, BoldRun):
                names = conditions_of(source)
                known.setdefault(source.entities.get("task", ""), set()).update(names)
    return {task: sorted(names) for task, names in known.items()}


def _merged(
    first: Mapping[str, Sequence[str]], second: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return the conditions of both, by task."""
    return {
        task: sorted({*first.get(task, ()), *second.get(task, ())}) for task in {*first, *second}
    }
