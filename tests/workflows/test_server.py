"""The process from which those of all nodes are forked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bids_fx.workflows.server import start_server

START = """
import tempfile, time
from bids_fx.workflows import server
if __name__ == "__main__":
    server.PRELOADED.clear()
    process = server.start_server().Process(target=time.sleep, args=(0,))
    process.start()
    process.join()
    assert process.exitcode == 0
    print(tempfile.gettempdir())
"""


@pytest.mark.parametrize("length", [1, 60, 100, 200])
def test_it_starts_however_long_the_name_of_the_temporary_folder_is(
    length: int, tmp_path: Path
) -> None:
    folder = tmp_path / ("x" * length)
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", START],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder)
    assert list(folder.iterdir()) == []


def test_it_imports_nothing_from_the_folder_that_the_caller_is_in(tmp_path: Path) -> None:
    folder, script = tmp_path / "caller", tmp_path / "start.py"
    folder.mkdir()
    script.write_text(START)
    for name in ("multiprocessing", "selectors", "socket", "struct"):
        (folder / f"{name}.py").write_text("raise SystemExit('not the library')")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.glob("__pycache__")) == []


@pytest.mark.parametrize("before", [None, "yes"])
def test_what_else_is_started_imports_as_before(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if before is not None:
        monkeypatch.setenv("PYTHONSAFEPATH", before)
    start_server()
    assert os.environ.get("PYTHONSAFEPATH") == before


def test_it_makes_nothing_after_the_program_has_removed_what_it_shares(tmp_path: Path) -> None:
    shared, late = tmp_path / "shared", tmp_path / "late.py"
    late.write_text(f"import os, time\ntime.sleep(1)\nos.makedirs({str(shared)!r})\n")
    code = (
        f"import atexit, os; shared = {str(shared)!r}\n"
        "os.mkdir(shared); atexit.register(os.rmdir, shared)\n"
        "from bids_fx.workflows import server\n"
        "server.PRELOADED[:] = ['late']\n"
        "server.start_server()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}{os.pathsep}{tmp_path}"},
        capture_output=True,  # ends when all who may write have ended
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not shared.exists()
