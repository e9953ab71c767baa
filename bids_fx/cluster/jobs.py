"""Submit a job's tasks, tell how each participant stands, send again what is missing.

One file that needs nothing but Python 3.6 and its standard library: login nodes have old Pythons,
and containers have no scheduler. A copy stands in each job's folder as ``cluster_jobs.py``.
"""

import argparse
import calendar
import contextlib
import fcntl
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

#: Exit codes: all are done; somebody is not; no such job; somebody is queued or at work.
DONE, FAILED, USAGE, NO_JOB, CANNOT_CREATE, UNFINISHED = 0, 1, 2, 66, 73, 75

#: Seconds after which a program of the scheduler is taken not to answer.
PATIENCE_S = 60

#: Slurm's default, below which the numbers of an array's tasks are; whatever Slurm allows, so many
#: that a list of them fits into one argument, which has 128 KiB.
MAX_ARRAY_SIZE, MOST_TASKS = 1001, 10000

#: What Slurm calls tasks that have not ended.
_QUEUED = "PENDING REQUEUED REQUEUE_HOLD REQUEUE_FED SPECIAL_EXIT"
_BUSY = "RUNNING CONFIGURING COMPLETING SUSPENDED STOPPED SIGNALING RESIZING"
LIVE = dict(dict.fromkeys(_QUEUED.split(), "pending"), **dict.fromkeys(_BUSY.split(), "running"))

#: How a participant may stand, in the order in which they are counted.
STATES = ("done", "running", "pending", "failed", "vanished", "unsent", "refused", "superseded")

#: How tasks end other than by themselves, by Slurm's word: what helps, and what it means.
FATES = {
    "OUT_OF_MEMORY": ("memory", "needed more than the {mem_mb} MB that it had"),
    "TIMEOUT": ("time", "was not done in the {minutes} min that it had"),
    "CANCELLED": ("again", "was cancelled{by}"),
    "NODE_FAIL": ("again", "its node failed"),
    "BOOT_FAIL": ("again", "its node did not start"),
    "PREEMPTED": ("again", "had to make room for another job"),
    "DEADLINE": ("again", "was not done by its deadline"),
    "REVOKED": ("again", "went to another cluster, which did not finish it"),
}

#: The same by exit code; the codes are a contract of the program.
CODES = {
    1: ("look", "something failed"),
    2: ("input", "the options are wrong"),
    16: ("input", "the dataset is no valid BIDS dataset"),
    17: ("input", "the analysis level is unknown"),
    18: ("input", "the filters, or a label, select nothing"),
    65: ("input", "bad data"),
    66: ("input", "an input is missing"),
    73: ("again", "the output could not be created"),
    74: ("again", "writing failed"),
    127: ("look", "the program, or what runs its container, is not on the node"),
    129: ("again", "was ended when its terminal closed"),
    130: ("again", "was interrupted"),
    137: ("memory", "was killed, as happens when memory runs out; it had {mem_mb} MB"),
    143: ("again", "was terminated"),
    255: ("look", "the container could not be started"),
}
SIGNALS = {128 + number: f"was ended by {number.name}" for number in signal.Signals}

#: In the reasons that the program gives, if memory is one: that it had, or that it was allowed.
MEMORY_SIGNS = ("memory runs out", "--mem-mb: ")

#: How other schedulers are told tasks, memory and time, and to do the level ``group`` after them;
#: PBS Professional, which knows no array of one task, and Torque are two kinds of one.
_PBS = "{tasks} -v BIDS_FX_MEM_MB={mem_mb} -l mem={mem_mb}mb,walltime={hours} {array}"
_SGE = "{tasks} -v BIDS_FX_MEM_MB={mem_mb} -l mem_free={mem_cpu_mb}M,h_rt={hours} {array}"
_LSF = "-M {mem_mb}MB -R 'span[hosts=1] rusage[mem={mem_mb}MB]' -W {minutes} <{array}"
_LSF = "BIDS_FX_MEM_MB={mem_mb} bsub -J '{name}{tasks}' " + _LSF
COMMANDS = (
    ("pbs", "qsub -J " + _PBS, 'job=$({first}) && qsub -W depend=afterany:"$job" {group}'),
    ("pbs", "qsub -t " + _PBS, 'job=$({first}) && qsub -W depend=afteranyarray:"$job" {group}'),
    ("sge", "qsub -terse -t " + _SGE, 'job=$({first}) && qsub -hold_jid "${{job%%.*}}" {group}'),
    ("lsf", _LSF, "{first} && bsub -J {name}-group -w 'ended({name})' <{group}"),
)


