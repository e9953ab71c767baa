"""The benchmark of finding and planning: its dataset, and that it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bids_fx.dataset.index import find_runs
from bids_fx.settings import AnalysisSettings, DataSelection
from finding import N_RUNS, N_SCANS, labels, make_tree, parse

ROOT = Path(__file__).parent.parent


def test_participants_that_are_planned_can_be_and_all_other_files_are_empty(
    tmp_path: Path,
) -> None:
    raw, derivatives = make_tree(tmp_path, 3, 1)
    data = DataSelection(bids_dir=raw, derivatives=(("fmriprep", derivatives),))
    found = find_runs(data, "0001", analysis=AnalysisSettings())
    assert found.problems == ()
    assert [run.n_scans for run in found.runs] == [N_SCANS] * N_RUNS
    assert len(found.runs[0].confounds.values) > 200
    for label in ("0002", "0003"):
        files = [path for root in (raw, derivatives) for path in root.glob(f"sub-{label}/**/*.*")]
        assert len(files) > 60
        assert not any(path.stat().st_size for path in files)


def test_more_participants_than_there_are_cannot_be_planned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse(["--participants", "2", "--planned", "1,3"])
    assert "expected numbers from 1 to 2" in capsys.readouterr().err


def test_the_script_prints_a_row_for_each_number_of_participants() -> None:
    command = [sys.executable, "benchmarks/finding.py", "--participants", "3", "--planned", "1,2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[-2:]]
    assert [row[0] for row in rows] == ["1", "2"]
    one, two = (int(row[1]) for row in rows)
    assert 0 < one == two - one
    assert all(float(cell) > 0 for row in rows for cell in row[2:])
    assert labels(2) == ["0001", "0002"]
