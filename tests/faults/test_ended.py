"""Signals, and workers that are killed or stopped: the program ends, and tells the truth."""

from __future__ import annotations

import os
import pty
import random
import signal
import time
from pathlib import Path

import pytest

from bids_fx.cli.interruption import SAME_S
from bids_fx.cli.run import main
from bids_fx.dataset.validate import VALIDATOR
from tests.calls import SEED, Call, differences, outputs, parent_of
from tests.soak import many
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}
RESUME = "the same command goes on with what is not done yet"
OPTIONS = ("--skip-bids-validation", "--contrast", "face")


@pytest.fixture(scope="module")
def truth(tmp_path_factory) -> Truth:
    return make_dataset(
        tmp_path_factory.mktemp("ended") / "data", DatasetSpec(shape=(5, 5, 4), n_volumes=50)
    )


@pytest.fixture(scope="module")
def undisturbed(truth, tmp_path_factory) -> tuple[dict[str, bytes], float]:
    """Return what an undisturbed call makes, and how long it takes."""
    root, began = tmp_path_factory.mktemp("undisturbed"), time.monotonic()
    call = Call(root / "log", *words(truth, root / "out"))
    assert call.end() == 0, call.log
    return outputs(root / "out"), time.monotonic() - began


def words(truth: Truth, out: Path, n_procs: int = 2) -> tuple[str, ...]:
    return str(truth.bids_dir), str(out), "participant", *OPTIONS, "--nprocs", str(n_procs)


def check_end(call: Call, number: int, what: str) -> None:
    """See that a call ends by a signal as it should; only SIGKILL leaves it no last words."""
    code = call.end(what)
    if number == signal.SIGKILL:
        assert code == 137, f"{what}: {call.log}"
        return
    assert code == CODES[signal.Signals(number)], f"{what}: {call.log}"
    assert RESUME in call.log, f"{what}: {call.log}"
    assert "Traceback" not in call.log, f"{what}: {call.log}"


@pytest.mark.parametrize("place", range(many(3, soak=90)))
def test_a_signal_at_any_moment_ends_all_with_its_code_and_a_rerun_completes(
    truth, undisturbed, tmp_path, place
):
    expected, seconds = undisturbed
    chance = random.Random(f"{SEED} {place}")
    number, after = list(CODES)[place % 3], chance.random() * seconds
    what = f"place {place}: {signal.Signals(number).name} after {after:.3f} s of {seconds:.3f} s"
    call = Call(tmp_path / "log", *words(truth, tmp_path / "out", chance.choice((1, 2))))
    time.sleep(after)
    call.process.send_signal(number)
    if place % 2:  # as what runs a container passes on what its terminal has sent to both
        time.sleep(chance.random() / 10)
        call.process.send_signal(number)
    if call.end(what) == 0:
        assert outputs(tmp_path / "out") == expected, what
    elif RESUME in call.log or call.process.returncode > 0:
        check_end(call, number, what)
    else:  # before Python was up, or after the work had ended
        assert call.end() == CODES[number], what
        assert call.log.count("started") == 0 or "sub-01: done" in call.log, call.log
    assert main(words(truth, tmp_path / "out", 1)) == 0, what
    assert differences(outputs(tmp_path / "out"), expected) == [], what


def test_a_second_signal_ends_at_once_what_hangs(tmp_path):
    program = (
        "import time\n"
        "from bids_fx.cli import interruption\n"
        "from bids_fx.cli.program import run_program\n"
        "interruption.FOR_THE_END_S = 1000\n"
        "def hang(words, interruption):\n"
        "    while True:\n"
        "        try:\n"
        "            print('at work', file=__import__('sys').stderr, flush=True)\n"
        "            time.sleep(1000)\n"
        "        except SystemExit:\n"
        "            pass\n"
        "run_program('program', hang)\n"
    )
    call = Call(tmp_path / "log", program=("-c", program))
    call.wait_for(lambda: "at work" in call.log, "its work")
    call.process.send_signal(signal.SIGINT)
    call.wait_for(lambda: RESUME in call.log, "its answer")
    time.sleep(1.2 * SAME_S)  # sooner, it would be the first one passed on
    call.process.send_signal(signal.SIGTERM)
    check_end(call, signal.SIGINT, "a program that goes on in spite of a signal")


#: Puts as much into standard error as it takes; what is written to it then waits for ever.
FILL = (
    "def fill():\n"
    "    stream = os.open('/proc/self/fd/2', os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)\n"
    "    try:\n"
    "        while True:\n"
    "            os.write(stream, b'x')\n"
    "    except BlockingIOError:\n"
    "        os.close(stream)\n"
    "        began.touch()\n"
)
#: By where it stands, work at which nobody reads what the program writes.
UNREAD = {
    "waiting": "fill(); threading.Event().wait()",
    "in a line": "fill(); print('at work', file=sys.stderr)",
    "in a result": "fill(); os.dup2(2, 1); os.dup2(0, 2); print('x' * 5000, flush=True)",
    "live": "Progress(end).__enter__()('01', 'fit', 'start'); fill(); threading.Event().wait()",
}


