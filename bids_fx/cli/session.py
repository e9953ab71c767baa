"""One call that computes: participants are worked through in batches, and concluded one by one."""

from __future__ import annotations

import gc
import logging
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bids_fx.calls import Failure
from bids_fx.cli.account import Account
from bids_fx.cli.interruption import Interruption
from bids_fx.cli.mishaps import Mishaps
from bids_fx.cli.outcomes import Outcome, bare, check_writable, conclude, refuse
from bids_fx.cli.plugin_file import read_plugin
from bids_fx.cli.presets import filters_json, format_presets
from bids_fx.cli.progress import Progress
from bids_fx.cli.resources import (
    give_matplotlib_a_folder,
    this_machine,
    warn_of_little_room,
    work_dir_of,
)
from bids_fx.cli.summary import Stamps, warn_of_excess, write_resources
from bids_fx.derivatives import paths
from bids_fx.derivatives.dataset import write_dataset_files, write_state
from bids_fx.derivatives.hashes import HashCache
from bids_fx.derivatives.locks import locked
from bids_fx.derivatives.planted import refuse_planted
from bids_fx.derivatives.states import planned, under_way
from bids_fx.derivatives.status import (
    contradicted,
    recorded_hashes,
    remove_contradicted,
    run_inputs,
    unfinished,
)
from bids_fx.derivatives.write import (
    make_writable,
    remove_temporaries,
    remove_unfinished,
    stamp_of,
    write_text,
)
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.memory import allow, series_bytes
from bids_fx.records import Plan, RunPlan, Todo
from bids_fx.settings import Invocation, digest
from bids_fx.usage import Meter
from bids_fx.workflows.private import private_folder
from bids_fx.workflows.server import start_server

logger = logging.getLogger("bids_fx")

#: Participants of one nipype workflow; more would only make its graph slow to build.
BATCH = 16


class _Part(NamedTuple):
    """What is known of a participant before its part of a workflow runs.

    Attributes
    ----------
    todo : Todo
        What is to be done.
    cache : HashCache
        Hashes of files.
    before : Stamps
        The planned outputs as they were.
    inputs : mapping of Path to list
        Size and time of change of each file that will be read.
    """

    todo: Todo
    cache: HashCache
    before: Stamps
    inputs: Mapping[Path, list[object]]


