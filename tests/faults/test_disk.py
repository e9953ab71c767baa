"""Disks that are full, limited or read-only: told by name, nothing half there, and gone on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bids_fx.derivatives.dataset import read_state
from tests.forked import Calls, Ended, own_mounts
from tests.soak import many
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = [pytest.mark.e2e, pytest.mark.rights]

SPEC = DatasetSpec(n_volumes=40, shape=(4, 4, 4), runs=("1",))
OPTIONS = ("--skip-bids-validation", "--no-interactive", "--contrast", "face")

#: kB that are free at first, and by how much more at each call. Below 24 not even the call's own
#: files can be written; a whole call takes some 800.
FIRST_KB = many(20, soak=0)
STEPS = {
    (1, "size"): many(300, soak=4),
    (2, "size"): many(400, soak=8),
    (1, "nr_inodes"): many(40, soak=1),
}
PAGE_KB = 4
MOST_CALLS = 400


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset, and with two on which disks are mounted."""
    root = tmp_path_factory.mktemp("disk")
    make_dataset(root / "data", SPEC)
    (root / "disk").mkdir()
    return root


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    with Calls(*own_mounts()) as started:
        yield started


def call(calls: Calls, place: Path, out: Path, *options: object, n: int = 1, **how) -> Ended:
    words = (place / "data", out, "participant", *OPTIONS, "--nprocs", n, *options)
    return calls(*words, anew=n > 1, **how)


class Disk:
    """A new disk in memory, of a size that can be changed."""

    def __init__(self, calls: Calls, path: Path, **limits: object) -> None:
        self._calls, self.path = calls, path
        calls.shell(f"mount -t tmpfs -o {self._options(limits)} none {path}")

    def resize(self, **limits: object) -> None:
        """Change its limits; what is on it stays."""
        self._calls.shell(f"mount -o remount,{self._options(limits)} {self.path}")

    def remove(self) -> None:
        """Unmount it."""
        self._calls.shell(f"umount {self.path}")

    def remount(self, flag: str) -> None:
        """Set a flag of it."""
        self._calls.shell(f"mount -o remount,{flag} {self.path}")

    @staticmethod
    def _options(limits: dict[str, object]) -> str:
        return ",".join(f"{name}={value}" for name, value in limits.items())


@pytest.fixture
def disk(calls: Calls, place: Path) -> Iterator[Disk]:
    made = Disk(calls, place / "disk", size="64m")
    yield made
    calls.shell(f"umount -R {made.path}")


def contents(out: Path) -> dict[str, bytes]:
    """Return all files but those of single calls, and those that tell of all that is there."""
    files = (path for path in out.rglob("*") if path.is_file())
    found = {path.relative_to(out).as_posix(): path for path in files}
    own = ("logs/", ".bids_fx_work/", "ballast")
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(own)}


@pytest.fixture(scope="module")
def whole(calls: Calls, place: Path) -> dict[str, bytes]:
    """Return the outputs of a call that nothing disturbs, at the place of all others."""
    disk = Disk(calls, place / "disk", size="64m")
    assert call(calls, place, disk.path / "out").code == 0
    found = contents(calls.sees(disk.path / "out"))
    disk.remove()
    return found


def assert_told(ended: Ended, code: int, what: str) -> None:
    assert ended.code == code, ended.told
    assert f"cannot be written ({what})" in ended.told
    assert "Traceback" not in ended.told, ended.told


def assert_nothing_half_written(out: Path, whole: dict[str, bytes], told: str) -> None:
    found = contents(out)
    last = ("sub-01.html", "sub-01/calls.json")  # these tell how much of the rest is there
    wrong = [name for name in found if name not in last and found[name] != whole.get(name)]
    assert wrong == [], told
    left = [path for path in out.rglob("*.tmp") if ".bids_fx_work" not in str(path)]
    assert left == [], told
    assert all(path.stat().st_size for path in out.glob("logs/*/*"))