class JobsError(Exception):
    """What a user can mend, and the exit code that it causes."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code


class Need(NamedTuple):
    """What a task asks for."""

    mem_mb: int
    minutes: int


class Seen(NamedTuple):
    """What Slurm says of a task: state, exit code (128 + n of signal n), details, what it had."""

    state: str = ""
    code: int = 0
    detail: str = ""
    had: Tuple[int, int] = (0, 0)


#: What was seen by name, and who can be asked for it; what was submitted.
Records = Dict[str, Seen]
Asking = Callable[["Job", Sequence[str]], Records]
Line = Dict[str, Any]


class Standing(NamedTuple):
    """How a participant stands; why, what would help, and what a task sent again is to have."""

    participant: str
    task: int
    state: str
    had: Need
    reason: str = ""
    helps: str = ""
    again: Optional[Need] = None
    slurm_id: str = ""
    slurm_state: str = ""
    log: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it may still come to an end by itself."""
        return self.state in ("pending", "running")

    def remedy(self) -> str:
        """Say what to do about it."""
        if self.again is not None:
            more = [] if self.again.mem_mb == self.had.mem_mb else [f"{self.again.mem_mb} MB"]
            more += [] if self.again.minutes == self.had.minutes else [f"{self.again.minutes} min"]
            return "resubmit sends it again" + (" with " + " and ".join(more) if more else "")
        if self.state == "refused":
            return "mend the input, then make another job"
        if self.state != "failed":
            return ""
        if self.helps in ("memory", "time"):
            return "it had the most that job.json allows (max_mem_mb, max_minutes)"
        first = "mend the input" if self.helps == "input" else "see its log"
        return first + ", then resubmit with --all-failed"


class Found(NamedTuple):
    """How a job's participants stand, the level ``group``, and why Slurm could not be asked."""

    job: "Job"
    standings: List[Standing]
    group: str
    trouble: str


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Tell of values of the job's files that are not what they must be; nothing is sent here."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        text = f"A job.json or submissions.jsonl is damaged ({error!r})"
        raise JobsError(f"{text}; cancel what is queued, then make another job.", NO_JOB) from None


