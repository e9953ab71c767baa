"""The plugin for Slurm, which asks about all jobs at once and how lost ones ended."""

from __future__ import annotations

import logging
import math
import re
import shlex
import time
from pathlib import Path
from typing import Any

from bids_fx.workflows.clusters import ClusterPlugin, Ending, ask, sets
from bids_fx.workflows.plugins import POLL_S, SCHEDULERS

logger = logging.getLogger("bids_fx")

#: What a job's own interpreter takes in MB beside its node: nothing is shared with others.
INTERPRETER_MB = 250

_AGAIN = "the same command goes on with it"
#: States of jobs that have ended, by what to do about them.
# https://slurm.schedmd.com/job_state_codes.html
ADVICE = {
    "BOOT_FAIL": _AGAIN,
    "CANCELLED": _AGAIN,
    "COMPLETED": "",
    "DEADLINE": _AGAIN,
    "FAILED": "",
    "NODE_FAIL": _AGAIN,
    "OUT_OF_MEMORY": "ask for more by --mem in the plugin's sbatch_args",
    "PREEMPTED": _AGAIN,
    "REVOKED": _AGAIN,
    "TIMEOUT": "ask for more time by --time in the plugin's sbatch_args",
}

_MEMORY = r"--mem(-per-cpu|-per-gpu)?(=.*)?"
_PROCESSORS = r"-c.*|--cpus-per-(task|gpu)(=.*)?"


class SlurmPlugin(ClusterPlugin):
    """Jobs of Slurm; lost ones are told with their state.

    Parameters
    ----------
    plugin_args : dict
        nipype's arguments of its plugin.
    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(SCHEDULERS["SLURM"], plugin_args)
        self._poll_s = float(plugin_args.get("poll_sleep_duration", POLL_S))
        self._ended: set[str] = set()
        self._asked = -math.inf
        self._is_told = False

    def _resources(self, node: Any, words: list[str]) -> list[str]:
        """Return what a node needs, unless the user's options or template say it."""
        in_template = re.findall(r"^#SBATCH\s+(.*)$", self._template, re.MULTILINE)
        words = [
            *words,
            *(word for line in in_template for word in shlex.split(line, comments=True)),
        ]
        options = []
        if not sets(words, _MEMORY):
            options.append(f"--mem={math.ceil(1e3 * node.mem_gb) + INTERPRETER_MB}M")
        if not sets(words, _PROCESSORS):
            options.append(f"--cpus-per-task={node.n_procs}")
        return options

    def _log_name(self, path: Path) -> str:
        """Return a path in which nothing is a pattern of Slurm's."""
        return str(path).replace("\\", "\\\\").replace("%", "%%")

    def _is_pending(self, taskid: str) -> bool:
        """Tell whether a job waits or runs; all jobs are asked for at once, and not too often."""
        if taskid not in self._ended and time.monotonic() - self._asked >= 0.9 * self._poll_s:
            self._look()
        return taskid not in self._ended

    def _look(self) -> None:
        """Learn which jobs have ended; while Slurm does not answer none has."""
        self._asked = time.monotonic()
        jobs = [job for job in self._pending if job not in self._ended]
        numbers = ",".join(jobs)
        answer = ask(*self.scheduler.status, numbers)
        if answer is None or (answer.returncode and self.scheduler.over not in answer.stderr):
            if not self._is_told:
                logger.warning("squeue does not answer; waiting until it does.")
            self._is_told = True
            return
        self._is_told = False
        self._ended |= set(jobs) - set(answer.stdout.split())

    def _ending(self, job: str) -> Ending | None:
        """Return how a job ended; accounting may be off, or late by some seconds."""
        accounts = ask("sacct", "-XnP", "--format=State,ExitCode", f"--jobs={job}")
        record = ask("scontrol", "--oneliner", "show", "job", job)
        for answer, pattern in (
            (accounts, r"^([A-Z_]+)[^|]*\|(.*)$"),
            (record, r"\bJobState=(\S+).*\bExitCode=(\S+)"),
        ):
            found = re.search(pattern, answer.stdout, re.MULTILINE) if answer else None
            if found and found[1] in ADVICE:
                state, code = found.groups()
                is_success = state == "COMPLETED"
                return Ending(state=state, code=code, is_success=is_success, advice=ADVICE[state])
        return None
