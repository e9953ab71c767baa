"""What nipype's plugins for schedulers do, without losing jobs.

nipype's own know that a job has ended from the scheduler, and how from a file that the job leaves.
A file of an earlier job counts as well then, and a job that was killed has none, which ends the
whole run; one that SGE or LSF has forgotten is waited for for ever, and what a scheduler says when
it refuses a job is lost. These share with them the scripts of jobs and the scheduling of nodes.
"""

from __future__ import annotations

import logging
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.pipeline.engine.utils import load_resultfile
from nipype.pipeline.plugins.base import SGELikeBatchManagerBase
from nipype.utils.filemanip import savepkl

from bids_fx.workflows.failures import KeepsFailures
from bids_fx.workflows.job import CRASH, NODE
from bids_fx.workflows.pickles import load_own
from bids_fx.workflows.plugins import SCHEDULERS, Scheduler

logger = logging.getLogger("bids_fx")

#: Seconds until what a compute node wrote is seen here: NFS keeps what it knows for up to 60.
RESULT_S = 60.0
#: Seconds after which a scheduler's program that does not answer is given up.
ANSWER_S = 60
#: How often a submission that fails is tried again, and after how many seconds; as in nipype.
TRIES, RETRY_S = 2, 2.0
#: Lines of a lost job's log that its crash file shows.
LOG_LINES = 20

#: How the name of a job's script begins.
_SCRIPT = "batchscript_"

