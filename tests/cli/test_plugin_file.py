"""What stands in the file of ``--use-plugin`` is checked before anything is run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bids_fx.cli.plugin_file import REFUSED, read_plugin
from bids_fx.errors import BIDSFXError, ExitCode, Problem
from bids_fx.usage import Meter
from bids_fx.workflows.base import Resources, _plugin
from bids_fx.workflows.plugins import ARGUMENTS, SCHEDULERS, PluginChoice
from bids_fx.workflows.processes import OneProcessPerNode
from tests import fake_schedulers


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the file goes; of the schedulers Slurm's programs are there."""
    monkeypatch.setenv("PATH", str(fake_schedulers.install(tmp_path)))
    return tmp_path / "plugin.yml"


def problems(path: Path, text: str) -> tuple[Problem, ...]:
    path.write_text(text)
    with pytest.raises(BIDSFXError) as caught:
        read_plugin(path)
    return caught.value.problems


def test_plugin_is_read_with_its_arguments(path: Path) -> None:
    path.write_text("plugin: SLURM\nplugin_args:\n  sbatch_args: --mem=2G\n  max_jobs: 5\n")
    expected = {"sbatch_args": "--mem=2G", "max_jobs": 5}
    assert read_plugin(path) == PluginChoice(name="SLURM", arguments=expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"plugin: [", "line 1, column 10"), (b"plugin: \0", "#x0000"), (b"\xff\xfe", "byte 0xff")],
)
def test_what_is_not_yaml_is_a_wrong_option_told_in_one_line(
    path: Path, content: bytes, reason: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(BIDSFXError) as caught:
        read_plugin(path)
    (problem,) = caught.value.problems
    assert problem.code == ExitCode.USAGE
    assert reason in problem.found
    assert "\n" not in str(problem)


@pytest.mark.parametrize("more", ["", "plugin_args:\n"])
def test_arguments_may_be_missing(path: Path, more: str) -> None:
    path.write_text(f"plugin: Linear\n{more}")
    assert read_plugin(path) == PluginChoice(name="Linear")


@pytest.mark.parametrize("name", ["MultiProc", "LegacyMultiProc"])
def test_plugins_of_many_processes_are_ours_which_does_not_hang(path: Path, name: str) -> None:
    path.write_text(f"plugin: {name}\nplugin_args:\n  n_procs: 3\n  memory_gb: 1.5\n")
    resources = Resources(n_procs=1, mem_gb=9.0, plugin=read_plugin(path))
    plugin, _ = _plugin(resources, lambda *_: None, Meter())
    assert isinstance(plugin, OneProcessPerNode)
    assert (plugin.processors, plugin.memory_gb) == (3, 1.5)


def test_arguments_that_are_settled_are_told(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("bids_fx"), "propagate", True)
    path.write_text("plugin: MultiProc\nplugin_args:\n  n_procs: 3\n  maxtasksperchild: 1\n")
    assert read_plugin(path).arguments == {"n_procs": 3}
    assert "maxtasksperchild" in caplog.text


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_plugin_that_loses_jobs_is_refused_by_name(path: Path, name: str) -> None:
    (problem,) = problems(path, f"plugin: {name}\n")
    assert problem.code == ExitCode.USAGE
    assert f"'{name}' cannot be used" in problem.found


def test_every_plugin_of_nipype_is_known() -> None:
    from nipype.pipeline import plugins

    names = {name.removesuffix("Plugin") for name in dir(plugins) if name.endswith("Plugin")}
    assert names == {*ARGUMENTS, *REFUSED}


def test_scheduler_that_is_not_here_is_refused(path: Path) -> None:
    (problem,) = problems(path, "plugin: LSF\n")
    assert "starts jobs by bsub, which is not here" in problem.found
    assert "bids_fx-cluster" in problem.remedy


@pytest.mark.parametrize(
    ("text", "where", "found", "remedy"),
    [
        ("plugin: Slurm", "plugin", "no plugin 'Slurm'", "did you mean 'SLURM'?"),
        ("plugin: SLURM\nplugins_args: {}", "plugins_args", "not known", "plugin_args"),
        ("plugin: SLURM\nplugin_args: [1]", "plugin_args", "no table", "NAME: VALUE"),
        (
            "plugin: SLURM\nplugin_args: {sbatch_arg: -c 2}",
            "sbatch_arg",
            "no argument",
            "sbatch_a",
        ),
        (
            "plugin: SLURM\nplugin_args: {qsub_args: -q x}",
            "qsub_args",
            "no argument",
            "sbatch_args",
        ),
        ("plugin: SLURM\nplugin_args: {max_jobs: many}", "max_jobs", "is 'many'", "whole number"),
        ("plugin: MultiProc\nplugin_args: {n_procs: true}", "n_procs", "is 'True'", "whole"),
        ("plugin: MultiProc\nplugin_args: {n_procs: 0}", "n_procs", "is '0'", "above 0"),
        ("plugin: SLURM\nplugin_args: {sbatch_args: '-J \"a'}", "sbatch_args", "read", "close"),
        ("plugin: SLURM\nplugin_args: {template: a.sh}", "template", "neither a file", "path"),
    ],
)
def test_what_is_wrong_is_told_with_a_remedy(
    path: Path, text: str, where: str, found: str, remedy: str
) -> None:
    (problem,) = problems(path, text)
    assert problem.where.endswith(where)
    assert found in problem.found
    assert remedy in problem.remedy


@pytest.mark.parametrize("text", ["- SLURM", "plugin_args: {}", "plugin: 3"])
def test_file_without_a_plugin_is_refused(path: Path, text: str) -> None:
    (problem,) = problems(path, text)
    assert problem.remedy == "write 'plugin: NAME'"


def test_file_that_is_not_there_is_an_input_that_is_missing(path: Path) -> None:
    with pytest.raises(BIDSFXError) as caught:
        read_plugin(path)
    assert caught.value.exit_code == ExitCode.MISSING_INPUT


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_who_runs_nodes_here_need_not_be_asked_over_and_over(name: str) -> None:
    from bids_fx.workflows.base import _poll_s

    resources = Resources(n_procs=1, mem_gb=1.0, plugin=PluginChoice(name=name))
    assert _poll_s(resources) == ("2.0" if name in SCHEDULERS else "0")
