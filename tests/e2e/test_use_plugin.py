"""Nodes as jobs of a scheduler: a lost job costs its participant alone, and maps are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bids_fx.derivatives.dataset import read_state
from tests import fake_schedulers as fake
from tests.nodes_as_jobs import command, outputs
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

#: Seconds after which the program counts as hanging.
PATIENCE = 240


def start(truth: Truth, out: Path, *options: str, path: Path | None = None) -> subprocess.Popen:
    found = os.environ["PATH"] if path is None else f"{path}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": found}
    return subprocess.Popen(
        command(truth, out, *options), stderr=subprocess.PIPE, text=True, env=environment
    )


def run(truth: Truth, out: Path, *options: str, path: Path | None = None) -> tuple[int, str]:
    process = start(truth, out, *options, path=path)
    _, log = process.communicate(timeout=PATIENCE)
    return process.returncode, log


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    spec = DatasetSpec(participants=("01", "02"), runs=("1",), n_volumes=40)
    return make_dataset(tmp_path_factory.mktemp("plugin") / "data", spec)


@pytest.fixture
def plugin_file(tmp_path: Path) -> Path:
    file = tmp_path / "slurm.yml"
    file.write_text("plugin: SLURM\nplugin_args: {poll_sleep_duration: 0.2, retry_timeout: 0.1}\n")
    return file


def test_lost_job_costs_its_participant_alone_and_the_next_call_goes_on(
    truth: Truth, tmp_path: Path, plugin_file: Path
) -> None:
    assert run(truth, tmp_path / "plain")[0] == 0
    out, cluster = tmp_path / "out", tmp_path / "cluster"
    path = fake.install(cluster, fates={r"^fit_run.*sub_02": "OUT_OF_MEMORY"})
    use = ("--use-plugin", str(plugin_file))

    code, log = run(truth, out, *use, path=path)
    assert code == 1, log
    assert [read_state(out, label)["state"] for label in ("01", "02")] == ["done", "failed"]
    report = (out / "sub-02.html").read_text()
    assert "ended as OUT_OF_MEMORY (exit code 0:125)" in report
    (crash,) = out.glob("logs/*/crash-*fit_run*.txt")
    assert "ended as OUT_OF_MEMORY (exit code 0:125)" in crash.read_text()
    assert not list(out.glob("sub-02/**/*stat-effect_statmap.nii.gz"))

    fake.set_fates(cluster, {})
    code, log = run(truth, out, *use, path=path)
    assert code == 0, log
    assert outputs(out) == outputs(tmp_path / "plain")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_cancels_the_jobs(
    truth: Truth, tmp_path: Path, plugin_file: Path, number: int, code: int
) -> None:
    cluster = tmp_path / "cluster"
    path = fake.install(cluster, fates={"": "PENDING"})
    use = ("--use-plugin", str(plugin_file))
    process = start(truth, tmp_path / "out", *use, path=path)
    end = time.monotonic() + PATIENCE
    while not fake.calls(cluster, "squeue") and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(number)
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, log
    jobs = fake.jobs(cluster)
    assert jobs
    assert {fake.state_of(cluster, job) for job in jobs} == {"CANCELLED 0:0"}