#: What a plugin hands over of a node that has ended.
NodeResult = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job ended by what its scheduler says.

    Parameters
    ----------
    state : str
        In the scheduler's words.
    code : str
        Its exit code as the scheduler writes it.
    is_success : bool
        Whether a result is to be expected.
    advice : str
        What to do about it; may be empty.
    """

    state: str
    code: str
    is_success: bool
    advice: str = ""


class ClusterPlugin(KeepsFailures, SGELikeBatchManagerBase):
    """Jobs of any scheduler; what only one of them has is in classes of their own.

    Parameters
    ----------
    scheduler : Scheduler
        Which one.
    plugin_args : dict
        nipype's arguments of its plugin.
    """

    def __init__(self, scheduler: Scheduler, plugin_args: dict[str, Any]) -> None:
        super().__init__(scheduler.template, plugin_args=plugin_args)
        self.scheduler = scheduler
        self._patience_s = float(plugin_args.get("job_finished_timeout", RESULT_S))
        self._scripts: dict[str, Path] = {}
        self._refused: dict[str, str] = {}
        self._missed_since: dict[str, float] = {}

    def stop(self) -> None:
        """Cancel the jobs that have not ended."""
        jobs = [str(job) for job in self._pending]
        if not jobs:
            return
        command = [self.scheduler.cancel, *jobs]
        # Before it is known whether that works: the end of the program may not wait for it.
        logger.info("Cancelling the jobs that have not ended, by: %s", shlex.join(command))
        with undisturbed():
            answer = ask(*command)
        if answer is None or answer.returncode:
            logger.warning("Jobs may still run; cancel them by: %s", shlex.join(command))

    def _submit_job(self, node: Any, *, updatehash: bool = False) -> str:
        """Submit a node's job and return its number, or a name for one that was not taken."""
        del updatehash  # which nothing asks for
        with undisturbed():
            try:
                for path in _results(node.output_dir()):
                    path.unlink()
                return self._submit_batchtask(str(self._write_script(node)), node)
            except (RuntimeError, OSError) as error:
                job = f"refused {len(self._refused)}"
                self._refused[job] = f"{self.scheduler.title} did not take its job: {error}"
                return job

    def _write_script(self, node: Any) -> Path:
        """Write a node and the script that runs it to files; return the script.

        nipype's own would run a program in that folder, and read there what others may have put.
        """
        folder = Path(node.base_dir, node.itername.partition(".")[0], "batch")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.strftime('%Y%m%d_%H%M%S')}_{node.itername}"
        file, script = folder / f"{NODE}{name}.pklz", folder / f"{_SCRIPT}{name}.sh"
        savepkl(str(file), node)
        command = shlex.join([sys.executable, "-P", "-m", "bids_fx.workflows.job", str(file)])
        script.write_text("\n".join([self._template.rstrip("\n"), command, ""]))
        return script

    def _submit_batchtask(self, scriptfile: str, node: Any) -> str:
        """Submit a script with the options of the user and those that they do not set."""
        scheduler, script = self.scheduler, Path(scriptfile)
        words = shlex.split(self.plugin_args.get(scheduler.arguments) or "")
        words += [*self._resources(node, words), *self._logs(script, words)]
        name = ".".join(reversed(node.fullname.split(".")))
        name = name[: self.plugin_args.get("max_jobname_len", scheduler.max_name)]
        job = self._submitted(
            [scheduler.submit, *words, scheduler.name, name, *scheduler.before, scriptfile]
        )
        self._pending[job] = node.output_dir()
        self._scripts[job] = script
        return job

    def _submitted(self, command: list[str]) -> str:
        """Run the command that submits a job, again if it fails, and return the job's number.

        Raises
        ------
        RuntimeError
            With what the program says.
        """
        for left in reversed(range(1 + self.plugin_args.get("max_tries", TRIES))):
            answer = ask(*command)
            if answer is not None and answer.returncode == 0:
                pattern = self.plugin_args.get("jobid_re", self.scheduler.number)
                if found := re.search(pattern, answer.stdout):
                    return found[1]
                raise RuntimeError(f"no job number in its answer '{answer.stdout.strip()}'")
            if left:
                time.sleep(self.plugin_args.get("retry_timeout", RETRY_S))
        told = " ".join((answer.stderr or answer.stdout).split()) if answer is not None else ""
        raise RuntimeError(told or f"{self.scheduler.submit} does not answer")

    def _resources(self, node: Any, words: list[str]) -> list[str]:
        """Return options that ask for what a node needs; schedulers differ too much in them."""
        del node, words
        return []

    def _logs(self, script: Path, words: list[str]) -> list[str]:
        """Return the options that say where a job's log goes, unless the user says so.

        Whole words count: ``--oversubscribe`` says nothing of a log.
        """
        options = []
        for pattern, option, path in (
            (self.scheduler.output, "-o", _log(script, "out")),
            (self.scheduler.error, "-e", _log(script, "err")),
        ):
            if not sets(words, pattern):
                options += [option, self._log_name(path)]
        return options

    def _log_name(self, path: Path) -> str:
        """Return a path as the scheduler's options take it."""
        return str(path)

    def _get_result(self, taskid: str) -> NodeResult | None:
        """Return what a node left, None while it may still come, or how the job was lost."""
        if taskid in self._refused:
            return _failed(f"{self._refused[taskid]}\n")
        if self._is_pending(taskid):
            return None
        for path in _results(self._pending[taskid]):
            _remove_files_of(self._scripts[taskid])
            return _read(path)
        since = self._missed_since.setdefault(taskid, time.monotonic())
        ending = self._ending(taskid)
        if (ending is None or ending.is_success) and time.monotonic() - since < self._patience_s:
            return None
        return self._lost(taskid, ending)

    def _is_pending(self, taskid: str) -> bool:
        """Tell whether a job waits or runs, as it does while the scheduler does not answer."""
        answer = ask(*self.scheduler.status, str(taskid))
        told = answer.stdout + answer.stderr if answer is not None else ""
        return re.search(self.scheduler.over, told) is None

    def _ending(self, job: str) -> Ending | None:
        """Return how a job ended, or None where the scheduler does not tell."""
        del job
        return None

    def _lost(self, job: str, ending: Ending | None) -> NodeResult:
        """Tell of a job that left no result."""
        script = self._scripts[job]
        crash = script.with_name(f"{CRASH}{script.stem.removeprefix(_SCRIPT)}.pklz")
        if crash.exists():  # the node itself could not be read, or its folder not be made
            return _failed(*load_own(crash)["traceback"])
        told = f"its {self.scheduler.title} job {job} "
        if ending is None:
            told += "has ended and left no result"
        else:
            told += f"ended as {ending.state} (exit code {ending.code}) and left no result"
        log = _tail(_log(script, "err")) or _tail(_log(script, "out"))
        advice = ending.advice if ending is not None else ""
        if not (log or advice):
            advice = "is the work dir where all compute nodes see it?"
        last = "; ".join(filter(None, (told, advice)))
        return _failed(f"Batch script: {script}\n", *log, f"{last}\n")

    def _clear_task(self, taskid: str) -> None:
        """Forget a job that has ended."""
        self._pending.pop(taskid, None)


