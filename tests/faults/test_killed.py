"""The program is killed or ended at any moment: nothing is torn, nothing done is done again."""

from __future__ import annotations

import functools
import json
import random
import re
import signal
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.settings import WORK_AREA
from bids_fx.workflows.server import start_server
from tests.calls import PATIENCE, SEED, Call, die_at, differences, outputs, stamps
from tests.soak import many
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = pytest.mark.e2e

OPTIONS = ("--skip-bids-validation", "--contrast", "face", "--smoothing-fwhm", "8")
TEMPORARY = re.compile(r"\..*\.tmp")


@dataclass(frozen=True)
class Undisturbed:
    """A dataset, what a call that nothing disturbs makes of it, and how long it takes."""

    bids_dir: Path
    outputs: dict[str, bytes]
    seconds: float

    def words(self, out: Path, n_procs: int) -> tuple[str, ...]:
        """Return the call's command line."""
        return str(self.bids_dir), str(out), "participant", *OPTIONS, "--nprocs", str(n_procs)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Undisturbed:
    root = tmp_path_factory.mktemp("undisturbed")
    bids_dir = make_dataset(root / "data", DatasetSpec(shape=(5, 5, 4), n_volumes=50)).bids_dir
    empty = Undisturbed(bids_dir, {}, 0)
    began = time.monotonic()
    call = Call(root / "log", *empty.words(root / "out", 2))
    assert call.end() == 0, call.log
    return Undisturbed(bids_dir, outputs(root / "out"), time.monotonic() - began)


def moments(kind: str, n: int) -> list[tuple[int, float]]:
    """Return random moments, as parts of an undisturbed call's length, and their numbers."""
    chance = random.Random(f"{SEED} {kind}")
    return [(place, (place + chance.random()) / n) for place in range(n)]


def check_whole(out: Path, undisturbed: Undisturbed) -> None:
    """See that all that has its name already is what it will be in the end."""
    left = {k: v for k, v in outputs(out).items() if not TEMPORARY.fullmatch(Path(k).name)}
    assert left.items() <= undisturbed.outputs.items(), differences(
        left, {name: undisturbed.outputs.get(name, b"") for name in left}
    )
    for path in [*out.glob("logs/*/*"), *(out / WORK_AREA).glob("[hs]*/*")]:  # hashes, states
        if path.suffix == ".json" and not TEMPORARY.fullmatch(path.name):
            json.loads(path.read_text())
        if path.suffix == ".toml":
            tomllib.loads(path.read_text())


def done_results(out: Path, undisturbed: Undisturbed) -> dict[str, tuple[int, int]]:
    """Return the stamps of the runs' files, and of their combination's, if all of it are there."""
    there = stamps(out) if out.exists() else {}
    done: list[str] = []
    for owner in ("_run-1_", "_run-2_", "main_space-"):
        # A combination that is whole is of both runs, which are whole then too.
        own = [name for name in undisturbed.outputs if "/func/" in name and owner in name]
        assert own
        done += own if there.keys() >= set(own) else []
    # A figure's table is written again with it, should the figure be missing.
    return {name: there[name] for name in done if "_clusters." not in name}


def check_rerun(out: Path, undisturbed: Undisturbed) -> None:
    """See that the same call completes what is not done, and leaves nothing else behind."""
    done = done_results(out, undisturbed)
    assert main(undisturbed.words(out, 1)) == 0
    assert differences(outputs(out), undisturbed.outputs) == []
    assert done.items() <= stamps(out).items()


@pytest.mark.parametrize(("place", "part"), moments("SIGKILL", many(4, soak=60)))
def test_kills_at_any_moment_leave_whole_files_and_no_process_and_a_rerun_completes(
    undisturbed, tmp_path, place, part
):
    out, log = tmp_path / "out", tmp_path / "log"
    chance = random.Random(place)
    done: dict[str, tuple[int, int]] = {}
    # The call, and four that go on with its work.
    for after in (part, *((1 - part) * chance.random() for _ in range(4))):
        call = Call(log, *undisturbed.words(out, chance.choice((1, 2))))
        time.sleep(after * undisturbed.seconds)
        call.process.kill()
        assert call.end(f"the call killed at {after}") in (0, 137), call.log
        check_whole(out, undisturbed)
        assert done.items() <= stamps(out).items(), f"done again, or gone, at {after}"
        done = done_results(out, undisturbed)
    check_rerun(out, undisturbed)


#: What changes all results of the runs, and what only the figures of the contrasts.
CHANGES = {"fit": ("--smoothing-fwhm", "4"), "threshold": ("--threshold", "uncorrected:0.05")}


@pytest.fixture(scope="module")
def changed(undisturbed, tmp_path_factory) -> Callable[[str], dict[str, bytes]]:
    """Return what a call in a new folder makes with other settings."""

    @functools.cache
    def fresh(kind: str) -> dict[str, bytes]:
        out = tmp_path_factory.mktemp("changed") / "out"
        assert main((*undisturbed.words(out, 1), *CHANGES[kind])) == 0
        return outputs(out)

    return fresh


def check_change(
    undisturbed: Undisturbed,
    changed: Callable[[str], dict[str, bytes]],
    out: Path,
    kind: str,
    moment: int | str,
    *,
    goes_back: bool,
) -> None:
    """Kill a call that changes an undisturbed one's results, and see what the next one makes."""
    for name, content in undisturbed.outputs.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    words = (*undisturbed.words(out, 1), *CHANGES[kind])
    process = start_server().Process(target=die_at, args=(moment, out, words))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    assert main(undisturbed.words(out, 1) if goes_back else words) == 0
    expected = undisturbed.outputs if goes_back else changed(kind)
    assert differences(outputs(out), expected) == [], f"killed before {moment}"


@pytest.mark.parametrize(
    ("kind", "moment", "goes_back"),
    [
        ("fit", "run-1_space-MNI152NLin2009cAsym_desc-qc.json", False),
        ("threshold", "_stat-isq_statmap.png", True),
        *(
            pytest.param(*case, marks=pytest.mark.soak)
            for case in (
                ("fit", "run-1_space-MNI152NLin2009cAsym_stat-tsnr_statmap.json", True),
                ("fit", "run-2_space-MNI152NLin2009cAsym_motion.svg", False),
                ("fit", "_influence.tsv", False),
                ("fit", "main_space-MNI152NLin2009cAsym_contrast-face_stat-t_statmap.json", True),
                ("fit", "_stat-isq_statmap.png", False),
                ("fit", "_forest.svg", True),
                ("threshold", "_forest.svg", False),
                ("threshold", "_clusters.json", True),
            )
        ),
    ],
)
def test_old_results_are_never_taken_for_those_that_a_killed_call_was_to_put_in_their_place(
    undisturbed, changed, tmp_path, kind, moment, goes_back
):
    check_change(undisturbed, changed, tmp_path / "out", kind, moment, goes_back=goes_back)


@pytest.mark.soak
@pytest.mark.parametrize("moment", range(120))
def test_before_whatever_file_a_call_is_killed_the_next_one_puts_all_right(
    undisturbed, changed, tmp_path, moment
):
    goes_back = moment % 2 == 1
    check_change(undisturbed, changed, tmp_path / "out", "fit", moment, goes_back=goes_back)
