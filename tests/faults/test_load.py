"""Many participants in one call: nothing grows with them, and a bad one costs only itself."""

from __future__ import annotations

import errno
import gc
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from nipype.pipeline import engine as pe

from bids_fx.cli import session
from bids_fx.cli.run import main
from bids_fx.cli.session import Session
from bids_fx.derivatives.dataset import read_state
from bids_fx.derivatives.hashes import HashCache
from bids_fx.errors import output_error
from bids_fx.workflows import base
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

#: Of the soak.
PARTICIPANTS = 200
#: Seconds in which one participant of the soak must be done.
PATIENCE = 60
#: Bytes by which the main process may grow with each participant: what is kept for summary.json.
MOST_KEPT = 50_000
OPTIONS = ("--contrast", "face", "--skip-bids-validation")
THREE = DatasetSpec(participants=("01", "02", "03"), runs=(), shape=(5, 6, 4), n_volumes=30)


def labels(count: int) -> tuple[str, ...]:
    return tuple(f"{number + 1:03d}" for number in range(count))


def summary_of(out: Path) -> dict[str, dict]:
    """Return what the newest call says of its participants."""
    newest = max(out.glob("logs/*/summary.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(newest.read_text())["participants"]


def spoil(bold: Path) -> None:
    """Have a series end early with an error that only whoever reads all of it meets."""
    content = bytearray(bold.read_bytes())
    content[-8] ^= 0xFF  # of the checksum
    bold.write_bytes(bytes(content))


class Seen(NamedTuple):
    """What a batch begins with: nipype's objects, and bytes that Python holds."""

    n_nipype: int
    n_bytes: int


def count_nipype() -> int:
    """Return the number of nipype's objects that there are."""
    return sum(isinstance(one, pe.Node | pe.Workflow) for one in gc.get_objects())


@pytest.fixture
def seen(monkeypatch) -> list[Seen]:
    """Return what batches of two participants begin with whose nodes do nothing."""
    seen: list[Seen] = []
    run_batch = Session._run_batch

    def look(self, plans):
        seen.append(Seen(count_nipype(), tracemalloc.get_traced_memory()[0]))
        return run_batch(self, plans)

    monkeypatch.setattr(session, "BATCH", 2)
    monkeypatch.setattr(Session, "_run_batch", look)
    monkeypatch.setattr(pe.Node, "run", lambda self, updatehash=False: None)
    return seen


def test_batches_leave_neither_workflows_nor_memory_behind(seen, tmp_path):
    spec = DatasetSpec(participants=labels(8), runs=(), shape=(5, 6, 4), n_volumes=30)
    truth = make_dataset(tmp_path / "data", spec)
    gc.collect()
    n_before = count_nipype()  # other tests may have left some
    tracemalloc.start()
    try:
        main(
            [str(truth.bids_dir), str(tmp_path / "out"), "participant", "--nprocs", "1", *OPTIONS]
        )
    finally:
        tracemalloc.stop()
    assert [one.n_nipype for one in seen] == [n_before] * 4
    growth = (seen[-1].n_bytes - seen[1].n_bytes) / 4  # participants between the two moments
    assert growth < MOST_KEPT


PLANTED = ZeroDivisionError("planted")


@pytest.fixture
def half_done(ended_call, monkeypatch) -> tuple[list[str], Path]:
    """Return a call in batches of two that has something to draw for each of three, and OUT."""
    options = ("--nprocs", "1", *OPTIONS)
    truth, out = ended_call(THREE, *options)
    for figure in out.glob("sub-*/figures/*_design.svg"):
        figure.unlink()
    monkeypatch.setattr(session, "BATCH", 2)
    return [str(truth.bids_dir), str(out), "participant", *options], out


def fail_for_02(step, find, error=PLANTED):
    """Return a step that fails where its arguments are of sub-02."""

    def failing(*arguments, **options):
        if find(*arguments) == "02":
            raise error
        return step(*arguments, **options)

    return failing


#: Where a fault is planted: owner, name, and how the participant is told from its arguments.
STEPS = {
    "looking": (session, "unfinished", lambda plan, *_: plan.participant),
    "beginning": (session, "write_state", lambda out, label, *_: label),
    "building": (base, "init_participant_wf", lambda plan, *_: plan.participant),
    "concluding": (session, "conclude", lambda plan, *_: plan.participant),
    "keeping": (HashCache, "save", lambda cache: cache._path.stem.removeprefix("sub-")),
}


@pytest.mark.parametrize("place", STEPS)
def test_a_fault_of_the_program_costs_the_participant_with_whom_it_shows(
    half_done, monkeypatch, place
):
    call, out = half_done
    owner, name, find = STEPS[place]
    with monkeypatch.context() as planted:
        planted.setattr(owner, name, fail_for_02(getattr(owner, name), find))
        assert main(call) == 1
    told = summary_of(out)
    states = {who: one["state"] for who, one in told.items()}
    assert states == {"sub-01": "done", "sub-02": "failed", "sub-03": "done"}
    assert "ZeroDivisionError: planted" in told["sub-02"]["reasons"][0]
    assert "planted" in str(read_state(out, "02")["reason"])
    (file,) = out.glob("logs/*/error-sub-02.txt")
    assert "Traceback" in file.read_text()
    assert main(call) == 0
    assert read_state(out, "02")["state"] == "done"


NOT_YOURS = PermissionError(errno.EPERM, os.strerror(errno.EPERM), "/out/sub-02_mask.json")
FULL = output_error(Path("/out/state"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


@pytest.mark.parametrize(
    ("place", "error", "code", "what"),
    [
        ("looking", NOT_YOURS, 73, "Operation not permitted"),
        ("beginning", FULL, 74, "No space left on device"),
    ],
    ids=["right", "room"],
)
def test_what_the_system_refuses_to_one_participant_is_told_of_it_alone_by_its_code(
    half_done, monkeypatch, place, error, code, what
):
    call, out = half_done
    owner, name, find = STEPS[place]
    monkeypatch.setattr(owner, name, fail_for_02(getattr(owner, name), find, error))
    assert main(call) == code
    told = summary_of(out)
    assert [one["state"] for one in told.values()] == ["done", "failed", "done"]
    reasons = str(told["sub-02"]["reasons"])
    assert "fault of the program" not in reasons
    assert f" ({what}); " in reasons


def test_a_workflow_that_cannot_be_written_is_told_of_each_participant_in_it(
    half_done, monkeypatch, capsys
):
    call, out = half_done
    step = base.init_bids_fx_wf
    full = fail_for_02(step, lambda due, **_: due[-1][0].participant, FULL)
    with monkeypatch.context() as planted:
        planted.setattr(base, "init_bids_fx_wf", full)
        assert main(call) == 74
    told = summary_of(out)
    assert [one["state"] for one in told.values()] == ["failed", "failed", "done"]
    assert all("the workflow: /out/state" in told[f"sub-0{n}"]["reasons"][0] for n in (1, 2))
    assert [read_state(out, f"0{n}")["state"] for n in (1, 2, 3)] == ["failed", "failed", "done"]
    assert "Not begun" not in capsys.readouterr().err
    assert main(call) == 0


class Sample(NamedTuple):
    """A process from outside, when some participants were done."""

    n_done: int
    n_bytes: int
    n_files: int
    n_threads: int
    n_zombies: int
    n_children: int


def sample(pid: int, out: Path) -> Sample | None:
    """Look at a process; None where it has just ended."""
    n_done = len(list(out.glob("sub-*.html")))
    try:
        told = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        states = Counter(
            Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
            for child in children
        )
        return Sample(
            n_done=n_done,
            n_bytes=int(told["VmRSS"].split()[0]) * 1024,
            n_files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            n_threads=int(told["Threads"]),
            n_zombies=states["Z"],
            n_children=len(children),
        )
    except (OSError, KeyError):
        return None


def watched(command: list[str], out: Path, temporary: Path, most_s: float) -> list[Sample]:
    """Run a program to its end, and return what was seen of it; it must end with code 1."""
    environment = os.environ | {"TMPDIR": str(temporary)}
    with (temporary / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        samples = []
        end = time.monotonic() + most_s
        while process.poll() is None:
            if time.monotonic() > end:
                process.kill()
                process.wait()
                pytest.fail(f"it hangs: {(temporary / 'log').read_text()[-2000:]}")
            if (one := sample(process.pid, out)) is not None:
                samples.append(one)
            time.sleep(0.2)
    assert process.returncode == 1, (temporary / "log").read_text()[-5000:]
    return samples


@pytest.mark.soak
def test_a_call_of_many_participants_stays_as_it_begins(tmp_path):
    count = PARTICIPANTS
    spec = DatasetSpec(participants=labels(count), runs=(), shape=(5, 6, 4), n_volumes=30)
    truth: Truth = make_dataset(tmp_path / "data", spec)
    refused, turned = truth.runs[count // 3], truth.runs[count // 2]
    assert refused.events is not None
    refused.events.write_text("onset\tduration\ttrial_type\nearly\t1\tface\n")
    spoil(turned.bold)
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-m", "bids_fx", str(truth.bids_dir), str(out), "participant"]
    before = set(Path("/dev/shm").iterdir())
    samples = watched([*command, "--nprocs", "2", *OPTIONS], out, temporary, PATIENCE * count)
    assert {path.name for path in temporary.iterdir()} == {"log"}
    assert set(Path("/dev/shm").iterdir()) <= before

    bad = {f"sub-{one.entities['sub']}" for one in (refused, turned)}
    told = summary_of(out)
    assert {who for who, one in told.items() if one["state"] == "failed"} == bad
    assert {who for who, one in told.items() if one["reasons"]} == bad
    assert len(told) == count
    assert main([str(truth.bids_dir), str(out), "group"]) == 1
    everyone = json.loads((out / "summary.json").read_text())["participants"]
    assert {who for who, one in everyone.items() if one["state"] == "failed"} == bad

    # The first batches fill caches, and the last one is followed by the end.
    later = [one for one in samples if count // 4 < one.n_done < count - 1]
    n_done, n_bytes = np.array([(one.n_done, one.n_bytes) for one in later], float).T
    growth = np.polyfit(n_done, n_bytes, 1)[0]
    assert growth < MOST_KEPT, f"{growth:.0f} bytes a participant"
    half = len(later) // 2
    for name in ("n_files", "n_threads", "n_children"):
        first, second = (
            [getattr(one, name) for one in part] for part in (later[:half], later[half:])
        )
        assert max(second) <= max(first) + 2, name
    # One that has ended may be seen before it is waited for, but not for long.
    assert max(one.n_zombies for one in later) <= 2
    assert samples[-1].n_zombies == 0
