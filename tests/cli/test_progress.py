"""How far the work is: live lines on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from bids_fx.cli.interruption import Interruption
from bids_fx.cli.progress import Progress
from bids_fx.errors import BIDSFXError, ExitCode, Problem
from bids_fx.logs import start_logging

CODE = """
from bids_fx.cli.interruption import Interruption
from bids_fx.cli.progress import Progress
with Progress(Interruption()) as progress:
    progress("01", "fitting task-x_run-1", "start")
    progress("01", "fitting task-x_run-2", "start")
    progress("01", "fitting task-x_run-1", "end")
    progress("01", "fitting task-x_run-2", "exception")
    progress("01", "combining task-x", "end")
"""


def on_a_terminal(code: str) -> str:
    """Run a program whose standard error is a terminal and return what it shows."""
    main, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, "-c", code], stderr=terminal, env=environment) as child:
        os.close(terminal)
        shown = b""
        while True:
            try:
                piece = os.read(main, 1 << 16)
            except OSError:  # the terminal's other end is closed
                break
            if not piece:
                break
            shown += piece
    os.close(main)
    assert child.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


def test_each_task_has_a_line_of_its_own_on_a_terminal():
    shown = on_a_terminal(CODE)
    assert "sub-01 fitting task-x_run-1: done" in shown
    assert "sub-01 fitting task-x_run-2: failed" in shown
    assert "combining" not in shown  # it never started


@pytest.fixture
def log(caplog):
    logger = logging.getLogger("bids_fx")
    start_logging(0, as_json=False)
    logger.propagate = True
    yield caplog
    logger.propagate = False


def test_each_step_is_a_log_line_elsewhere(log):
    with Progress(Interruption()) as progress:
        progress("01", "fitting task-x_run-1", "start")
        progress("01", "fitting task-x_run-1", "end")
        progress("01", "combining task-x", "end")
    first, second = log.messages
    assert first == "sub-01 fitting task-x_run-1: started"
    assert re.fullmatch(r"sub-01 fitting task-x_run-1: done in \d+\.\d s", second)


def test_a_failed_task_is_an_error_in_the_log(log):
    with Progress(Interruption()) as progress:
        progress("01", "fitting task-x_run-1", "start")
        progress("01", "fitting task-x_run-1", "exception")
    assert log.records[-1].levelno == logging.ERROR


@pytest.fixture
def interruption():
    """Return what handles signals in this process until the test ends."""
    one = Interruption()
    one.install()
    yield one
    one.uninstall()


def test_the_end_of_the_program_is_raised_again_between_two_tasks(log, interruption):
    with pytest.raises(SystemExit, match="143"):
        signal.raise_signal(signal.SIGTERM)
    with Progress(interruption) as progress, pytest.raises(SystemExit, match="143"):
        progress("01", "fitting task-x_run-1", "exception")


class Busy(io.StringIO):
    """A stream to which somebody is just writing."""

    def write(self, text: str) -> int:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")


def test_a_signal_in_the_midst_of_a_line_ends_the_program_with_its_code_and_is_told_later(
    interruption, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_logging(0, as_json=False)
    monkeypatch.setattr("sys.stderr", Busy())
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143
    monkeypatch.setattr("sys.stderr", later := io.StringIO())
    assert interruption.ended(1) == 143
    assert later.getvalue().count("goes on with what is not done yet") == 1


def test_the_end_that_another_thread_asks_for_has_the_code_and_the_words_of_its_error(
    interruption, capsys
):
    start_logging(0, as_json=False)
    error = BIDSFXError([Problem(where="a", found="b", remedy="c", code=ExitCode.WRITE_FAILED)])
    with pytest.raises(SystemExit, match="74"):
        interruption.end(error)
    assert interruption.ended(0) == 74
    assert capsys.readouterr().err.count("a: b; c.") == 1


def test_signals_are_left_to_whom_they_were_left_before(interruption):
    inner = Interruption()
    before = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGALRM)]
    inner.install()
    inner.uninstall()
    assert [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGALRM)] == before
    with pytest.raises(SystemExit, match="129"):
        signal.raise_signal(signal.SIGHUP)