class Job:
    """A job's folder, as ``bids_fx-cluster`` writes it; JobsError if it is none."""

    @_reading()
    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.spec = _read_json(self.folder / "job.json")
        if self.spec.get("format") != 1:
            text = f"{folder}: no job.json of format 1; name a folder that bids_fx-cluster made."
            raise JobsError(text, NO_JOB)
        self.spec["options"] = list(map(str, self.spec["options"]))
        self.spec["cpus"] = max(1, int(self.spec["cpus"]))
        self.spec["throttle"] = int(self.spec.get("throttle") or 0)
        self._home = Path(self.spec.get("folder", self.folder))
        self.name = str(self.spec["name"])
        self.is_slurm = self.spec["scheduler"] == "slurm"
        self.need = Need(int(self.spec["mem_mb"]), int(self.spec["minutes"]))
        self.labels = [str(task["participant"]) for task in self.spec["tasks"]]
        self.tasks = range(1, len(self.labels) + 1)
        self._log = self.folder / "submissions.jsonl"
        self._lock = self.folder / "submissions.lock"

    @_reading()
    def submissions(self) -> List[Line]:
        """Return what was submitted, earliest first; each an array or the level ``group``."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else ()
        try:
            return [dict(json.loads(line)) for line in lines]
        except (ValueError, TypeError, RecursionError) as error:
            text = f"{self._log}: mend or remove this line: {getattr(error, 'doc', error)}"
            raise JobsError(text) from None

    def append(self, line: Line) -> None:
        """Write down a submission, with the file server's time, by which states are told old."""
        os.utime(str(self._lock))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._lock.stat().st_mtime))
        text = json.dumps(dict(line, time=now), sort_keys=True)
        try:
            with self._log.open("a", encoding="utf-8") as stream:
                stream.write(text + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            lost = line.get("id") or line["group"]
            remedy = f"nobody will know of it: scancel {lost}, make room and submit again."
            raise JobsError(f"Job {lost} is submitted, but {error}; {remedy}") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else submit meanwhile: by a lock, or a file where there are none."""
        if not (self._home.exists() and self._home.samefile(self.folder)):
            text = f"{self.folder}: moved or copied from {self._home}; make another job."
            raise JobsError(text, NO_JOB)
        try:
            stream = self._lock.open("w")
        except PermissionError as error:
            owner = f"user {self.folder.stat().st_uid}"
            with contextlib.suppress(KeyError):  # not a user of this machine
                owner = self.folder.owner()
            raise JobsError(f"{error}; the job belongs to {owner}.", CANNOT_CREATE) from None
        with stream, contextlib.ExitStack() as stack:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX)
            except OSError:  # a file that one alone can make, and that stays if that one is killed
                mark = self.folder / "submitting"
                try:
                    mark.touch(exist_ok=False)
                except FileExistsError:
                    text = f"{mark}: somebody is at work on this job; if nobody is, remove it."
                    raise JobsError(text, CANNOT_CREATE) from None
                stack.callback(mark.unlink)
            yield

    def told(self, participant: str, line: Optional[Line]) -> Tuple[str, str]:
        """Return state and reason as the program wrote them down since a submission."""
        path = self.folder.parent.parent / ".bids_fx_work" / "states" / f"sub-{participant}.json"
        since = (self.folder / "job.json").stat().st_mtime
        if line is not None:
            since = calendar.timegm(time.strptime(line["time"], "%Y-%m-%dT%H:%M:%SZ"))
        if not path.exists() or path.stat().st_mtime < since:
            return "", ""
        kept = _read_json(path)
        return str(kept.get("state", "")), str(kept.get("reason", ""))

    def ended(self, task: object) -> Path:
        """Return the file in which a task leaves how it ended."""
        return self.folder / "ended" / f"{task}.json"

    def end(self, task: object) -> Line:
        """Return what a task left when it ended; nothing where its exit code is no number."""
        values = _read_json(self.ended(task))
        return values if isinstance(values.get("code"), int) else {}


def _read_json(path: Path) -> Line:
    """Return what a JSON file holds; nothing where it is absent, damaged or a pipe."""
    try:
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _problems(log: Path) -> str:
    """Return what a task's log lists as problems; else how it could not start."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    except OSError:
        return ""
    lines = text.splitlines()
    found = [line[4:] for line in lines if line.startswith("  - ")]
    found = found or [line for line in lines if line.startswith(("task.sh: ", "FATAL:"))][-1:]
    return "".join(found[:1]) + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")


def _run(program: str, arguments: Sequence[str], folder: Path) -> str:
    """Return what a program of Slurm writes."""
    path = shutil.which(program)
    if path is None:
        raise JobsError(f"{program} is not here: call this on a login node, in no container.")
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and each argument is one word
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
            cwd=str(folder),
            env=dict(os.environ, SLURM_BITSTR_LEN="0"),  # else long lists of tasks are cut short
            # A submission that was given up may have been taken.
            timeout=None if program == "sbatch" else PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise JobsError(f"{program} did not answer within {PATIENCE_S} s.") from None
    if done.returncode:
        raise JobsError(f"{program} refused: {done.stderr.strip() or done.returncode}")
    return done.stdout


def numbers(text: str) -> List[int]:
    """Return the task numbers of a list as Slurm writes it.

    Examples
    --------
    >>> numbers("1,3-5,8-12:2%2")
    [1, 3, 4, 5, 8, 10, 12]
    """
    listed = re.findall(r"(\d+)(?:-(\d+))?(?::(\d+))?", text.partition("%")[0])
    parts = (range(int(low), int(high or low) + 1, int(step or 1)) for low, high, step in listed)
    return [task for part in parts for task in part]


def ranges(tasks: Sequence[int]) -> List[str]:
    """Return task numbers as ranges.

    Examples
    --------
    >>> ranges([1, 3, 4, 5, 8])
    ['1', '3-5', '8']
    """
    found: List[List[int]] = []
    for task in sorted(tasks):
        if found and found[-1][1] == task - 1:
            found[-1][1] = task
        else:
            found.append([task, task])
    return [f"{a}" if a == b else f"{a}-{b}" for a, b in found]


def _records(job: Job, ids: Sequence[str]) -> Tuple[Optional[Records], str]:
    """Return what Slurm says of arrays' tasks (``ID_N``) and of jobs (``ID``), or why it does not.

    The accounting may lag by seconds and the controller forgets what ended minutes ago, so that
    what only the accounting calls live is lost. Either will do where the other does not answer.
    """
    found, trouble = _asked(_accounted, job, ids)
    now, more = _asked(_current, job, ids)
    if found is None or now is None:
        return now if found is None else found, f"{trouble}\n{more}" if trouble and more else ""
    found = {name: seen for name, seen in found.items() if seen.state not in LIVE or name in now}
    for name, seen in now.items():
        old = found.get(name, seen)
        detail = seen.detail if seen.state in LIVE else old.detail
        found[name] = seen._replace(had=old.had, detail=detail)
    return found, ""


def _asked(ask: Asking, job: Job, ids: Sequence[str]) -> Tuple[Optional[Records], str]:
    """Return what a part of Slurm answers, or why it does not."""
    try:
        return ask(job, ids) if ids else {}, ""
    except JobsError as error:
        return None, str(error)


def _accounted(job: Job, ids: Sequence[str]) -> Records:
    """Return what Slurm's accounting tells; the detail is the number of who cancelled."""
    options = ["--allusers", "--noheader", "--parsable2", "--allocations", "--units=M"]
    columns = "--format=JobID,State,ExitCode,ReqMem,TimelimitRaw"
    found: Records = {}
    text = _run("sacct", [*options, columns, "--jobs=" + ",".join(ids)], job.folder)
    # A site's wrapper may say more. Older versions tell the memory of each processor ("750Mc").
    line = r"^(\d[^|\s]*)\|([A-Z_]+)(?: by (.*?))?\|(\d+:\d+)\|([\d.]*)[^|c]*(c?)\|(\d*)[^|]*$"
    for name, word, by, code, memory, per_cpu, limit in re.findall(line, text, re.MULTILINE):
        mem_mb = round(float(memory or 0) * (job.spec["cpus"] if per_cpu else 1))
        seen = Seen(word, _code(code), by, (mem_mb, int(limit or 0)))
        found.update(dict.fromkeys(_names(name), seen))
    return found


def _current(job: Job, ids: Sequence[str]) -> Records:
    """Return what Slurm's controller tells; the detail is why something waits."""
    found: Records = {}
    for number in ids:
        try:
            text = _run("scontrol", ["--oneliner", "show", "job", number], job.folder)
        except JobsError as error:
            if "Invalid job id" not in str(error):
                raise
            continue
        for line in text.splitlines():
            told = dict(re.findall(r"(?<!\S)(\w+)=(\S*)", line))
            if not {"JobId", "JobState", "ExitCode", "Reason"} <= set(told):
                continue  # said by somebody else
            name = told["JobId"]
            if "ArrayTaskId" in told:
                name = "{ArrayJobId}_[{ArrayTaskId}]".format(**told)
            seen = Seen(told["JobState"], _code(told["ExitCode"]), told["Reason"])
            found.update(dict.fromkeys(_names(name), seen))
    return found


def _names(name: str) -> List[str]:
    """Return the tasks of ``ID_[1-3%2]`` as ``ID_1``, ``ID_2``, ``ID_3``; else the name itself."""
    array, _, listed = name.partition("_[")
    return [f"{array}_{task}" for task in numbers(listed)] if listed else [name]


def _code(text: str) -> int:
    """Return Slurm's CODE:SIGNAL as shells do, 128 + n of signal n."""
    code, _, by = text.partition(":")
    return 128 + int(by) if int(by or 0) else int(code)


@_reading()
def find(job: Job, newest: Dict[str, Job]) -> Found:
    """Return how a job's participants stand, by task, if no newer job has one for them."""
    lines = job.submissions()
    sent: Dict[int, Line] = {task: line for line in lines for task in line.get("tasks", ())}
    groups = [line["group"] for line in lines[-1:] if "group" in line]
    ids = sorted({line["id"] for line in sent.values()}.union(groups), key=int)
    records, trouble = _records(job, ids)
    standings = [_standing(job, task, sent.get(task), records) for task in job.tasks]
    for participant, problems in sorted(job.spec.get("refused", {}).items()):
        reason = "; ".join(problems)
        standings.append(Standing(participant, 0, "refused", job.need, reason, helps="input"))
    standings = [_judged(job, one, newest) for one in standings]
    return Found(job, standings, _group_state(job, lines, records), trouble)


def _judged(job: Job, one: Standing, newest: Dict[str, Job]) -> Standing:
    """Return how one stands, or that a newer job has a task; the job is kept as the newest."""
    by = newest.setdefault(one.participant, job) if one.task else newest.get(one.participant, job)
    if by is job or one.state == "done" or (one.is_live and job.is_slurm):
        return one
    return one._replace(state="superseded", reason=f"has a task in {by.folder.name}", again=None)


def _group_state(job: Job, lines: List[Line], records: Optional[Records]) -> str:
    """Return how the level ``group`` stands, in Slurm's words; empty if nobody can tell."""
    ended = job.end("group")
    # One that was submitted before others did not wait for them.
    if ended and ended.get("job") not in [line.get("group") for line in lines[:-1]]:
        return "FAILED" if ended["code"] else "COMPLETED"
    if not lines or records is None:
        return ""
    return records.get(lines[-1].get("group", ""), Seen("LOST")).state


def _standing(job: Job, task: int, line: Optional[Line], records: Optional[Records]) -> Standing:
    """Return how one participant stands; records are None where Slurm does not answer."""
    name = f"{line['id']}_{task - line.get('offset', 0)}" if line else ""
    seen = (records or {}).get(name, Seen())
    asked = Need(int(line["mem_mb"]), int(line["minutes"])) if line else job.need
    participant = job.labels[task - 1]
    had = Need(*(real or planned for real, planned in zip(seen.had, asked)))
    one = Standing(participant, task, "failed", had, slurm_id=name, slurm_state=seen.state)
    log = job.folder / "logs" / f"{name}.log"
    if log.exists():
        one = one._replace(log=str(log))
    state, why = job.told(participant, line)
    ended = job.end(task).get("code")
    if ended == 0:
        return one._replace(state="done")
    if seen.state in LIVE:
        reason = seen.detail if seen.detail != "None" else ""
        return one._replace(state=LIVE[seen.state], reason=reason)
    code = seen.code if ended is None else ended
    if seen.state in FATES or code or state == "failed":
        return _failed(job, one, seen, code or FAILED, why)
    if state == "done":
        return one._replace(state="done")
    return _untold(job, one, state, can_tell=bool(job.is_slurm and records is not None))


def _failed(job: Job, one: Standing, seen: Seen, code: int, why: str) -> Standing:
    """Return a participant with the reason of a failure, and what helps against it."""
    if seen.state in FATES:
        helps, text = FATES[seen.state]
        by = f" by user {seen.detail}" if seen.detail.isdigit() else ""
        with contextlib.suppress(KeyError, ValueError):  # not of this machine; not told
            by = f" by {pwd.getpwuid(int(seen.detail)).pw_name}"
        reason = f"{seen.state}: {text.format(by=by, **one.had._asdict())}"
    else:
        helps, text = CODES.get(code, ("look", SIGNALS.get(code, "not a code of the program")))
        reason = f"exit code {code}: {text.format(**one.had._asdict())}"
        why = why or _problems(Path(one.log or os.devnull))
        if any(sign in why for sign in MEMORY_SIGNS):
            helps = "memory"
        reason += f": {why}" if why else ""
    one = one._replace(helps=helps, reason=reason)
    return one._replace(again=_again(job, one))


def _untold(job: Job, one: Standing, state: str, *, can_tell: bool) -> Standing:
    """Return a participant of whom neither the disk nor Slurm tells an end."""
    if not can_tell:
        live = "running" if state == "running" else "pending"
        return one._replace(state=live, reason="as far as the disk tells")
    one = one._replace(state="unsent", reason="was not submitted", helps="again")
    if one.slurm_id:
        reason = "Slurm does not know what became of it"
        if one.slurm_state:
            reason = f"Slurm has it as {one.slurm_state}, but it left no result"
        one = one._replace(state="vanished", reason=reason)
    return one._replace(again=_again(job, one))


def _again(job: Job, one: Standing) -> Optional[Need]:
    """Return what a task is to have next time; None if sending it again does not help."""
    if one.helps not in ("again", "memory", "time"):
        return None
    wanted = []
    for name, had, planned in zip(("mem_mb", "minutes"), one.had, job.need):
        short = one.helps == {"mem_mb": "memory", "minutes": "time"}[name]
        most = job.spec.get("max_" + name) or sys.maxsize
        value = max(had, min(max(2 * had if short else had, planned), most))
        if short and value == had:
            return None
        wanted.append(value)
    return Need(*wanted)


def submit(job: Job) -> None:
    """Submit all tasks of a job, then the level ``group``; JobsError if it was before."""
    with job.locked():
        if job.submissions():
            raise JobsError(f"{job.folder}: was submitted already; see `status` and `resubmit`.")
        _send(job, {job.need: list(job.tasks)}, [], "")


def resubmit(job: Job, *, all_failed: bool) -> None:
    """Send again what is missing and can be had by sending it again.

    With `all_failed` also what failed for a reason of its own, when that has been mended; of other
    schedulers than Slurm, whatever left no result.
    JobsError if the scheduler does not take it, or does not say what is still there.
    """
    with job.locked():
        found = find(job, {})
        if found.trouble:
            raise JobsError(f"What is queued or at work cannot be told:\n{found.trouble}")
        wanted: Dict[Need, List[int]] = {}
        for one in found.standings:
            is_lost = one.state == "failed" or (one.is_live and not job.is_slurm)
            need = one.again or (one.had if all_failed and is_lost else None)
            if need is not None:
                wanted.setdefault(need, []).append(one.task)
        live = {one.slurm_id.partition("_")[0] for one in found.standings if one.is_live}
        # A group that ended by itself wrote its index; it fails if anybody did.
        if wanted or (job.is_slurm and found.group not in {"COMPLETED", "FAILED", *LIVE}):
            old = job.submissions()[-1:] if LIVE.get(found.group) == "pending" else []
            _send(job, wanted, sorted(live - {""}, key=int), "".join(x["group"] for x in old))
        else:
            _say(f"{job.folder}: nothing to send.")


def _send(job: Job, wanted: Dict[Need, List[int]], live: List[str], old: str) -> None:
    """Submit arrays for each need, then the group's job, which waits for live arrays too."""
    if not job.is_slurm:
        _say("\n".join(commands(job.folder, job.spec, wanted)), is_result=True)
        _say("Submit these.")
        return
    ids, refusals = list(live), []
    (job.folder / "logs").mkdir(exist_ok=True)
    for need, offset, tasks in _arrays(wanted, _array_size(job)):
        try:
            number = _send_array(job, need, offset, tasks, ids)
        except JobsError as error:
            refusals.append(f"{error}\n{len(tasks)} participants are not submitted.")
            continue
        ids.append(number)
        job.append(dict(need._asdict(), id=number, tasks=tasks, offset=offset))
        text = "job {}: {} of {} participants, with {} MB and {} min each"
        _say(text.format(number, len(tasks), len(job.tasks), *need))
    if ids == live and wanted:
        raise JobsError("\n".join(refusals))
    try:
        number = _sbatch(job, [f"--job-name={job.name}-group"], ids, "group.sh", ["group"])
    except JobsError as error:
        script = shlex.quote(str(job.folder / "group.sh"))
        text = f"The level group is missing: `resubmit` or `sh {script}` does it."
        refusals.append(f"{error}\n{text}")
    else:
        job.append({"group": number, "after": ids})
        _say(f"job {number}: the level group, after them" + (f", not {old}" if old else ""))
        try:  # the earlier one, which would not wait for all
            _run("scancel", ["--state=PENDING", old], job.folder) if old else None
        except JobsError as error:
            _say(f"job {old} is not cancelled, and what it says does not count: {error}")
    if refusals:
        raise JobsError("\n".join(refusals))


def _array_size(job: Job) -> int:
    """Return how many tasks, counted from 1, Slurm takes as one array."""
    try:
        text = _run("scontrol", ["show", "config"], job.folder)
    except JobsError:  # what is too many for it after all, sbatch refuses
        text = ""
    told = dict(re.findall(r"\b(MaxArraySize|max_array_tasks) *= *(\d+)", text))
    below = int(told.get("MaxArraySize", MAX_ARRAY_SIZE))
    return max(1, min(below - 1, int(told.get("max_array_tasks", below)), MOST_TASKS))


def _arrays(wanted: Dict[Need, List[int]], size: int) -> Iterator[Tuple[Need, int, List[int]]]:
    """Yield the tasks of each array, and by how much their numbers are less there."""
    for need, tasks in sorted(wanted.items()):
        for offset, some in groupby(sorted(tasks), lambda task: (task - 1) // size * size):
            yield need, offset, list(some)


def _send_array(job: Job, need: Need, offset: int, tasks: List[int], others: List[str]) -> str:
    """Submit an array of tasks; return its id."""
    script = job.folder / "array.sh"
    if offset and not re.search(r"\$\{?[1@*]", script.read_text(encoding="utf-8")):
        raise JobsError(f"{script}: its template has to add $1 to the task's number.")
    throttle = job.spec["throttle"]
    most = f"%{throttle}" if throttle else ""
    options = [
        f"--job-name={job.name}",
        "--array=" + ",".join(ranges([task - offset for task in tasks])) + most,
        f"--mem={need.mem_mb}M",
        f"--time={need.minutes}",
        "--cpus-per-task={}".format(job.spec["cpus"]),
    ]
    # It holds within one array, so that they run one after another.
    return _sbatch(job, options, others if throttle else [], f"array.sh {offset}", tasks)


def _sbatch(job: Job, options: List[str], after: List[str], call: str, tasks: List[Any]) -> str:
    """Submit a script for tasks, whose earlier ends are forgotten; return the id."""
    for task in tasks:
        with contextlib.suppress(FileNotFoundError):
            job.ended(task).unlink()
    waiting = ["--dependency=afterany:" + ":".join(after)] if after else []
    script, *rest = call.split()
    words = [*job.spec["options"], *options, *waiting, str(job.folder / script), *rest]
    told = _run("sbatch", ["--parsable", *words], job.folder)
    ids = re.findall(r"^(\d+)(?:;.*)?$", told, re.MULTILINE)
    if not ids:
        raise JobsError(f"sbatch gave no job id but {told!r}.")
    return str(ids[-1])


def commands(folder: Path, spec: Line, wanted: Dict[Need, List[int]]) -> List[str]:
    """Return what submits a job's tasks and the level ``group`` to a scheduler but Slurm."""
    own, throttle = spec["scheduler"], spec["throttle"]
    array, group = (shlex.quote(str(folder / name)) for name in ("array.sh", "group.sh"))
    name = "{}-{}".format(spec["name"], folder.name)
    most = "" if not throttle else f" -tc {throttle}" if own == "sge" else f"%{throttle}"
    parts = [(need, part) for need in sorted(wanted) for part in ranges(wanted[need])]
    told: List[str] = []
    for pattern, after in (kind[1:] for kind in COMMANDS if kind[0] == own):
        lines = []
        for need, part in parts:
            one = "-J {tasks} -v " if "-" not in part else "nothing"
            line = pattern.replace(one, f"-v BIDS_FX_TASK={part},").format(
                name=name,
                tasks=(f"[{part}]" if own == "lsf" else part) + most,
                array=array,
                hours="{}:{:02}:00".format(*divmod(need.minutes, 60)),
                mem_cpu_mb=-(-need.mem_mb // spec["cpus"]),
                **need._asdict(),
            )
            lines.append(line)
        last = ("bsub <" if own == "lsf" else "qsub ") + group + "  # when these have ended"
        if len(lines) == 1:
            lines, last = [], after.format(first=lines[0], name=name, group=group)
        told += [*(["or, of Torque,"] if told else []), *lines, last]
    return told


def as_text(found: Sequence[Found], *, everyone: bool) -> str:
    """Return a table of how participants stand, with or without those who are done."""
    lines = []
    for job, standings, group, _ in found:
        counts = Counter(one.state for one in standings)
        told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        end = f"; level group: {group}" if group else ""
        lines.append(f"{job.folder} ({job.name}): {told}{end}")
        width = max(len(one.participant) for one in standings)
        for one in standings:
            if one.state not in ("done", "superseded") or everyone:
                log = one.log if one.state == "failed" else ""
                text = "; ".join(part for part in (one.reason, one.remedy(), log) if part)
                lines.append(f"  sub-{one.participant:{width}}  {one.state:8}  {text}".rstrip())
    return "\n".join(lines)


def as_json(found: Sequence[Found]) -> str:
    """Return the same for programs, all participants of it."""
    jobs = []
    for job, standings, group, _ in found:
        told = []
        for one in standings:
            again = one.again and one.again._asdict()
            had, remedy = one.had._asdict(), one.remedy()
            told.append(dict(one._asdict(), had=had, again=again, remedy=remedy))
        head = {"folder": str(job.folder), "name": job.name, "scheduler": job.spec["scheduler"]}
        jobs.append(dict(head, group=group, participants=told))
    return json.dumps({"format": 1, "jobs": jobs}, indent=2, sort_keys=True)


def find_jobs(folder: Optional[str], *, one: bool) -> List[Job]:
    """Return a folder's job, or an output folder's; JobsError if there is none, or not `one`."""
    path = Path(folder) if folder else Path(__file__).resolve().parent
    if (path / "job.json").exists():
        return [Job(path)]
    found = path.glob("jobs/job-*/job.json")
    jobs = [Job(file.parent) for file in found if file.parent.name[4:].isdecimal()]
    if not jobs:
        text = "no job; name a job's folder, or an output folder that has jobs/job-1."
        raise JobsError(f"{path}: {text}", NO_JOB)
    if one and len(jobs) > 1:
        names = ", ".join(str(job.folder) for job in jobs)
        raise JobsError(f"There are several jobs: name the folder of one: {names}.", USAGE)
    return sorted(jobs, key=lambda job: int(job.folder.name[4:]))


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    for name, text in (
        ("submit", "submit a job's tasks, and the level group after them"),
        ("status", "tell how each participant stands; 0: all done, 1: not all, 75: not yet"),
        ("resubmit", "send again what is missing, with more memory or time where it lacked"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        where = "folder of a job" + ("" if name == "submit" else ", or an output folder")
        command.add_argument("folder", nargs="?", help=where + " (default: where this file is)")
        if name != "submit":
            command.add_argument("--all", action="store_true", help="list also who is done")
            command.add_argument("--json", action="store_true", help="write JSON, for programs")
            more = "send also what failed by its input, when that has been mended"
            command.add_argument("--all-failed", action="store_true", help=more)
        if name == "status":
            command.add_argument("--resubmit", action="store_true", help="as `resubmit`")
    return parser


def _say(text: str, *, is_result: bool = False) -> None:
    """Write lines to standard error, or results to standard output; in vain if nobody reads."""
    stream = sys.stdout if is_result else sys.stderr
    if stream is None:  # closed by the caller
        return
    letters = stream.encoding or "ascii"  # what an old terminal has none for is told by number
    try:
        stream.write(text.encode(letters, "backslashreplace").decode(letters) + "\n")
        stream.flush()
    except OSError as error:
        # What is left in its buffer would be tried again at the end of the program.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if is_result and not isinstance(error, BrokenPipeError):
            _say(f"Standard output cannot be written: {error}")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run a command, with the arguments of this process or others; return the exit code.

    Of `status` and `resubmit` 0 if all are done, 1 if somebody or the level ``group`` is not, 75
    while any of them is queued or at work; of `submit` 0; of all 1 if the scheduler refuses, 2 for
    wrong arguments, 66 if there is no job, 73 if its folder cannot be written to.
    """
    given = _parser().parse_args(argv)
    try:
        is_again = given.command == "resubmit" or (given.command == "status" and given.resubmit)
        jobs = find_jobs(given.folder, one=is_again or given.command == "submit")
        if given.command == "submit":
            submit(jobs[0])
            return DONE
        if is_again:
            resubmit(jobs[0], all_failed=given.all_failed)
        newest: Dict[str, Job] = {}
        found = [find(job, newest) for job in reversed(jobs)][::-1]
    except (JobsError, OSError) as error:
        _say(str(error))
        return error.code if isinstance(error, JobsError) else CANNOT_CREATE
    for text in filter(None, (one.trouble for one in found)):
        _say(text)
    _say(as_json(found) if given.json else as_text(found, everyone=given.all), is_result=True)
    standings = [one for job in found for one in job.standings]
    if any(one.is_live for one in standings) or any(job.group in LIVE for job in found):
        return UNFINISHED
    is_done = all(one.state in ("done", "superseded") for one in standings)
    return DONE if is_done and found[-1].group in ("", "COMPLETED") else FAILED


if __name__ == "__main__":
    sys.exit(main())
