"""What a call imports: each in an interpreter of its own."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("entry", "slow"),
    [
        ("bids_fx.__main__", "bids_fx.cli.run"),
        ("bids_fx.cli.cluster", "bids_fx.cluster.templates"),
        ("bids_fx.cli.explain_model", "bids_fx.stats_models.analysis"),
    ],
)
def test_signals_are_handled_before_the_program_is_imported(entry: str, slow: str) -> None:
    code = """
import importlib, signal, sys
entry, slow, *sys.argv[1:] = sys.argv[1:]
main = importlib.import_module(entry).main
print(*(name for name in sys.modules if "bids_fx" in name))
class Finder:
    def find_spec(self, name, *_):
        if name == slow:
            signal.raise_signal(signal.SIGTERM)
sys.meta_path.insert(0, Finder())
main()
"""
    command = [sys.executable, "-c", code, entry, slow, "slurm", "--log-json"]
    command[-1:] = [] if "model" in entry else command[-1:]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    parts = {"cli", *(f"cli.{name}" for name in ("interruption", "program", "streams"))}
    expected = {"bids_fx", entry} | {f"bids_fx.{part}" for part in {*parts, "errors", "logs"}}
    assert set(done.stdout.split()) == expected
    assert done.returncode == 143
    assert "Ended by a signal" in done.stderr
    if "model" not in entry:
        assert [json.loads(line).get("exit_code") for line in done.stderr.splitlines()] == [
            *(None, 143)
        ]


def test_the_version_is_looked_up_only_when_it_is_asked_for() -> None:
    code = (
        "import bids_fx, sys; assert 'importlib.metadata' not in sys.modules; bids_fx.__version__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
