"""What a call imports: each in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.dataset.trees import Tree

#: Libraries that take long to import, by what they are for.
NUMBERS = {"numpy", "scipy", "pandas"}
DRAWING = {"matplotlib", "nilearn", "PIL", "sklearn"}
RUNNING = {"nipype", "networkx", "traits"}
OTHERS = {"bids", "sqlalchemy", "nibabel", "jinja2", "yaml", "templateflow", "rich"}

CODE = """
import sys
from bids_fx.cli.run import main
try:
    code = main(sys.argv[2:])
except SystemExit as end:
    code = end.code
print(*sorted(set(sys.argv[1].split()) & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def imported(libraries: set[str], *arguments: object) -> set[str]:
    """Return which of some libraries a call imports into the main process."""
    command = [sys.executable, "-c", CODE, " ".join(libraries), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path, n_scans=40)
    for run in (1, 2):
        tree.run(f"sub-01_task-nback_run-{run}")
    return tree


def call(tree: Tree, *options: str) -> list[object]:
    contrast = ["--contrast", "face - house", "--noise-model", "ols", "--skip-bids-validation"]
    derivatives = ["-d", tree.preproc]
    return [tree.raw, tree.root / "out", "participant", *derivatives, *contrast, *options]


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_library(option: str) -> None:
    assert imported(NUMBERS | DRAWING | RUNNING | OTHERS, option) == set()


def test_a_dry_run_imports_what_reads_and_plans_alone(tree: Tree) -> None:
    libraries = NUMBERS | DRAWING | RUNNING | OTHERS
    assert imported(libraries, *call(tree, "--dry-run")) == {
        *("numpy", "scipy", "nibabel", "bids", "sqlalchemy")
    }


@pytest.mark.e2e
def test_nothing_to_do_imports_nothing_that_fits_or_draws(tree: Tree) -> None:
    # Nodes run in processes of their own: what they import, the main process need not.
    assert imported(DRAWING, *call(tree, "--nprocs", "2")) == set()
    assert imported(DRAWING | RUNNING, *call(tree)) == set()


def test_signals_are_handled_before_the_program_is_imported() -> None:
    code = """
import signal, sys, types, bids_fx.cli, bids_fx.__main__
print(*(name for name in sys.modules if "bids_fx" in name))
bids_fx.cli.run = types.SimpleNamespace(main=lambda: print(signal.getsignal(signal.SIGTERM)))
bids_fx.__main__.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported_first, handler = done.stdout.splitlines()
    parts = {"cli", "cli.interruption", "errors", "__main__"}
    assert set(imported_first.split()) == {"bids_fx"} | {f"bids_fx.{part}" for part in parts}
    assert "Interruption._handle" in handler


def test_the_version_is_looked_up_only_when_it_is_asked_for() -> None:
    code = (
        "import bids_fx, sys; assert 'importlib.metadata' not in sys.modules; bids_fx.__version__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
