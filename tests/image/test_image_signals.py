"""SIGTERM ends the program as the first process of its container, whatever it is doing.

``stop`` sends SIGKILL ten seconds after SIGTERM; the exit code is then 137.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers import DEADLINE, Image

pytestmark = pytest.mark.image

CALL = (
    *("/data", "/out", "participant", "-d", "/data/derivatives/preproc"),
    *("--contrast", "face - house"),
)


@pytest.fixture
def start(image: Image, oneback: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return what starts a container and returns its id; it is removed in the end."""
    started: list[str] = []

    def start_one(*options: str) -> str:
        words = image.words([*CALL, *options], oneback, tmp_path / "out", ())
        done = image.call("run", "--detach", *words)
        assert done.returncode == 0, done.stderr
        started.append(done.stdout.strip())
        return started[-1]

    yield start_one
    for container in started:
        image.call("rm", "--force", container)


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def inspected(image: Image, container: str, field: str) -> int:
    return int(image.call("inspect", "--format", f"{{{{.State.{field}}}}}", container).stdout)


def handles_sigterm(process: int) -> bool:
    status = Path("/proc", str(process), "status").read_text()
    (caught,) = (line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def stopped(image: Image, container: str) -> int:
    """Stop a container and return its exit code."""
    done = image.call("stop", "-t", "10", container)
    assert done.returncode == 0, done.stderr
    return inspected(image, container, "ExitCode")


def test_sigterm_ends_the_program_while_it_starts(image: Image, start: Callable[..., str]) -> None:
    container = start()
    process = inspected(image, container, "Pid")
    wait_until(lambda: handles_sigterm(process))
    assert stopped(image, container) == 143


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sigterm_ends_a_fit(image: Image, start: Callable[..., str], processes: str) -> None:
    container = start("--nprocs", processes)
    wait_until(lambda: "fitting" in image.call("logs", container).stderr)
    assert stopped(image, container) == 143
    assert "the same command goes on" in image.call("logs", container).stderr


def test_an_ended_call_goes_on_where_it_was(
    image: Image, start: Callable[..., str], oneback: Path, tmp_path: Path
) -> None:
    container = start("--nprocs", "1")
    wait_until(lambda: "fitting task-oneback_run-1: done" in image.call("logs", container).stderr)
    assert stopped(image, container) == 143
    done = image.run(*CALL, "--nprocs", "1", data=oneback, out=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "fitting task-oneback_run-1: started" not in done.stderr
