"""Stand-ins for the programs of Slurm, PBS, SGE and LSF, which run jobs on this machine.

`install` puts them into a folder. What becomes of a job is decided by its name: in the folder's
``fates.json`` the first pattern found in it counts, and without one the job runs. Fates are the
states of Slurm that a job ends with before it starts; ``PENDING``, which waits for ever; ``LOST``,
which ends well but has done nothing, not even made a log; ``REFUSED``, which is not taken.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

PROGRAMS = {
    "SLURM": ("sbatch", "squeue", "sacct", "scontrol", "scancel"),
    "PBS": ("qsub", "qstat", "qdel"),
    "SGE": ("qsub", "qstat", "qdel"),
    "LSF": ("bsub", "bjobs", "bkill"),
}
ANSWERS = {
    "SLURM": "Submitted batch job {}",
    "PBS": "{}.server",
    "SGE": 'Your job {} ("x") has been submitted',
    "LSF": "Job <{}> is submitted to queue <normal>.",
}
CODES = {"OUT_OF_MEMORY": "0:125", "COMPLETED": "0:0"}


def install(folder: Path, kind: str = "SLURM", fates: Mapping[str, str] | None = None) -> Path:
    """Make the programs of a scheduler and return the folder to put on the PATH."""
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    set_fates(folder, fates or {})
    for name in PROGRAMS[kind]:
        script = programs / name
        command = [sys.executable, "-IS", __file__, str(folder), kind, name]
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        script.chmod(0o755)
    return programs


def set_fates(folder: Path, fates: Mapping[str, str]) -> None:
    """Decide what becomes of jobs from now on."""
    (folder / "fates.json").write_text(json.dumps(dict(fates)))


def jobs(folder: Path) -> dict[int, list[str]]:
    """Return the words of each submission by the job's number."""
    files = sorted(folder.glob("job-*.json"), key=lambda file: int(file.stem[4:]))
    return {int(file.stem[4:]): json.loads(file.read_text()) for file in files}


def calls(folder: Path, program: str) -> list[list[str]]:
    """Return the arguments of each call of a program."""
    log = folder / "calls.jsonl"
    lines = map(json.loads, log.read_text().splitlines() if log.exists() else ())
    return [words[1:] for words in lines if words[0] == program]


def say(*lines: object, to: TextIO = sys.stdout) -> None:
    """Answer by some lines."""
    to.writelines(f"{line}\n" for line in lines)


def _number(job: str) -> int:
    return int(job.split(".", maxsplit=1)[0])


def state_of(folder: Path, job: int) -> str:
    """Return a job's state and exit code, empty for a job that has not ended."""
    file = folder / f"ended-{job}"
    return file.read_text() if file.exists() else ""


def end(folder: Path, job: int, state: str, code: str) -> None:
    """Let a job end, if it has not ended before."""
    try:
        with (folder / f"ended-{job}").open("x") as file:
            file.write(f"{state} {code}")
    except FileExistsError:
        pass


def submit(folder: Path, kind: str, words: list[str]) -> int:
    """Take a job, run it unless its fate is another, and say its number."""
    name = words[words.index("-N" if kind in ("PBS", "SGE") else "-J") + 1]
    fates = json.loads((folder / "fates.json").read_text())
    fate = next((fate for pattern, fate in fates.items() if re.search(pattern, name)), "")
    if fate == "REFUSED":
        say("sbatch: error: Batch job submission failed: no such partition", to=sys.stderr)
        return 1
    job = next(n for n in range(1, 10_000) if _is_new(folder / f"job-{n}.json", words))
    say(ANSWERS[kind].format(job))
    if fate == "LOST":
        end(folder, job, "COMPLETED", "0:0")
    elif fate and fate != "PENDING":
        if fate != "CANCELLED":
            Path(words[words.index("-e") + 1]).write_text(f"slurmstepd: error: {fate}\n")
        end(folder, job, fate, CODES.get(fate, "0:0"))
    elif not fate:
        command = [sys.executable, "-IS", __file__, folder, kind, "run", job, *words]
        subprocess.Popen(list(map(str, command)), start_new_session=True, **_silent())
    return 0


def _silent() -> dict[str, int]:
    return dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)


def _is_new(file: Path, words: list[str]) -> bool:
    try:
        with file.open("x") as stream:
            json.dump(words, stream)
    except FileExistsError:
        return False
    return True


def run(folder: Path, words: list[str]) -> int:
    """Run a job's script to its end."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    job = int(words[0])
    logs = [Path(words[words.index(option) + 1]) for option in ("-o", "-e")]
    with logs[0].open("w") as out, logs[1].open("w") as err:
        done = subprocess.run(["/bin/bash", words[-1]], stdout=out, stderr=err, check=False)
    if done.returncode < 0:
        end(folder, job, "FAILED", f"0:{-done.returncode}")
    else:
        end(folder, job, "FAILED" if done.returncode else "COMPLETED", f"{done.returncode}:0")
    return 0


def slurm(folder: Path, program: str, words: list[str]) -> int:
    """Answer as Slurm does of its jobs."""
    if (folder / "silent").exists():
        say("slurm_load_jobs error: Unable to contact slurm controller", to=sys.stderr)
        return 1
    asked = re.findall(r"\d+", words[-1])
    states = {int(job): state_of(folder, int(job)) for job in asked}
    if program == "squeue":
        if len(states) == 1 and all(states.values()):
            say("slurm_load_jobs error: Invalid job id specified", to=sys.stderr)
            return 1
        say(*(job for job, state in states.items() if not state))
    elif program == "sacct":
        if (folder / "no-accounts").exists():
            say("Slurm accounting storage is disabled", to=sys.stderr)
            return 1
        # as Slurm says who cancelled a job
        said = (state.replace("CANCELLED", "CANCELLED by 1000") for state in states.values())
        say(*("|".join(state.rsplit(" ", maxsplit=1)) for state in said))
    else:
        ((job, ended),) = states.items()
        state, code = (ended or "RUNNING 0:0").split()
        say(f"JobId={job} JobName=x JobState={state} Reason=None ExitCode={code} Nice=0")
    return 0


def other(folder: Path, kind: str, words: list[str]) -> int:
    """Answer as PBS, SGE or LSF does of a job."""
    ended = state_of(folder, _number(words[-1]))
    if kind == "LSF":
        say("JOBID USER STAT QUEUE", f"{words[-1]} EXIT {'EXIT' if ended else 'RUN'} DONE")
    elif kind == "PBS" and not ended:
        say("    job_state = R")
    elif ended:
        text = "Unknown Job Id" if kind == "PBS" else "Following jobs do not exist:"
        say(f"{text} {words[-1]}", to=sys.stderr)
        return 1
    return 0


def main(arguments: list[str]) -> int:
    """Be one of the programs."""
    folder, kind, program, words = Path(arguments[0]), arguments[1], arguments[2], arguments[3:]
    if program == "run":
        return run(folder, words)
    with (folder / "calls.jsonl").open("a") as log:
        log.write(json.dumps([program, *words]) + "\n")
    if program in ("sbatch", "qsub", "bsub"):
        return submit(folder, kind, words)
    if program in ("scancel", "qdel", "bkill"):
        for job in words:
            end(folder, _number(job), "CANCELLED", "0:0")
        return 0
    return (slurm if kind == "SLURM" else other)(
        folder, program if kind == "SLURM" else kind, words
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