class Session:
    """One call of the program that writes to the output folder.

    Parameters
    ----------
    invocation : Invocation
        The command line as settings.
    interruption : Interruption
        Tells of signals that end the program.
    """

    def __init__(self, invocation: Invocation, interruption: Interruption) -> None:
        self.invocation = invocation
        self.interruption = interruption
        self.out_dir = invocation.execution.out_dir
        self.work_dir = work_dir_of(invocation.execution)
        plugin_file = invocation.execution.plugin_file
        self.plugin = read_plugin(plugin_file) if plugin_file is not None else None
        self.meter = Meter(forgets=invocation.execution.resource_monitor)
        self.log_dir = self.out_dir / "logs" / str(uuid.uuid4())
        self.mishaps = Mishaps(self.out_dir, self.log_dir)
        self.account = Account(self.out_dir, self.log_dir, self.meter, self.mishaps)
        refuse_planted(self.out_dir)
        for folder in (self.out_dir, self.work_dir):
            make_writable(folder)
        # Scratch may be shared by users, and by calls with other output folders.
        name = f"out-{digest(str(self.out_dir.resolve()))[:12]}"
        self.nipype_dir = private_folder(self.work_dir) / name
        give_matplotlib_a_folder(self.work_dir)

    def write_citation(
        self, plans: Sequence[Plan], versions: Mapping[str, str] | None = None
    ) -> Path:
        """Write the methods text and its bibliography; return the text's path.

        Parameters
        ----------
        plans : sequence of Plan
            What was done.
        versions : mapping of str to str or None
            Those of the software that did it; None means what runs now.
        """
        from bids_fx.cli.citation import write_citation
        from bids_fx.methods import render_methods, software_versions

        return write_citation(self.out_dir, render_methods(plans, versions or software_versions()))

    def write_models(self, models: Mapping[str, str]) -> None:
        """Write models of the analysis, by the names of their files."""
        folder = self.out_dir / paths.MODELS
        with locked(self.out_dir, folder.name):
            remove_temporaries(folder)
            for name, text in models.items():
                write_text(folder / name, text)

    def work_through(self, plans: Sequence[Plan], refused: Sequence[Plan]) -> ExitCode:
        """Run all participants and write what is known of each.

        Parameters
        ----------
        plans : sequence of Plan
            Participants who can be run.
        refused : sequence of Plan
            Participants whose input has problems.

        Returns
        -------
        ExitCode
            OK if every planned output of every participant exists.
        """
        refuse_planted(self.out_dir, [plan.participant for plan in (*plans, *refused)])
        participants = [plan.participant for plan in plans]
        with under_way(self.log_dir) as call, planned(self.out_dir, call, participants):
            self._write_files_of_all(plans, refused)
            with self.account.going_on():
                self._work_through(plans, refused)
            everybody = [plan.participant for plan in (*refused, *plans)]
            return self.account.summarize(everybody, self.invocation.level)

    def _write_files_of_all(self, plans: Sequence[Plan], refused: Sequence[Plan]) -> None:
        """Write what is not of one participant."""
        self.begin(sum(len(plan.runs) for plan in (*plans, *refused)))
        write_dataset_files(self.out_dir, self.invocation.data)
        model = self.invocation.data.model_file
        if model is not None:
            write_text(self.log_dir / "model_smdl.json", model.read_text("utf-8-sig"))
        self.write_citation(plans)

    def _work_through(self, plans: Sequence[Plan], refused: Sequence[Plan]) -> None:
        """Tell of those who cannot be run, and run the others."""
        for plan in refused:
            with self._locked(plan):
                stamps = Stamps.of([bare(plan)], self.out_dir)
                with self.account.at_work_on(plan.participant, stamps):
                    tell = partial(refuse, plan, self.out_dir, self.machine, self.meter)
                    self.account.told(plan, (), tell)
        for start in range(0, len(plans), BATCH):
            self._run_batch(plans[start : start + BATCH])
            # The parts of a workflow know each other. Left to itself, Python looks for such
            # garbage so rarely that some 100 kB of it would stay of each participant.
            gc.collect()
            if self.invocation.execution.stop_on_first_crash and self.account.has_failures:
                break

    def _locked(self, *plans: Plan) -> AbstractContextManager[None]:
        """Return what holds the locks of participants; a lost one ends the call."""
        names = (f"sub-{plan.participant}" for plan in plans)
        return locked(self.out_dir, *names, on_loss=self.interruption.end)

    def begin(self, n_runs: int) -> None:
        """Look at the machine, for a number of runs, and keep the call's options."""
        self.machine = this_machine(self.invocation.execution, n_planned=n_runs)
        filter_file = None
        if self.invocation.data.filters:
            filter_file = self.log_dir / "filters.json"
            write_text(filter_file, f"{filters_json(self.invocation)}\n")
        write_text(self.log_dir / "config.toml", format_presets(self.invocation, filter_file))

    def _run_batch(self, plans: Sequence[Plan]) -> None:
        """Run some participants in one workflow and conclude each."""
        with self._locked(*plans):
            parts: list[tuple[Plan, _Part | None]] = []
            for plan in plans:
                with self.account.beginning_with(plan):
                    part = self.mishaps.attempt(plan.participant, self._look_at, plan)
                    parts.append((plan, part))
            due = [(plan, part.todo) for plan, part in parts if part is not None and part.todo]
            failures = self._run_due(due) if due else []
            for plan, part in parts:
                own = [failure for name, failure in failures if name == plan.participant]
                own += self.mishaps.of(plan.participant)
                self.account.told(plan, own, partial(self._conclude, plan, part, own))

    def _look_at(self, plan: Plan) -> _Part:
        """See what of a participant is to be done, and remove what contradicts it."""
        check_writable(plan, self.out_dir)
        write_state(self.out_dir, plan.participant, "running")
        remove_unfinished(self.out_dir, plan.participant)
        before = Stamps.of([plan], self.out_dir)
        cache = HashCache.of_participant(self.out_dir, plan.participant)
        with self.account.at_work_on(plan.participant):
            todo = unfinished(plan, self.out_dir, cache, force=self.invocation.execution.force)
        inputs = {
            file: stamp_of(file)
            for key in todo.runs
            for file in (*run_inputs(plan.run(key)).values(), *self._witness(plan.run(key)))
        }
        for path in contradicted(plan, self.out_dir):
            logger.warning(
                "sub-%s: %s is of another model, test or choice of runs and will be removed.",
                plan.participant,
                path.name,
            )
        remove_contradicted(plan, todo, self.out_dir)
        return _Part(todo, cache, before, inputs)

    def _run_due(self, due: Sequence[tuple[Plan, Todo]]) -> list[tuple[str, Failure]]:
        """Run what is to be done; one whose part nipype cannot run keeps no other from theirs."""
        try:
            return self.run_nodes(due)
        except BIDSFXError as error:  # it ended all of them together
            told = Failure(record="the workflow", message=str(error), code=error.exit_code)
            return [(plan.participant, told) for plan, _ in due]
        except Exception as error:  # whatever it is, who meets it alone is told
            if len(due) == 1:
                self.mishaps.keep(due[0][0].participant, error)
                return []
            logger.debug("Each of %d participants is run alone.", len(due), exc_info=True)
            return [failure for one in due for failure in self._run_due([one])]

    def _conclude(self, plan: Plan, part: _Part | None, failures: Sequence[Failure]) -> Outcome:
        """Learn the hashes of what was read, and see what there is of a participant."""
        if part is None:  # not even what is to be done is known
            cache = HashCache.of_participant(self.out_dir, plan.participant)
            part = _Part(Todo(), cache, Stamps(self.out_dir, {}), {})
        todo, cache = part.todo, part.cache
        with self.account.at_work_on(plan.participant, part.before):
            for key in todo.runs:
                self._learn(plan.run(key), cache, part.inputs)
            left = unfinished(plan, self.out_dir, cache, force=False) if todo else todo
            outcome = conclude(
                plan,
                self.out_dir,
                cache,
                left=left,
                failures=failures,
                machine=self.machine,
                meter=self.meter,
            )
        _keep(cache)
        return outcome

    def _witness(self, run: RunPlan) -> tuple[Path, ...]:
        """Return the sidecar of a run's mask, if there is one: a fit always writes it anew."""
        path = self.out_dir / paths.sidecar(paths.mask(run.entities))
        return (path,) if path.exists() else ()

    def _learn(self, run: RunPlan, cache: HashCache, stamps: Mapping[Path, list[object]]) -> None:
        """Keep the hashes that a fit took of its inputs; one that failed took none."""
        inputs = run_inputs(run)
        for witness in self._witness(run):
            if stamps.get(witness) == stamp_of(witness):
                continue
            for uri, value in recorded_hashes(paths.mask(run.entities), self.out_dir).items():
                cache.learn(inputs[uri], value, stamps[inputs[uri]])

    def run_nodes(self, due: Sequence[tuple[Plan, Todo]]) -> list[tuple[str, Failure]]:
        """Build and run a workflow; return participant and failure of each node that failed."""
        execution = self.invocation.execution
        allowance, plans = allow(
            [plan for plan, _ in due],
            replace(self.machine, is_limit=False),  # what does not fit was refused before
            n_fits=sum(len(todo.runs) for _, todo in due),
            n_joins=sum(len(todo.contrasts) for _, todo in due),
        )
        due = [(plan, todo) for plan, (_, todo) in zip(plans, due, strict=True)]
        fits = [plan.run(key) for plan, todo in due for key in todo.runs]
        stored = [series_bytes(run) for run in fits if run.on_disk]
        if stored and self.plugin is None:
            warn_of_little_room(stored, allowance.n_procs, self.work_dir)
        if allowance.n_procs > 1 and self.plugin is None:
            # It imports what the nodes need while this process imports nipype.
            start_server()
        from bids_fx.workflows.base import (
            WORKFLOW,
            Resources,
            init_bids_fx_wf,
            run_workflow,
            workflow_name,
        )
        from bids_fx.workflows.spared import run_with_spared

        resources = Resources(
            n_procs=allowance.n_procs,
            mem_gb=allowance.mem_gb,
            own_gb=allowance.own_gb,
            plugin=self.plugin,
            stop_on_first_crash=execution.stop_on_first_crash,
        )
        folders = {
            plan.participant: self.nipype_dir / WORKFLOW / workflow_name(plan.participant)
            for plan, _ in due
        }
        if execution.clean_work_dir:
            for folder in folders.values():
                shutil.rmtree(folder, ignore_errors=True)
        build = partial(
            init_bids_fx_wf,
            out_dir=self.out_dir,
            work_dir=self.nipype_dir,
            allowance=allowance,
        )
        workflow = build(due)
        if execution.write_graph:
            self._write_graph(workflow)
        n_before = len(self.meter.nodes)
        with Progress(self.interruption) as progress:
            run = partial(
                run_workflow, resources=resources, crash_dir=self.log_dir, meter=self.meter
            )
            stops = execution.stop_on_first_crash
            failures = run_with_spared(due, workflow, run, build, progress, stops=stops)
        if execution.resource_monitor:
            with self.account.going_on():
                self._tell_resources(n_before)
        failed = {failure.participant for failure in failures}
        for participant, folder in folders.items():
            # Nothing in it is used again: what is done is decided from the outputs.
            if participant not in failed:
                shutil.rmtree(folder, ignore_errors=True)
        return [
            (
                one.participant,
                Failure(
                    record=one.task,
                    message=one.message,
                    details=one.details,
                    crash=one.file.relative_to(self.out_dir).as_posix() if one.file else "",
                    code=one.code,
                ),
            )
            for one in failures
        ]

    def _tell_resources(self, n_before: int) -> None:
        """Write what all nodes took, and warn of those that have come since there were some."""
        write_resources(self.log_dir, self.meter.nodes)
        warn_of_excess(self.meter.nodes[n_before:])
        if self.meter.is_blind:
            logger.warning(
                "--resource-monitor: what nodes take is not known where --use-plugin runs them."
            )

    def _write_graph(self, workflow: Any) -> None:
        """Write the workflow's graph as a .dot file and, where graphviz is there, as SVG."""
        path = self.log_dir / "graph.dot"
        self.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            workflow.write_graph(dotfilename=str(path), graph2use="colored", format="svg")
        except OSError as error:
            logger.warning("%s was written, but not drawn: %s", path, error)


def _keep(cache: HashCache) -> None:
    """Keep hashes for the next call, which can do without."""
    try:
        cache.save()
    except BIDSFXError as error:
        logger.warning("The next call has to read all inputs to know them: %s", error)
