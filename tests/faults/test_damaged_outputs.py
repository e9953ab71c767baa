"""What is damaged in the output folder is made again, and nothing else becomes of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.cli.session import Session
from tests.calls import differences, outputs
from tests.ended import EndedCall
from tests.soak import SOAK
from tests.synthetic import DatasetSpec, Truth

pytestmark = pytest.mark.e2e

SPEC = DatasetSpec(shape=(5, 5, 4), n_volumes=50)
OPTIONS = ("--nprocs", "1", "--skip-bids-validation", "--contrast", "face")
SPACE = "_space-MNI152NLin2009cAsym"
RUN, GROUP = f"sub-01_task-main_run-1{SPACE}", f"sub-01_task-main{SPACE}"
#: A file of each kind: two that a fit writes, two of a combination, two that are drawn.
USUAL = (
    f"{RUN}_desc-qc.json",
    f"{RUN}_contrast-face_stat-effect_statmap.nii.gz",
    f"{GROUP}_contrasts.tsv",
    f"{GROUP}_contrast-face_stat-z_statmap.nii.gz",
    "sub-01_task-main_run-1_design.svg",
    f"{RUN}_desc-model_statmap.png",
)
#: The others, each a case of its own in `make soak`.
OTHERS = (
    "sub-01_task-main_run-1_design.tsv",
    "sub-01_task-main_run-1_design.json",
    "sub-01_task-main_run-1_contrasts.tsv",
    f"{RUN}_desc-quality_timeseries.tsv",
    f"{RUN}_desc-quality_timeseries.json",
    f"{RUN}_desc-residuals_carpet.png",
    f"{RUN}_desc-brain_mask.json",
    f"{GROUP}_contrast-face_clusters.tsv",
    f"{GROUP}_contrast-face_clusters.json",
    f"{GROUP}_contrast-face_influence.tsv",
    f"{GROUP}_contrast-face_forest.svg",
)


def call(truth: Truth, out: Path, *more: str) -> int:
    return main([str(truth.bids_dir), str(out), "participant", *OPTIONS, *more])


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip(file: Path) -> None:
    """Change a bit in the middle; text and figures have no checksum, and are cut there."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0x10
    file.write_bytes(bytes(content if file.suffix == ".gz" else content[:middle]))


def make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def link_out(file: Path) -> None:
    """Put a link to a copy elsewhere in place of a file."""
    elsewhere = file.parents[4] / file.name
    shutil.move(file, elsewhere)
    file.symlink_to(elsewhere)


#: Each file of `USUAL` is damaged in another way by `make test`, all at once.
WAYS: tuple[Callable[[Path], None], ...] = (halve, flip, link_out, flip, empty, make_pipe)
CASES = [(name, way) for name in (*USUAL, *OTHERS) for way in dict.fromkeys(WAYS)] if SOAK else []


def find(out: Path, name: str) -> Path:
    (file,) = out.glob(f"sub-01/*/{name}")
    return file


def check_made_again(truth: Truth, out: Path, undisturbed: dict[str, bytes]) -> None:
    assert call(truth, out) == 0
    assert differences(outputs(out), undisturbed) == []
    assert [path for path in out.glob("sub-01/**/*") if path.is_symlink()] == []


def test_whatever_is_damaged_is_made_again_at_once(ended_call: EndedCall) -> None:
    truth, out = ended_call(SPEC, *OPTIONS)
    before = outputs(out)
    for name, way in zip(USUAL, WAYS, strict=True):
        way(find(out, name))
    check_made_again(truth, out, before)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "way"), CASES)
def test_each_kind_of_file_is_made_again(
    ended_call: EndedCall, name: str, way: Callable[[Path], None]
) -> None:
    truth, out = ended_call(SPEC, *OPTIONS)
    before = outputs(out)
    way(find(out, name))
    check_made_again(truth, out, before)


def test_reports_alone_name_what_is_damaged(
    ended_call: EndedCall, capfd: pytest.CaptureFixture[str]
) -> None:
    truth, out = ended_call(SPEC, *OPTIONS)
    flipped = find(out, f"{RUN}_contrast-face_stat-effect_statmap.nii.gz")
    flip(flipped)
    capfd.readouterr()
    assert call(truth, out, "--reports-only") == 1
    told = capfd.readouterr().err
    name = flipped.relative_to(out).as_posix()
    assert f"1 planned outputs are missing or damaged, {name} the first" in told


def test_inputs_that_vanish_during_a_call_fail_their_run_alone(
    ended_call: EndedCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, out = ended_call(SPEC, *OPTIONS)
    last = truth.runs[1]
    fit = Session.run_nodes

    def vanish(session: Session, due: object) -> object:
        failures = fit(session, due)
        last.mask.unlink()
        return failures

    monkeypatch.setattr(Session, "run_nodes", vanish)
    assert call(truth, out, "--force") == 1
    log = max(out.glob("logs/*/summary.json"), key=os.path.getmtime)
    reasons = json.loads(log.read_text())["participants"]["sub-01"]["reasons"]
    uri = f"bids:fmriprep:{last.mask.relative_to(truth.derivatives_dir)}"
    assert reasons[0] == f"task-main_run-2{SPACE}: {uri} is not there any more"
    assert "fault of the program" not in str(reasons)
    assert uri in (out / "sub-01.html").read_text()
