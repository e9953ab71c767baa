"""Nothing is unpickled that another user may have written."""

from __future__ import annotations

import gzip
import os
import pickle
import stat
from pathlib import Path

import pytest
from nipype.pipeline import engine as pe

from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.usage import Meter
from bids_fx.workflows.base import Resources, run_workflow
from bids_fx.workflows.pickles import load_own
from bids_fx.workflows.plugins import PluginChoice
from bids_fx.workflows.private import private_folder
from tests import fake_schedulers as fake
from tests.cluster_nodes import Unguarded
from tests.synthetic import DatasetSpec, make_dataset
from tests.users import ONE, OTHER, needs_root, run_as, shared_folder


class Payload:
    """A program in a pickle: makes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def plant(path: Path, ran: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(pickle.dumps(Payload(ran))))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [None, 0o777, 0o755, 0o2775])
def test_folder_is_its_users_alone_also_where_it_was_open(
    before: int | None, tmp_path: Path
) -> None:
    if before is not None:
        (tmp_path / f"user-{os.geteuid()}").mkdir()
        (tmp_path / f"user-{os.geteuid()}").chmod(before)
    assert private_folder(tmp_path) == tmp_path / f"user-{os.geteuid()}"
    assert mode(private_folder(tmp_path)) & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["link", "broken link", "file"])
def test_what_stands_in_the_folders_place_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    path, elsewhere = tmp_path / f"user-{os.geteuid()}", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(elsewhere if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(BIDSFXError) as caught:
        private_folder(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.where, problem.code) == (str(path), ExitCode.CANNOT_CREATE)
    assert "--work-dir" in problem.remedy
    assert mode(elsewhere) == 0o755


@needs_root
def test_folder_of_somebody_else_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "user-0"
    path.mkdir()
    os.chown(path, OTHER, -1)
    with pytest.raises(BIDSFXError, match=f"the user with the number {OTHER}, not to you"):
        private_folder(tmp_path)


def test_own_pickle_is_read(tmp_path: Path) -> None:
    plant(tmp_path / "a.pklz", tmp_path / "ran")
    load_own(tmp_path / "a.pklz")
    assert (tmp_path / "ran").exists()  # the payload works


@needs_root
@pytest.mark.parametrize("is_link", [False, True])
def test_pickle_of_somebody_else_is_not_read(is_link: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pklz"
    plant(path, tmp_path / "ran")
    os.chown(path, OTHER, -1)
    if is_link:
        (tmp_path / "link.pklz").symlink_to(path)
    with pytest.raises((BIDSFXError, OSError)):
        load_own(tmp_path / "link.pklz" if is_link else path)
    assert not (tmp_path / "ran").exists()


def test_pipe_in_a_pickles_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pklz")
    with pytest.raises(BIDSFXError, match=r"a\.pklz: it belongs to"):
        load_own(tmp_path / "a.pklz")


@pytest.mark.parametrize("name", ["Linear", "MultiProc", "SLURM"])
def test_nipype_reads_own_pickles_alone_wherever_a_node_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = fake.install(tmp_path / "programs")
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    workflow = pe.Workflow("wf", base_dir=str(tmp_path / "work"))
    workflow.add_nodes([pe.Node(Unguarded(), "look")])
    arguments = {"poll_sleep_duration": 0.05} if name == "SLURM" else {}
    resources = Resources(
        n_procs=2, mem_gb=1.0, plugin=PluginChoice(name=name, arguments=arguments)
    )
    failures = run_workflow(
        workflow,
        resources,
        crash_dir=tmp_path / "crashes",
        progress=lambda *_: None,
        meter=Meter(),
    )
    assert failures == ()
    result = load_own(tmp_path / "work" / "wf" / "look" / "result_look.pklz")
    assert result.outputs.names == []


@needs_root
@pytest.mark.e2e
def test_two_users_share_output_and_scratch_and_a_planted_folder_does_nothing() -> None:
    with shared_folder() as folder:
        spec = DatasetSpec(participants=("01", "02"), runs=("1",))
        truth = make_dataset(folder / "data", spec)
        words = ["-m", "bids_fx", str(truth.bids_dir), str(folder / "out"), "participant"]
        words += ["--nprocs", "1", "--skip-bids-validation", "--contrast", "face"]
        words += ["-w", str(folder / "scratch")]
        done = run_as(ONE, *words, "--participant-label", "01")
        assert done.returncode == 0, done.stderr
        own = folder / "scratch" / f"user-{ONE}"
        assert (own.stat().st_uid, mode(own) & 0o777) == (ONE, 0o700)

        planting = f"import pathlib; pathlib.Path({str(own.with_name(f'user-{OTHER}'))!r}).mkdir()"
        assert run_as(ONE, "-c", planting).returncode == 0
        again = run_as(OTHER, *words, "--participant-label", "02")
        assert again.returncode == ExitCode.CANNOT_CREATE
        assert f"/scratch/user-{OTHER}: it belongs to the user with the number" in again.stderr

        own.with_name(f"user-{OTHER}").rmdir()
        done = run_as(OTHER, *words, "--participant-label", "02")
        assert done.returncode == 0, done.stderr
