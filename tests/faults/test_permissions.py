"""Users without rights, home or name: all works, or it is told which folder or file is meant."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bids_fx.derivatives.dataset import read_state
from tests.forked import UNKNOWN_USER, Calls, Ended
from tests.soak import many
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = [pytest.mark.e2e, pytest.mark.rights]

SPEC = DatasetSpec(n_volumes=40, shape=(4, 4, 4), runs=("1",), participants=("01", "02"))
ONE = ("--participant-label", "01", "--nprocs", "1")
NOT_WRITABLE = stat.S_IRUSR | stat.S_IXUSR
NO_RIGHT = "(Permission denied); give this user the right to write there, or name another folder."


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return make_dataset(tmp_path_factory.mktemp("data"), SPEC)


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    """Return calls of a user whom the system does not know, and who is root to nothing."""
    with Calls(*UNKNOWN_USER) as started:
        yield started


def call(calls: Calls, truth: Truth, out: Path, *options: object, **how) -> Ended:
    words = ("--skip-bids-validation", "--no-interactive", "--contrast", "face", *options)
    return calls(truth.bids_dir, out, "participant", *words, **how)


@pytest.fixture
def closed() -> Iterator[list[Path]]:
    """Return a list; what a test puts there gets its rights back."""
    paths: list[Path] = []
    yield paths
    for path in paths:
        path.chmod(0o700)


def close(paths: list[Path], path: Path, mode: int = NOT_WRITABLE) -> Path:
    """Take rights of a file, or of a folder that is made if need be."""
    if not path.exists():
        path.mkdir(parents=True)
    path.chmod(mode)
    paths.append(path)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [("", ()), ("logs", ()), (".bids_fx_work", ()), ("work", ("-w", "WORK"))],
)
def test_a_folder_that_may_not_be_written_to_is_told_before_any_work(
    calls, truth, tmp_path, closed, name, options
):
    folder = close(closed, tmp_path / "out" / name)
    words = [folder if word == "WORK" else word for word in options]
    ended = call(calls, truth, tmp_path / "out", *ONE, *words)
    assert ended.code == 73, ended.told
    told = ended.lines
    assert told[0] == "bids_fx: 1 problem:"
    assert told[1].startswith(f"  - {folder}")
    assert told[1].endswith(f": cannot be written {NO_RIGHT}")
    assert len(told) == 2
    assert not (tmp_path / "out" / "sub-01").exists()


def make_file(path: Path) -> Path:
    path.touch()
    return path


def make_link(path: Path) -> Path:
    path.symlink_to(path.with_name("nowhere") / "x")
    return path


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (make_file, "File exists"),
        (make_link, "File exists"),
        (lambda path: make_file(path) / "below", "Not a directory"),
    ],
)
def test_an_output_folder_that_cannot_be_made_is_code_73(calls, truth, tmp_path, make, found):
    out = make(tmp_path / "out")
    ended = call(calls, truth, out, *ONE)
    assert ended.code == 73, ended.told
    assert f"  - {out}: cannot be written ({found});" in ended.told
    assert len(ended.lines) == 2


def test_a_participants_folder_of_another_user_costs_that_participant_alone(
    calls, truth, tmp_path, closed
):
    out = tmp_path / "out"
    folder = close(closed, out / "sub-01")
    ended = call(calls, truth, out, "--nprocs", "1")
    assert ended.code == 73, ended.told
    assert f"sub-01: {folder}: cannot be written {NO_RIGHT}" in ended.told
    assert "sub-01 fitting" not in ended.told
    assert read_state(out, "02")["state"] == "done"
    assert read_state(out, "01")["state"] == "failed"


@pytest.mark.parametrize("ending", ["preproc_bold.nii.gz", "timeseries.tsv", "events.tsv"])
def test_an_input_that_may_not_be_read_is_told_by_its_name(calls, truth, tmp_path, closed, ending):
    (path,) = truth.bids_dir.rglob(f"sub-01*{ending}")
    close(closed, path, 0)
    ended = call(calls, truth, tmp_path / "out", *ONE)
    assert ended.code == 65, ended.told
    told = f"{path}: cannot be read (Permission denied); give this user the right to read it."
    assert [line for line in ended.lines if told in line], ended.told
    assert "Traceback" not in ended.told


@pytest.mark.parametrize(
    ("env", "options", "how"),
    [
        ({"HOME": None, "MPLCONFIGDIR": None}, ("--nprocs", "1"), {}),
        pytest.param(
            {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "XDG_CACHE_HOME": "/proc"},
            ("--nprocs", "2"),
            {"anew": True, "umask": 0o077},
            marks=pytest.mark.soak,
        ),
    ],
)
def test_an_unknown_user_without_a_home_needs_none(calls, truth, tmp_path, env, options, how):
    env = {"MPLCONFIGDIR": None, **env}
    ended = call(calls, truth, tmp_path / "out", *ONE[:2], *options, env=env, **how)
    assert ended.code == 0, ended.told
    assert [line for line in ended.lines if "sub-01.html" not in line] == []


def state_of(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return what a folder has, by path: rights, time of change and content."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found


def test_nothing_is_written_but_to_the_output_folder_and_the_work_dir(calls, truth, tmp_path):
    # HOME, the caches and the folder of temporary files could all be written to.
    names = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR")
    folders = {name: tmp_path / "user" / name for name in names}
    for folder in folders.values():
        folder.mkdir(parents=True)
    before = [state_of(folder) for folder in folders.values() if folder.name != "TMPDIR"]
    inputs = state_of(truth.bids_dir)
    env = {name: str(folder) for name, folder in folders.items()} | {"MPLCONFIGDIR": None}
    work = tmp_path / "work"
    n, anew = many(1, soak=2), many(0, soak=1) == 1
    words = (*ONE[:2], "-w", work, "--nprocs", n)
    ended = call(calls, truth, tmp_path / "out", *words, env=env, anew=anew)
    assert ended.code == 0, ended.told
    assert [state_of(folder) for folder in folders.values() if folder.name != "TMPDIR"] == before
    assert list(folders["TMPDIR"].iterdir()) == []
    assert state_of(truth.bids_dir) == inputs
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "user", "work"]
