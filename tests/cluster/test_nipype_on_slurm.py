"""Nodes as jobs of a real Slurm: what it kills costs its participant alone, maps are the same."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from bids_fx.derivatives.dataset import read_state
from tests.nodes_as_jobs import command, outputs
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.cluster

#: Seconds after which the program counts as hanging.
PATIENCE = 300
HOG = "import time; held = b'x' * 3_000_000_000; time.sleep(60)"
#: What jobs do before their node: those of two participants' fits do not get to it.
TROUBLE = f"""#!/bin/bash
case $SLURM_JOB_NAME in
    fit_run.*sub_02*) exec {sys.executable} -c {shlex.quote(HOG)} ;;
    fit_run.*sub_03*) scancel "$SLURM_JOB_ID"; sleep 60 ;;
esac
"""


class Call(NamedTuple):
    """How a call of the program ended."""

    code: int
    log: str


class Calls(NamedTuple):
    """Calls for the same data: here, on Slurm with trouble, and again without."""

    out: Path
    plain: Path
    troubled: Call
    states: Mapping[str, str]
    reports: Mapping[str, str]
    crashes: Mapping[str, str]
    again: Call


def run(truth: Truth, out: Path, *options: str) -> Call:
    environment = {name: value for name, value in os.environ.items() if name != "LOGNAME"}
    done = subprocess.run(
        command(truth, out, *options),
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        timeout=PATIENCE,
        check=False,
    )
    return Call(done.returncode, done.stderr)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    folder = tmp_path_factory.mktemp("nipype")
    labels = ("01", "02", "03")
    truth = make_dataset(
        folder / "data", DatasetSpec(participants=labels, runs=("1",), n_volumes=40)
    )
    out, plain = folder / "out", folder / "plain"
    assert run(truth, plain).code == 0
    template = folder / "template.sh"
    template.write_text(TROUBLE)
    file = folder / "slurm.yml"
    file.write_text(
        "plugin: SLURM\n"
        "plugin_args:\n"
        "  sbatch_args: --oversubscribe --export=ALL --time=5\n"
        "  poll_sleep_duration: 0.5\n"
        f"  template: {template}\n"
    )
    troubled = run(truth, out, "--use-plugin", str(file))
    states = {label: read_state(out, label)["state"] for label in labels}
    reports = {label: (out / f"sub-{label}.html").read_text() for label in labels}
    crashes = {
        label: path.read_text()
        for path in out.glob("logs/*/crash-*.txt")
        for label in labels
        if f"nipype.sub_{label}." in path.read_text()
    }
    template.write_text("#!/bin/bash\n")
    again = run(truth, out, "--use-plugin", str(file))
    return Calls(out, plain, troubled, states, reports, crashes, again)


@pytest.fixture(scope="module")
def out_of_memory() -> str:
    """Return what Slurm says of a job that took too much: without control groups it is killed."""
    command = ["scontrol", "show", "config"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "OUT_OF_MEMORY (exit code 0:125)" if "task/cgroup" in told else "FAILED (exit code 0:9)"


def test_participants_whose_jobs_were_killed_failed_and_the_other_is_done(calls: Calls) -> None:
    assert calls.troubled.code == 1, calls.troubled.log
    assert calls.states == {"01": "done", "02": "failed", "03": "failed"}


def test_crash_file_and_report_tell_of_a_job_without_memory(
    calls: Calls, out_of_memory: str
) -> None:
    words = f"ended as {out_of_memory} and left no result"
    assert words in calls.crashes["02"]
    assert words in calls.reports["02"]


def test_crash_file_and_report_tell_of_a_cancelled_job(calls: Calls) -> None:
    words = "ended as CANCELLED"
    assert words in calls.crashes["03"]
    assert words in calls.reports["03"]


def test_participant_without_trouble_has_no_crash_file(calls: Calls) -> None:
    assert sorted(calls.crashes) == ["02", "03"]


def test_same_call_without_trouble_goes_on_to_the_maps_of_a_plain_run(calls: Calls) -> None:
    assert calls.again.code == 0, calls.again.log
    assert outputs(calls.out) == outputs(calls.plain)
