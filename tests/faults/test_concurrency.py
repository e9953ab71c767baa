"""Processes that work in one output folder at once: none loses or tears what another writes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.derivatives.locks import is_locked
from bids_fx.derivatives.states import told_of
from tests.calls_at_once import Caller, CallOfProcess, wait_until
from tests.lock_user import ended, held, start
from tests.soak import many
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

LABELS = tuple(f"{number:02}" for number in range(1, 11))


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    spec = DatasetSpec(participants=LABELS, runs=("1",), shape=(5, 5, 4), n_volumes=40)
    return make_dataset(tmp_path_factory.mktemp("concurrency") / "data", spec)


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with Caller() as one:
        yield one


def words(truth: Truth, out: Path, label: str) -> list[str]:
    """Return a call for one participant, by whose name it has the folder of derivatives."""
    return [
        *(str(truth.bids_dir), str(out), "participant", "--participant-label", label),
        *("-d", f"of{label}={truth.derivatives_dir}", "--contrast", "face", "--nprocs", "1"),
        *("--smoothing-fwhm", "0", "--skip-bids-validation"),
    ]


def results(out: Path, label: str) -> dict[str, bytes]:
    """Return a participant's files by name."""
    files = [*(out / f"sub-{label}").rglob("*"), out / f"sub-{label}.html"]
    return {str(file.relative_to(out)): file.read_bytes() for file in files if file.is_file()}


def left_of_locks(out: Path) -> list[str]:
    """Return what is left of locks but their lock files, of which there is one for each."""
    locks = (out / ".bids_fx_work" / "locks").iterdir()
    return [path.name for path in locks if path.suffix != ".lock" or "call-" in path.name]


