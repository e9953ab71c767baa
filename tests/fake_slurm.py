"""Programs that answer as a Slurm did: what they print was recorded from version 22.05."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: What `sacct` writes where no accounting is kept.
NO_ACCOUNTING = "Slurm accounting storage is disabled"
#: What `scontrol` writes of a job that ended minutes ago, or of none.
FORGOTTEN = "slurm_load_jobs error: Invalid job id specified"

#: Each keeps its arguments, one call a line; gives what stands in a file; or refuses.
_PROGRAM = """#!/bin/sh
cd '{folder}' || exit 99
printf '%s %s\\n' {name} "$*" >>calls
if [ -e {name}.refusal ]; then cat {name}.refusal >&2; exit 1; fi
{action}
"""
_ACTIONS = {
    "sbatch": """n=$(($(cat next) + 1)); echo $n >next
case $* in *"$(cat refused)"*) echo "sbatch: error: $(cat refused) is refused" >&2; exit 1 ;; esac
echo $n""",
    "scancel": "",
    "sacct": "cat sacct.answer",
    "scontrol": f"""if ! cat "scontrol.${{4:-$2}}" 2>/dev/null; then
echo '{FORGOTTEN}' >&2; exit 1; fi""",
}


@dataclass(frozen=True, slots=True)
class FakeSlurm:
    """The folder that is to stand on PATH, and what its programs answer.

    Parameters
    ----------
    folder : Path
        Made by `install`.
    """

    folder: Path

    def install(self) -> None:
        """Write the programs: the accounting knows nothing, and jobs are counted from 101."""
        self.folder.mkdir()
        for name, action in _ACTIONS.items():
            program = self.folder / name
            program.write_text(_PROGRAM.format(folder=self.folder, name=name, action=action))
            program.chmod(0o755)
        (self.folder / "next").write_text("100")
        (self.folder / "refused").write_text("nothing that anybody asks for")
        self.account()

    def account(self, *lines: str) -> None:
        """Have `sacct` tell JobID, State, ExitCode, ReqMem and TimelimitRaw."""
        (self.folder / "sacct.answer").write_text("".join(f"{line}\n" for line in lines))

    def control(self, array: int, *tasks: tuple[str, str, str]) -> None:
        """Have `scontrol` tell of an array's tasks: which, their state and its reason."""
        lines = [
            f"JobId={array + i} ArrayJobId={array} ArrayTaskId={which} ArrayTaskThrottle=2 "
            f"JobName=a b UserId=root(0) JobState={state} Reason={reason} Dependency=(null) "
            "Requeue=1 ExitCode=0:0 RunTime=00:00:03 TimeLimit=00:02:00 NodeList=d0 Power= \n"
            for i, (which, state, reason) in enumerate(tasks)
        ]
        (self.folder / f"scontrol.{array}").write_text("".join(lines))

    def configure(self, *lines: str) -> None:
        """Have `scontrol` tell of Slurm's settings."""
        (self.folder / "scontrol.config").write_text("".join(f"{line}\n" for line in lines))

    def refuse(self, program: str, text: str) -> None:
        """Have a program fail from now on."""
        (self.folder / f"{program}.refusal").write_text(text)

    def refuse_submissions(self, text: str) -> None:
        """Have `sbatch` refuse what has a text among its arguments."""
        (self.folder / "refused").write_text(text)

    def calls(self, program: str) -> list[str]:
        """Return the arguments of each call of a program."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.removeprefix(f"{program} ") for line in lines if line.startswith(program)]


@dataclass(frozen=True, slots=True)
class JobFolder:
    """A job's folder as the contract has it, for what reads one.

    Parameters
    ----------
    path : Path
        ``OUT/jobs/job-<n>``.
    """

    path: Path

    @property
    def out_dir(self) -> Path:
        """The output folder."""
        return self.path.parent.parent

    def write(self, participants: Sequence[str] = ("01", "02", "03"), **changes: object) -> None:
        """Write the folder."""
        values: dict[str, object] = {
            "format": 1,
            "scheduler": "slurm",
            "name": "bids_fx-faces",
            "version": "0.1.0",
            "container": None,
            "cpus": 2,
            "throttle": None,
            "options": [],
            "tasks": [{"participant": label} for label in participants],
            "mem_mb": 1500,
            "minutes": 20,
            "max_mem_mb": None,
            "max_minutes": None,
        }
        self.path.mkdir(parents=True)
        (self.path / "job.json").write_text(json.dumps(values | changes))
        (self.path / "array.sh").write_text('exec sh task.sh "$((SLURM_ARRAY_TASK_ID + $1))"\n')
        (self.path / "ended").mkdir()
        (self.path / "logs").mkdir()

    def end(self, task: int | str, code: int, job: str = "1") -> None:
        """Let a task have ended by itself."""
        (self.path / "ended" / f"{task}.json").write_text(json.dumps({"code": code, "job": job}))

    def tell(self, participant: str, state: str, reason: str = "") -> Path:
        """Let the program have written a participant's state."""
        path = self.out_dir / ".bids_fx_work" / "states" / f"sub-{participant}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"participant": participant, "state": state, "reason": reason}))
        return path

    def submissions(self) -> list[dict[str, object]]:
        """Return what was written down of submissions."""
        path = self.path / "submissions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]