def cluster_plugin(name: str, plugin_args: dict[str, Any]) -> ClusterPlugin:
    """Return the plugin of one of `SCHEDULERS`."""
    if name == "SLURM":
        from bids_fx.workflows.slurm import SlurmPlugin

        return SlurmPlugin(plugin_args)
    return ClusterPlugin(SCHEDULERS[name], plugin_args)


def sets(words: list[str], pattern: str) -> bool:
    """Tell whether an option is among the words of a command line.

    Examples
    --------
    >>> sets(["--oversubscribe"], "-o.*|--output(=.*)?")
    False
    >>> sets(["--output=a.log"], "-o.*|--output(=.*)?")
    True
    """
    return any(re.fullmatch(pattern, word) for word in words)


def ask(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run a program of the scheduler; None if it cannot be started or does not answer."""
    try:
        return subprocess.run(  # noqa: S603 - no shell, and no word of the command is from the data
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off all signals that are handled: a job's number must be known once it is submitted.

    Other threads may still be given the signal, whose handler runs in this one: it waits too, as
    does what hears of signals by way of a file.
    Programs started meanwhile have the signals blocked, since Ctrl-C goes to them as well.
    """
    came: list[int] = []
    numbers = [one for one in signal.valid_signals() if callable(signal.getsignal(one))]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    hearer = signal.set_wakeup_fd(-1)
    handlers = {
        number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(hearer, warn_on_full_buffer=False)
        for late in came:
            signal.raise_signal(late)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _results(folder: str) -> list[Path]:
    """Return the files that a node's job leaves its result in: one or none."""
    return list(Path(folder).glob("result_*.pklz"))


def _remove_files_of(script: Path) -> None:
    """Remove what a job that has told its result was made of."""
    name = script.stem.removeprefix(_SCRIPT)
    for file in (f"{NODE}{name}.pklz", script.name):
        script.with_name(file).unlink(missing_ok=True)
    for suffix in ("out", "err"):
        _log(script, suffix).unlink(missing_ok=True)


def _read(path: Path) -> NodeResult:
    """Return a node's result; nipype keeps that of one that failed under another name."""
    result = load_resultfile(str(path))
    if not isinstance(result, dict):
        return {"result": result, "traceback": None}
    path.rename(path.with_name("crashstore.pklz"))
    return result


def _failed(*lines: str) -> NodeResult:
    """Return the result of a node that failed, told in some lines."""
    return {"result": None, "traceback": list(lines), "hostname": "unknown"}


def _log(script: Path, suffix: str) -> Path:
    """Return where a script's standard output (``out``) or error (``err``) goes."""
    return script.with_name(f"{script.stem}.{suffix}")


def _tail(path: Path) -> list[str]:
    """Return a log's path and last lines, or nothing where there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines(keepends=True)
    except OSError:
        return []
    return [f"Log: {path}\n", *(line.rstrip("\n") + "\n" for line in lines[-LOG_LINES:])]
