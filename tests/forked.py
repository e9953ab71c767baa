"""Calls of the program in forks of one process, which may be another user's or see other mounts.

A fork has all libraries at hand, where a process that is started imports them for a second.
`Calls` is the tests' side; as a program, this module does one call for each line of JSON that it
reads.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from bids_fx.cli.run import main

#: Another user, unknown to the system, who owns what this one does and has no more rights.
UNKNOWN_USER = ("unshare", "--user", "--map-user=12345", "--map-group=12345")


def own_mounts() -> tuple[str, ...]:
    """Return what starts a process that may mount, seen by itself alone; it ends with it."""
    return ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "-Urm")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended."""

    code: int
    told: str

    @property
    def lines(self) -> list[str]:
        """What was told beside the progress."""
        return [line for line in self.told.splitlines() if " INFO " not in line]


class Calls:
    """Starts calls from a process that some command starts; used as a context.

    Parameters
    ----------
    *before : str
        The command, such as `UNKNOWN_USER`. Where it is not allowed the test is skipped.
    """

    def __init__(self, *before: str) -> None:
        if subprocess.run([*before, "true"], check=False).returncode != 0:
            pytest.skip(f"this machine does not allow {' '.join(before)}")
        command = [*before, sys.executable, "-m", "tests.forked"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def __call__(self, *words: object, **how: Any) -> Ended:
        """Call the program; `how` is as `_fork` has it."""
        return Ended(**self._ask({"words": [str(word) for word in words], "how": how}))

    def shell(self, command: str) -> None:
        """Run a command as the calls are run."""
        ended = Ended(**self._ask({"shell": command}))
        assert ended.code == 0, f"this machine cannot do it: {command}: {ended.told}"

    def sees(self, path: Path) -> Path:
        """Return where a path of the calls, whose mounts may be their own, is for this process."""
        return Path(f"/proc/{self._process.pid}/root{path}")

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"this machine cannot do it: {self._process.args}"
        return json.loads(answer)


def _fork(
    words: list[str],
    *,
    env: dict[str, str | None] | None = None,
    umask: int | None = None,
    file_size: int | None = None,
    streams: tuple[str, ...] = (),
    anew: bool = False,
) -> dict[str, Any]:
    """Call the program.

    Parameters
    ----------
    words : list of str
        Its arguments.
    env : dict of str to str or None
        Variables of the environment; None removes one.
    umask, file_size : int or None
        The mask of permissions, and the limit of a file's size in bytes.
    streams : tuple of str
        Which of ``stdout`` and ``stderr`` is a full device.
    anew : bool
        In a process that imports all itself, as with several processes it must be.
    """
    with tempfile.TemporaryFile() as told:
        child = os.fork()
        if child == 0:
            for number, name in ((1, "stdout"), (2, "stderr")):
                full = os.open("/dev/full", os.O_WRONLY) if name in streams else told.fileno()
                os.dup2(full, number)
            for key, value in (env or {}).items():
                os.environ.pop(key, None)
                os.environ |= {} if value is None else {key: value}
            if umask is not None:
                os.umask(umask)
            if file_size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
            _end(words, anew=anew)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told.seek(0)
        return {"code": code, "told": told.read().decode(errors="replace")}


def _end(words: list[str], *, anew: bool) -> None:
    """Do a call in this process, and end it with its code."""
    if anew:
        os.execv(sys.executable, [sys.executable, "-m", "bids_fx", *words])
    code: Any = 99
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        atexit._run_exitfuncs()
        os._exit(int(code))


def _serve() -> None:
    """Do what is ordered on standard input, and answer on standard output."""
    import bids_fx.cli.session
    import bids_fx.reports.figures.labels
    import bids_fx.reports.html
    import bids_fx.workflows.base  # noqa: F401 - the forks have them so

    for line in sys.stdin:
        order = json.loads(line)
        if "shell" in order:
            done = subprocess.run(
                ["sh", "-c", order["shell"]], check=False, capture_output=True, text=True
            )
            answer = {"code": done.returncode, "told": done.stderr}
        else:
            answer = _fork(order["words"], **order["how"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
