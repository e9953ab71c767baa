"""What the program may use, and that no library takes more."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.cli.resources import (
    THREAD_VARIABLES,
    available_memory_gb,
    give_matplotlib_a_folder,
    this_machine,
)
from bids_fx.settings import ExecutionSettings

EXECUTION = ExecutionSettings(out_dir=Path("out"))


def test_memory_is_given_in_units_of_1000() -> None:
    machine = this_machine(replace(EXECUTION, mem_mb=1500.0), n_planned=3)
    assert machine.total_gb == 1.5
    assert machine.is_limit
    assert machine.n_planned == 3


def test_without_an_option_there_is_what_the_machine_has() -> None:
    machine = this_machine(EXECUTION, n_planned=0)
    assert machine.total_gb == available_memory_gb()
    assert not machine.is_limit
    assert machine.n_procs == len(os.sched_getaffinity(0))
    assert machine.n_threads is None


def test_processors_and_threads_are_those_asked_for() -> None:
    machine = this_machine(replace(EXECUTION, n_procs=7, omp_nthreads=3), n_planned=0)
    assert (machine.n_procs, machine.n_threads) == (7, 3)


@pytest.mark.parametrize("given", [None, "16"])
def test_no_numerical_library_starts_threads(given: str | None) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    if given is not None:
        environment |= dict.fromkeys(THREAD_VARIABLES, given)
    code = (
        "from bids_fx.cli.run import main; main(['/none', '/none/out', 'participant']);"
        "import numpy, threadpoolctl;"
        "print(max(pool['num_threads'] for pool in threadpoolctl.threadpool_info()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1"]


def test_nipype_is_kept_from_asking_a_server() -> None:
    environment = {key: value for key, value in os.environ.items() if "NO_ET" not in key}
    code = (
        "import bids_fx.interfaces.glm, os; print(os.environ['NO_ET'], os.environ['NIPYPE_NO_ET'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("/elsewhere", "/elsewhere"), ("", "{own}/matplotlib"), (None, "{own}/matplotlib")],
)
def test_matplotlib_gets_a_folder_unless_one_is_named(
    given: str | None, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "")  # put back afterwards
    if given is None:
        monkeypatch.delenv("MPLCONFIGDIR")
    else:
        monkeypatch.setenv("MPLCONFIGDIR", given)
    give_matplotlib_a_folder(tmp_path)
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / kept.format(own=f"user-{os.geteuid()}"))
