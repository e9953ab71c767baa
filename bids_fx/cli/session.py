"""One call that computes: participants are worked through in batches, and concluded one by one."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_fx.cli.interruption import Interruption
from bids_fx.cli.presets import format_presets
from bids_fx.cli.progress import Progress
from bids_fx.cli.resources import available_memory_gb, available_processors
from bids_fx.derivatives import paths
from bids_fx.derivatives.dataset import write_dataset_files, write_state
from bids_fx.derivatives.results import write_design
from bids_fx.derivatives.status import (
    HashCache,
    recorded_hashes,
    run_inputs,
    stamp_of,
    unfinished,
)
from bids_fx.derivatives.write import WORK_AREA, locked, output_error, write_json, write_text
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.records import Plan, Todo
from bids_fx.settings import Invocation

logger = logging.getLogger("bids_fx")

#: Participants of one nipype workflow; more would only make its graph slow to build.
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one participant ended.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    state : str
        ``done`` or ``failed``.
    reasons : tuple of str
        What failed.
    missing : tuple of str
        Planned outputs that are not there.
    """

    participant: str
    state: str
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


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
        self.work_dir = invocation.execution.work_dir or self.out_dir / WORK_AREA
        self.log_dir = self.out_dir / "logs" / str(uuid.uuid4())
        for folder in (self.out_dir, self.work_dir):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise output_error(folder, error) from error
        # matplotlib writes a font cache; HOME may not be writable and is none of our business.
        os.environ.setdefault("MPLCONFIGDIR", str(self.work_dir / "matplotlib"))

    def write_citation(self, plans: Sequence[Plan]) -> Path:
        """Write the methods text and its bibliography; return the text's path."""
        from bids_fx.methods import citation_files, render_methods, software_versions

        text = render_methods(plans, software_versions())
        with locked(self.out_dir, "citation"):
            for name, content in citation_files(text).items():
                write_text(self.out_dir / "logs" / name, content)
        return self.out_dir / "logs" / "CITATION.md"

    def work_through(self, plans: Sequence[Plan], refused: Sequence[Plan]) -> bool:
        """Run all participants and write what is known of each.

        Parameters
        ----------
        plans : sequence of Plan
            Participants who can be run.
        refused : sequence of Plan
            Participants whose input has problems.

        Returns
        -------
        bool
            Whether every planned output of every participant exists.
        """
        write_dataset_files(self.out_dir, self.invocation.data)
        write_text(self.log_dir / "config.toml", format_presets(self.invocation))
        self.write_citation(plans)
        outcomes = [self._refuse(plan) for plan in refused]
        for start in range(0, len(plans), BATCH):
            outcomes += self._run_batch(plans[start : start + BATCH])
        summary = {
            item.participant: {
                "state": item.state,
                "reasons": list(item.reasons),
                "missing": list(item.missing),
            }
            for item in outcomes
        }
        write_json(self.log_dir / "summary.json", summary)
        return all(item.state == "done" for item in outcomes)

    def _refuse(self, plan: Plan) -> Outcome:
        """Say of a participant what is wrong; a report of earlier results is left as it is."""
        reasons = tuple(map(str, plan.problems))
        write_state(self.out_dir, plan.participant, "failed", "; ".join(reasons))
        if not (self.out_dir / paths.report(plan.participant)).exists():
            self._write_report(plan, ())
        return Outcome(participant=plan.participant, state="failed", reasons=reasons)

    def _run_batch(self, plans: Sequence[Plan]) -> list[Outcome]:
        """Run some participants in one workflow and conclude each."""
        execution = self.invocation.execution
        with ExitStack() as stack:
            work: list[tuple[Plan, Todo]] = []
            caches: list[HashCache] = []
            for plan in plans:
                stack.enter_context(locked(self.out_dir, f"sub-{plan.participant}"))
                write_state(self.out_dir, plan.participant, "running")
                cache = HashCache.of_participant(self.out_dir, plan.participant)
                todo = unfinished(
                    plan,
                    self.out_dir,
                    cache,
                    force=execution.force,
                    only_figures=execution.reports_only,
                )
                work.append((plan, todo))
                caches.append(cache)
            outcomes = self._run_work(work, caches)
            for cache in caches:
                cache.save()
        return outcomes

    def _run_work(
        self, work: Sequence[tuple[Plan, Todo]], caches: Sequence[HashCache]
    ) -> list[Outcome]:
        """Run what is to be done and learn the hashes of what was read."""
        stamps = {}
        for plan, todo in work:
            for key in sorted(todo.runs):
                run = plan.run(key)
                write_design(run, plan.settings, self.out_dir)
                stamps.update({file: stamp_of(file) for file in run_inputs(run).values()})
        due = [(plan, todo) for plan, todo in work if todo]
        failures = self._run_workflow(due) if due else ()
        outcomes = []
        for (plan, todo), cache in zip(work, caches, strict=True):
            for key in todo.runs:
                run = plan.run(key)
                inputs = run_inputs(run)
                for uri, value in recorded_hashes(run, self.out_dir).items():
                    cache.learn(inputs[uri], value, stamps[inputs[uri]])
            own = [item for item in failures if item.participant == plan.participant]
            outcomes.append(self._conclude(plan, own))
        return outcomes

    def _run_workflow(self, due: Sequence[tuple[Plan, Todo]]) -> Sequence[Any]:
        """Build and run the workflow; return its failures."""
        from bids_fx.workflows.base import (
            WORKFLOW,
            Resources,
            init_bids_fx_wf,
            run_workflow,
            workflow_name,
        )

        execution = self.invocation.execution
        n_procs = execution.n_procs or available_processors()
        n_fits = max(1, sum(len(todo.runs) for _, todo in due))
        memory = available_memory_gb() if execution.mem_mb is None else execution.mem_mb / 1e3
        resources = Resources(
            n_procs=n_procs,
            n_threads=execution.omp_nthreads or max(1, n_procs // n_fits),
            mem_gb=memory,
            plugin=_read_plugin(execution.plugin_file),
            stop_on_first_crash=execution.stop_on_first_crash,
        )
        folders = {
            plan.participant: self.work_dir / WORKFLOW / workflow_name(plan.participant)
            for plan, _ in due
        }
        if execution.clean_work_dir:
            for folder in folders.values():
                shutil.rmtree(folder, ignore_errors=True)
        workflow = init_bids_fx_wf(
            due, out_dir=self.out_dir, work_dir=self.work_dir, n_threads=resources.n_threads
        )
        if execution.write_graph:
            self._write_graph(workflow)
        with Progress(self.interruption) as progress:
            failures = run_workflow(workflow, resources, crash_dir=self.log_dir, progress=progress)
        failed = {failure.participant for failure in failures}
        for participant, folder in folders.items():
            # Nothing in it is used again: what is done is decided from the outputs.
            if participant not in failed:
                shutil.rmtree(folder, ignore_errors=True)
        return failures

    def _write_graph(self, workflow: Any) -> None:
        """Write the workflow's graph as a .dot file and, where graphviz is there, as SVG."""
        path = self.log_dir / "graph.dot"
        self.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            workflow.write_graph(dotfilename=str(path), graph2use="colored", format="svg")
        except OSError as error:
            logger.warning("%s was written, but not drawn: %s", path, error)

    def _conclude(self, plan: Plan, failures: Sequence[Any]) -> Outcome:
        """Write a participant's report and see whether every planned output is there."""
        report = self._write_report(plan, failures)
        missing = tuple(
            str(path)
            for path in paths.expected_outputs(plan)
            if not (self.out_dir / path).exists()
        )
        reasons = tuple(f"{item.task}: {item.message}" for item in failures)
        if missing:
            reasons += (f"{len(missing)} planned outputs are missing, {missing[0]} the first",)
        state = "failed" if reasons else "done"
        write_state(self.out_dir, plan.participant, state, "; ".join(reasons))
        for reason in reasons:
            logger.error("sub-%s: %s", plan.participant, reason)
        logger.info("sub-%s: %s", plan.participant, state)
        print(report)
        return Outcome(participant=plan.participant, state=state, reasons=reasons, missing=missing)

    def _write_report(self, plan: Plan, failures: Sequence[Any]) -> Path:
        """Write the report of what is there and what failed."""
        from bids_fx.methods import render_methods, software_versions
        from bids_fx.reports.html import Failure, write_report

        versions = software_versions()
        told = [
            Failure(record=item.task, message=item.message, details=item.details)
            for item in failures
        ]
        return write_report(
            plan,
            self.out_dir,
            failures=told,
            software=versions,
            methods=render_methods([plan], versions),
        )


def _read_plugin(path: Path | None) -> dict[str, Any] | None:
    """Read a nipype plugin file: YAML with `plugin` and, perhaps, `plugin_args`."""
    if path is None:
        return None
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BIDSFXError.single(
            str(path), f"cannot be read ({error})", "give a YAML file", ExitCode.MISSING_INPUT
        ) from error
    if not isinstance(values, dict) or not isinstance(values.get("plugin"), str):
        raise BIDSFXError.single(
            str(path),
            "names no nipype plugin",
            "write 'plugin: NAME' and, if need be, 'plugin_args:'",
            ExitCode.USAGE,
        )
    return values