def test_ten_participants_at_once_lose_nothing_of_each_other(
    truth: Truth, caller: Caller, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    description = out / "dataset_description.json"
    calls = [CallOfProcess(argv=words(truth, out, label)) for label in LABELS]
    calls[-1]["waits"] = True
    with caller.at_once(tmp_path / "calls", *calls) as started:
        wait_until("the last waits", lambda: started.is_stopped(-1))
        wait_until("it is there", description.exists)
        early = json.loads(description.read_bytes())["DatasetLinks"]
        assert f"of{LABELS[-1]}" not in early  # it is read while it grows
        os.kill(started.pids[-1], signal.SIGCONT)
        while started.run():
            assert early.items() <= json.loads(description.read_bytes())["DatasetLinks"].items()
            assert main([str(truth.bids_dir), str(out), "group", "--nprocs", "1"]) in (0, 18)
            time.sleep(0.2)
            json_files = (out / ".bids_fx_work" / "states").glob("sub-*.json")
            assert all(json.loads(file.read_bytes()) for file in json_files)
        codes = started.codes()
        assert codes == 10 * [0], [started.log(number) for number in range(10)]
    assert set(json.loads(description.read_bytes())["DatasetLinks"]) == {
        "raw",
        *(f"of{label}" for label in LABELS),
    }
    assert [told_of(out, label).state for label in LABELS] == 10 * ["done"]
    summaries = [json.loads(file.read_bytes()) for file in out.glob("logs/*/summary.json")]
    who = sorted(name for one in summaries for name in one["participants"])
    assert who == [f"sub-{label}" for label in LABELS]
    assert (out / "logs" / "CITATION.md").read_text().endswith("\n")
    assert main([str(truth.bids_dir), str(out), "group"]) == 0
    page = (out / "index.html").read_text()
    assert all(f'href="sub-{label}.html"' in page for label in LABELS)
    assert [*left_of_locks(out), *out.rglob("*.tmp")] == []
    for label in LABELS[: many(1, soak=10)]:
        alone = tmp_path / f"alone{label}"
        assert main(words(truth, alone, label)) == 0
        assert results(out, label) == results(alone, label)


@pytest.mark.parametrize(
    "no_flock", [pytest.param(False, marks=pytest.mark.soak), True], ids=["flock", "without"]
)
def test_second_call_for_a_participant_waits_by_name_and_does_nothing_again(
    truth: Truth, caller: Caller, tmp_path: Path, *, no_flock: bool
) -> None:
    out = tmp_path / "out"
    holder = held(out, "sub-01", *(["--no-flock"] if no_flock else []))
    waiting = f"sub-01 is being worked on by another call (process {holder.pid} on "
    calls = 2 * [CallOfProcess(argv=words(truth, out, "01"), no_flock=no_flock)]
    with caller.at_once(tmp_path / "calls", *calls) as both:
        wait_until("both wait", lambda: all(waiting in both.log(number) for number in (0, 1)))
        assert told_of(out, "01").state == "planned"
        assert ended(holder)[0] == 0
        assert both.codes() == [0, 0]
        logs = [both.log(number) for number in (0, 1)]
        fitted = ["fitting" in log for log in logs]
        assert sorted(fitted) == [False, True], logs
        first = fitted.index(True)
        assert f"another call (process {both.pids[first]} on " in logs[1 - first]
    assert told_of(out, "01").state == "done"
    assert left_of_locks(out) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_ends_a_call_that_waits(
    truth: Truth, caller: Caller, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "out"
    holder = held(out, "sub-01")
    with caller.at_once(tmp_path / "calls", CallOfProcess(argv=words(truth, out, "01"))) as one:
        wait_until("it waits", lambda: "waiting for it to end" in one.log(0))
        os.kill(one.pids[0], number)
        assert one.codes() == [code], one.log(0)
    assert told_of(out, "01").state == ""
    assert is_locked(out, "sub-01")
    assert ended(holder)[0] == 0
    assert left_of_locks(out) == []


def test_lock_of_a_killed_call_is_taken_over_at_once(
    truth: Truth, caller: Caller, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with caller.at_once(
        tmp_path / "calls", CallOfProcess(argv=words(truth, out, "01"), stops=True)
    ) as one:
        wait_until("it works", lambda: one.is_stopped(0))
        assert told_of(out, "01").is_live
        os.kill(one.pids[0], signal.SIGKILL)
        assert one.codes() == [137]
    assert not told_of(out, "01").is_live
    assert len(left_of_locks(out)) == 3  # the claims, and the call's lock file
    with caller.at_once(tmp_path / "again", CallOfProcess(argv=words(truth, out, "01"))) as again:
        assert again.codes() == [0]
        assert "waiting" not in again.log(0)
    assert left_of_locks(out) == []


def test_call_that_wakes_and_was_taken_over_ends_by_name(
    truth: Truth, caller: Caller, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asleep = CallOfProcess(argv=words(truth, out, "01"), stops=True, no_flock=True)
    with caller.at_once(tmp_path / "calls", asleep) as one:
        wait_until("it works", lambda: one.is_stopped(0))
        other = held(out, "sub-01", "--no-flock")
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
        os.kill(one.pids[0], signal.SIGCONT)
        assert one.codes() == [1], one.log(0)
        assert f"sub-01: another call (process {other.pid} on " in one.log(0)
        assert "has taken over, since this one showed no sign of life" in one.log(0)
    own = [path for path in before if "locks" not in path.parts]
    assert {path: path.stat().st_mtime_ns for path in own} == {path: before[path] for path in own}
    assert list(out.glob("sub-01*")) == []
    assert other.poll() is None
    assert is_locked(out, "sub-01")
    assert ended(other)[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(((),) * 6, marks=pytest.mark.soak, id="flock"),
        pytest.param((("--no-flock",),) * 6, id="without flock"),
        pytest.param(
            (("--machine=a",), ("--machine=b",), ("--machine=c",)) * 2,
            marks=pytest.mark.soak,
            id="three machines",
        ),
        pytest.param(((), ("--no-flock",), ("--machine=b",)) * 2, id="all at once"),
    ],
)
def test_one_process_at_a_time_has_a_lock_whoever_is_killed(tmp_path: Path, options) -> None:
    (tmp_path / "number").write_text("0")
    rounds = many(12, soak=200)
    more = [["--dies"] if number in (1, 4) else [] for number in range(6)]
    processes = [
        start(tmp_path, "count", "shared", f"--rounds={rounds}", *option, *own)
        for option, own in zip(options, more, strict=True)
    ]
    outcomes = [ended(process) for process in processes]
    assert [code for code, _ in outcomes] == [0, -9, 0, 0, -9, 0], outcomes
    dead = rounds - rounds // 2 + 1
    assert (tmp_path / "number").read_text() == str(4 * rounds + 2 * dead)


def test_calls_that_want_the_same_locks_in_any_order_never_wait_for_each_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "number").write_text("0")
    names = [f"sub-{label}" for label in LABELS]
    orders = [names, names[::-1], names[5:] + names[:5]]
    rounds = many(10, soak=200)
    processes = [start(tmp_path, "count", *order, f"--rounds={rounds}") for order in orders]
    outcomes = [ended(process) for process in processes]
    assert [code for code, _ in outcomes] == [0, 0, 0], outcomes
    assert (tmp_path / "number").read_text() == str(3 * rounds)