@pytest.mark.parametrize("is_second", [False, True], ids=["one signal", "two signals"])
@pytest.mark.parametrize("place", UNREAD)
def test_a_signal_ends_what_nobody_reads(tmp_path, monkeypatch, place, is_second):
    began = tmp_path / "began"
    program = (
        "import os, pathlib, sys, threading\n"
        "from bids_fx.cli import interruption\n"
        "from bids_fx.cli.program import run_program\n"
        "from bids_fx.cli.progress import Progress\n"
        f"interruption.FOR_THE_END_S = {1000 if is_second else 1}\n"
        f"began = pathlib.Path({str(began)!r})\n"
        f"{FILL}"
        "def work(words, end):\n"
        f"    {UNREAD[place]}\n"
        "sys.exit(run_program('program', work))\n"
    )
    # As a module: else the interpreter empties its streams before it stops all threads.
    (tmp_path / "work.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    ends = pty.openpty() if place == "live" else os.pipe()
    call = Call(tmp_path / "log", program=("-m", "work"), stream=ends[1])
    os.close(ends[1])
    try:
        call.wait_for(began.exists, "its work")
        call.process.send_signal(signal.SIGTERM)
        if is_second:
            time.sleep(1.5 * SAME_S)
            call.process.send_signal(signal.SIGTERM)
        assert call.end(f"what is stuck {place}") == 143
    finally:
        os.close(ends[0])


@pytest.mark.soak
def test_what_hangs_after_one_signal_is_ended_too(tmp_path):
    program = (
        "import sys, threading\n"
        "from bids_fx.cli.program import run_program\n"
        "def hang(words, interruption):\n"
        "    try:\n"
        "        print('at work', file=sys.stderr, flush=True)\n"
        "        threading.Event().wait()\n"
        "    finally:\n"
        "        threading.Event().wait()\n"
        "sys.exit(run_program('program', hang, None))\n"
    )
    call = Call(tmp_path / "log", "--log-json", program=("-c", program))
    call.wait_for(lambda: "at work" in call.log, "its work")
    call.process.send_signal(signal.SIGTERM)
    check_end(call, signal.SIGTERM, "a program that hangs at its end")
    assert '"exit_code": 143' in call.log.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_call_that_waits_for_the_validator_ends_with_it(truth, tmp_path, number):
    validator, began = tmp_path / VALIDATOR, tmp_path / "began"
    validator.write_text(f"#!/bin/sh\necho $$ >'{began}'\nexec sleep 1000\n")
    validator.chmod(0o755)
    program = (
        f"import sys; sys.executable = {str(tmp_path / 'python')!r}\n"
        "from bids_fx.__main__ import main; sys.exit(main())\n"
    )
    options = [word for word in words(truth, tmp_path / "out") if "validation" not in word]
    call = Call(tmp_path / "log", *options, program=("-c", program))
    call.wait_for(lambda: began.exists() and began.read_text(), "the validator")
    call.process.send_signal(number)
    check_end(call, number, "the validator")


@pytest.mark.soak
def test_a_call_that_waits_for_a_lock_ends(truth, tmp_path):
    out = tmp_path / "out"
    first = Call(tmp_path / "first", *words(truth, out))
    first.wait_for(lambda: "started" in first.log, "its work")
    for pid in first.processes():
        os.kill(pid, signal.SIGSTOP)
    second = Call(tmp_path / "second", *words(truth, out))
    try:
        # It has planned, and comes no further than the lock of the participant.
        second.wait_for(lambda: len(list(out.glob("logs/*/config.toml"))) == 2, "the second call")
        time.sleep(2)
        second.process.send_signal(signal.SIGTERM)
        check_end(second, signal.SIGTERM, "a call that waits")
    finally:
        for pid in first.processes():
            os.kill(pid, signal.SIGCONT)
    assert first.end() == 0, first.log


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_that_are_stopped_end_with_the_program(truth, tmp_path, number):
    call = Call(tmp_path / "log", *words(truth, tmp_path / "out"))
    call.wait_for(call.workers, "a worker")
    for pid in call.workers():
        os.kill(pid, signal.SIGSTOP)
    call.process.send_signal(number)
    # The system wakes those that SIGKILL leaves with nobody to wake them, and they see that.
    check_end(call, number, "stopped workers")


@pytest.mark.soak
def test_without_its_terminal_a_call_goes_on_under_nohup(truth, tmp_path):
    program = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from bids_fx.__main__ import main; sys.exit(main())\n"
    )
    call = Call(tmp_path / "log", *words(truth, tmp_path / "out"), program=("-c", program))
    call.wait_for(call.workers, "a worker")
    for pid in call.processes():
        os.kill(pid, signal.SIGHUP)
    assert call.end("a call under nohup") == 0, call.log


@pytest.mark.soak
@pytest.mark.parametrize("task", ["combining face", "drawing face", "drawing the fit", "joining"])
def test_a_worker_killed_at_any_task_is_a_failure_by_name_that_a_rerun_mends(
    truth, undisturbed, tmp_path, task
):
    expected, _ = undisturbed
    out = tmp_path / "out"
    call = Call(tmp_path / "log", *words(truth, out))
    call.wait_for(lambda: f"{task} of" in call.log or "sub-01: done" in call.log, task)
    for pid in call.workers():
        os.kill(pid, signal.SIGKILL)
    code = call.end(task)
    if code:
        assert code == 1
        assert "its process was killed by SIGKILL" in call.log
    assert main(words(truth, out, 1)) == 0
    assert differences(outputs(out), expected) == []


@pytest.mark.soak
def test_a_killed_server_of_workers_is_started_again_and_a_rerun_completes(
    truth, undisturbed, tmp_path
):
    expected, _ = undisturbed
    out = tmp_path / "out"
    call = Call(tmp_path / "log", *words(truth, out))
    call.wait_for(call.workers, "a worker")
    server = parent_of(next(iter(call.workers()), 0))
    os.kill(server, signal.SIGKILL)
    assert call.end("without a server") in (0, 1), call.log
    assert "sub-01: " in call.log
    assert main(words(truth, out, 1)) == 0
    assert differences(outputs(out), expected) == []