def climb(
    calls: Calls, place: Path, whole: dict[str, bytes], disk: Disk, unit: str, *, n: int
) -> None:
    """Call again and again with a little more room, until all is there."""
    out = disk.path / "out"
    seen = calls.sees(out)
    limit = FIRST_KB if unit == "size" else 4
    n_failed = 0
    for _ in range(MOST_CALLS):
        # A disk of no size at all has no limit.
        disk.resize(**{unit: f"{max(limit, PAGE_KB)}k" if unit == "size" else limit})
        ended = call(calls, place, out, n=n)
        assert_nothing_half_written(seen, whole, f"with {unit}={limit}: {ended.told}")
        if ended.code == 0:
            break
        assert_told(ended, 74, "No space left on device")
        assert read_state(seen, "01").get("state") != "done", f"with {unit}={limit}"
        limit += STEPS[n, unit]
        n_failed += 1
    assert ended.code == 0, f"with {unit}={limit}: {ended.told}"
    assert n_failed > 1
    assert contents(seen) == whole


@pytest.mark.parametrize(
    ("n", "unit"),
    [
        (1, "size"),
        pytest.param(2, "size", marks=pytest.mark.soak),
        pytest.param(1, "nr_inodes", marks=pytest.mark.soak),
    ],
)
def test_with_a_little_more_room_each_call_goes_on_to_the_same_outputs(
    calls, place, whole, disk, n, unit
):
    climb(calls, place, whole, disk, unit, n=n)


def test_a_full_work_dir_is_told_and_leaves_what_is_published(calls, place, whole, disk):
    out, work = disk.path / "out", disk.path / "work"
    calls.shell(f"mkdir {work} && mount -t tmpfs -o size=8k none {work}")
    ended = call(calls, place, out, "-w", work)
    assert_told(ended, 74, "No space left on device")
    assert f"{work}/" in ended.told
    assert_nothing_half_written(calls.sees(out), whole, ended.told)
    assert read_state(calls.sees(out), "01")["state"] == "failed"
    calls.shell(f"mount -o remount,size=64m {work}")
    assert call(calls, place, out, "-w", work).code == 0
    assert contents(calls.sees(out)) == whole


def test_maps_are_kept_and_the_code_is_true_where_only_the_summary_has_no_room(
    calls, place, whole, disk
):
    out, logs = disk.path / "out", disk.path / "out" / "logs"
    assert call(calls, place, out).code == 0
    # A call writes its summary last: of less and less room, it is the first that has too little.
    sizes = [path.stat().st_size for path in calls.sees(logs).rglob("*") if path.is_file()]
    n_pages = sum(-(-size // (1024 * PAGE_KB)) for size in sizes)
    for left in range(n_pages - 1, 0, -1):
        calls.shell(f"mount -t tmpfs -o size={PAGE_KB * left}k none {logs}")
        ended = call(calls, place, out)
        calls.shell(f"umount {logs}")
        if ended.code:
            break
    assert_told(ended, 74, "No space left on device")
    assert "/summary.json: cannot be written" in ended.told
    assert read_state(calls.sees(out), "01")["state"] == "done"
    assert contents(calls.sees(out)) == whole


def test_a_read_only_output_folder_is_code_73_before_any_work(calls, place, disk):
    disk.remount("ro")
    ended = call(calls, place, disk.path)
    assert_told(ended, 73, "Read-only file system")
    remedy = "name a folder on a file system that is not read-only"
    assert (
        ended.lines[1] == f"  - {disk.path}: cannot be written (Read-only file system); {remedy}."
    )


def test_a_limit_of_file_sizes_is_told_with_its_remedy(calls, place, tmp_path):
    ended = call(calls, place, tmp_path / "out", file_size=8192)
    assert_told(ended, 74, "File too large")
    assert "ulimit -f" in ended.told


@pytest.mark.soak
def test_a_full_device_for_all_that_is_printed_ends_no_work(calls, place, tmp_path):
    ended = call(calls, place, tmp_path / "out", streams=("stdout", "stderr"))
    assert ended.code == 0
    assert read_state(tmp_path / "out", "01")["state"] == "done"
