"""What processes and nodes take, as the system counts it, and what is made of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bids_fx import usage
from bids_fx.usage import Gauge, Meter, NodeUsage, Usage, forget_peak, largest_sum, peak_mb

#: MB that a test fills, and by how much a count may differ for what the interpreter does beside.
FILLED, BESIDE = 200, 20


def ran(
    began: float,
    ended: float,
    peak: float | None,
    *,
    participant: str = "01",
    parent: float = 100.0,
    is_main: bool = False,
) -> NodeUsage:
    """Return a node that ran between two moments; without a peak its process was killed."""
    found = Usage(seconds=ended - began, cpu_s=0.0, peak_mb=peak, parent_mb=parent)
    return NodeUsage(
        participant=participant,
        task="fitting",
        is_main=is_main,
        began=began,
        ended=ended,
        threads=1,
        planned_mb=300.0,
        usage=None if peak is None else found,
    )


def in_a_process(code: str) -> list[float]:
    """Return the numbers that a program prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"from bids_fx.usage import *\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def test_peak_stays_after_the_memory_is_given_back() -> None:
    before, after = in_a_process(
        f"print(peak_mb())\nfilled = bytearray({FILLED * 10**6})\ndel filled\nprint(peak_mb())"
    )
    assert after - before == pytest.approx(FILLED, abs=BESIDE)


def test_peak_of_another_process_is_known() -> None:
    code = f"import sys; x = bytearray({FILLED * 10**6}); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = peak_mb(child.pid)
        child.communicate()
    assert found == pytest.approx(FILLED, abs=BESIDE)


def test_peak_of_a_process_that_is_not_there_is_unknown() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert peak_mb(child.pid) is None


def test_without_linux_the_peak_is_what_getrusage_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    known = peak_mb()
    monkeypatch.setattr(usage, "_STATUS", "/nowhere/{}")
    assert peak_mb() == pytest.approx(known, rel=0.2)
    assert peak_mb(os.getppid()) is None


def test_a_peak_that_is_forgotten_is_counted_anew() -> None:
    high, low = in_a_process(
        f"filled = bytearray({FILLED * 10**6})\ndel filled\nprint(peak_mb())\n"
        "assert forget_peak()\nprint(peak_mb())"
    )
    assert high - low == pytest.approx(FILLED, abs=BESIDE)


def test_where_a_peak_cannot_be_forgotten_it_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(usage, "_FORGET", tmp_path / "absent" / "clear_refs")
    assert not forget_peak()


def test_a_meter_that_forgets_knows_each_nodes_peak_and_that_of_all() -> None:
    first, second, most = in_a_process(
        f"meter = Meter(forgets=True)\ngauge = meter.gauge()\nx = bytearray({FILLED * 10**6})\n"
        "del x\nprint(gauge.read().peak_mb)\nprint(meter.gauge().read().peak_mb)\n"
        "print(meter.main_mb)"
    )
    assert first - second == pytest.approx(FILLED, abs=BESIDE)
    assert most == pytest.approx(first, abs=1)


def test_processors_are_counted_of_all_threads_and_waiting_is_not() -> None:
    gauge = Gauge()
    time.sleep(0.2)
    waited = gauge.read()
    assert waited.seconds >= 0.2
    assert waited.cpu_s < waited.seconds


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([], 0.0),
        ([ran(0, 1, 200.0), ran(2, 3, 150.0)], 200.0),  # one after the other
        ([ran(0, 9, 200.0), ran(2, 3, 150.0), ran(4, 5, 170.0)], 370.0),
        ([ran(0, 2, 200.0), ran(2, 4, 300.0)], 300.0),  # the one begins as the other ends
        ([ran(0, 1, 200.0), ran(0, 1, None)], None),  # of one that was killed it is unknown
    ],
)
def test_largest_sum_is_of_processes_that_ran_at_the_same_time(nodes, expected) -> None:
    assert largest_sum(nodes) == expected
    assert largest_sum(nodes[::-1]) == expected


def test_memory_of_a_participant_is_of_its_own_nodes_and_the_programs() -> None:
    meter = Meter()
    meter.nodes += [ran(0, 9, 200.0), ran(1, 2, 300.0, participant="02"), ran(3, 4, 50.0)]
    own = meter.of("01").peak_mb
    assert own == pytest.approx(meter.main_mb + 100 + 250, abs=1)
    assert meter.of_all().peak_mb == pytest.approx(own + 250, abs=1)


def test_memory_of_nodes_in_the_main_process_is_the_main_processs() -> None:
    meter = Meter()
    meter.nodes.append(ran(0, 9, 200.0, is_main=True))
    assert meter.of("01").peak_mb == pytest.approx(meter.main_mb, abs=1)


def test_memory_is_unknown_where_a_plugin_ran_the_nodes() -> None:
    meter = Meter()
    meter.is_blind = True
    assert meter.of("01").peak_mb is None


def test_seconds_are_from_the_first_node_to_the_last_and_the_work_beside_them() -> None:
    meter = Meter()
    meter.nodes += [ran(10, 12, 1.0), ran(11, 15, 1.0), ran(0, 90, 1.0, participant="02")]
    assert meter.of("01").seconds == 5
    with meter.timed("01"):
        time.sleep(0.1)
        assert 5.1 <= meter.of("01").seconds < 60  # also before that work has ended
    told = meter.of("01").seconds
    time.sleep(0.1)
    assert meter.of("01").seconds == told
    assert meter.of("03").seconds == 0
