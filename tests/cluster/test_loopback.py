"""A job of six participants on a real Slurm: what goes wrong is told, and mended by sending again.

`make test-cluster` brings the Slurm up, which takes four tasks as one array. One participant's
data turn bad after the planning, one is cancelled, one runs out of time, and one out of memory:
the site's script takes some for itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bids_fx.derivatives.locks import locked
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
PARTICIPANTS = ("01", "02", "03", "04", "05", "06")
#: One is enough, and drawing takes the time.
CONTRAST = ("--contrast", "face - house")
#: The tasks of those whom something befalls.
CANCELLED, LATE, BAD, BIG = 2, 3, 4, 5
#: More than the tasks are given at first, less than they are given the second time.
HOG_MB = 900
#: Seconds after which a test fails that would wait for ever.
PATIENCE_S = 300

Told = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Story:
    """How participants stood at each turn of the story, by label.

    Parameters
    ----------
    out_dir, plain_dir : Path
        Outputs of the job, and of a plain run on the same data.
    scratch : Path
        The nodes' folder for intermediate files.
    queued, ended, mended, completed : dict
        When all were submitted; when nothing ran any more; after `--resubmit`; after the bad data
        were mended too.
    codes : dict of str to int
        Exit codes of `status` then.
    index : str
        The index that the level ``group`` wrote at the first end.
    """

    out_dir: Path
    plain_dir: Path
    scratch: Path
    queued: Told
    ended: Told
    mended: Told
    completed: Told
    codes: Mapping[str, int]
    index: str


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; whether it succeeded is for the caller to say."""
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd="/"
    )


def succeed(*command: str | Path) -> str:
    """Run a program that has to succeed; return what it wrote."""
    done = run(*command)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def bids_fx(*arguments: str | Path, program: str = "run") -> None:
    """Run a program of the package."""
    code = f"import sys; from bids_fx.cli.{program} import main; sys.exit(main())"
    succeed(sys.executable, "-c", code, *arguments)


def watch(job: Path, *options: str) -> tuple[int, Told]:
    """Ask how participants stand, as on a login node: with the copy in the job's folder alone."""
    done = run(sys.executable, "-I", "-S", job / "cluster_jobs.py", "status", "--json", *options)
    assert done.stdout, done.stderr
    (told,) = json.loads(done.stdout)["jobs"]
    standing = {one["participant"]: one for one in told["participants"]}
    return done.returncode, {**standing, "group": {"state": told["group"]}}


def wait(job: Path, is_there: Callable[[Told], bool]) -> tuple[int, Told]:
    """Wait until participants stand in some way."""
    end = time.monotonic() + PATIENCE_S
    while True:
        code, told = watch(job)
        if is_there(told):
            return code, told
        assert time.monotonic() < end, json.dumps(told, indent=1)
        time.sleep(1)


def is_over(told: Told) -> bool:
    """Tell whether nobody is queued or at work, nor the level group."""
    live = {"pending", "running", "PENDING", "RUNNING", "COMPLETING"}
    return not live & {str(one["state"]) for one in told.values()}


def write_templates(folder: Path) -> None:
    """Write a site's templates, whose array takes memory of its own for one task."""
    bids_fx("templates", folder, program="cluster")
    path = folder / "slurm-array.sh"
    hog = (
        f'[ "$((SLURM_ARRAY_TASK_ID + $1))" != {BIG} ] || '
        f"'{sys.executable}' -c 'bytearray({HOG_MB} << 20)' || exit\n"
    )
    path.write_text(
        re.sub(r"^exec ", lambda found: hog + found[0], path.read_text(), flags=re.MULTILINE)
    )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Tell the story."""
    assert "SLURM_CONF" in os.environ, "make test-cluster brings a Slurm up and runs this"
    folder = tmp_path_factory.mktemp("cluster")
    spec = DatasetSpec(participants=PARTICIPANTS, runs=("1", "2"), n_volumes=40, shape=(8, 8, 6))
    truth = make_dataset(folder / "data", spec)
    arguments = ("-d", truth.derivatives_dir, "--skip-bids-validation", *CONTRAST)
    plain_dir, out_dir, scratch = folder / "plain", folder / "out", folder / "scratch"
    bids_fx(truth.bids_dir, plain_dir, "participant", *arguments)
    bids_fx(truth.bids_dir, plain_dir, "group")

    write_templates(folder / "site")
    succeed("scontrol", "update", "NodeName=d[0-1]", "State=DRAIN", "Reason=wait")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIDS_FX_TEMPLATES", str(folder / "site"))
        options = ("--submit", "--cpus", "1", "--throttle", "4", "--scratch", scratch)
        bids_fx("slurm", truth.bids_dir, out_dir, *arguments, *options, program="cluster")
    job = out_dir / "jobs" / "job-1"
    codes = {}
    codes["queued"], queued = watch(job)

    events = next((truth.bids_dir / f"sub-0{BAD}").rglob("*_run-1_events.tsv"))
    good = events.read_text()
    events.write_text("onset\tduration\n1\t2\n")
    # Their tasks wait, as for another call that is at work on these participants.
    with locked(out_dir, f"sub-0{CANCELLED}", f"sub-0{LATE}"):
        succeed("scontrol", "update", "NodeName=d[0-1]", "State=RESUME")
        wait(job, lambda told: told["02"]["state"] == told["03"]["state"] == "running")
        array = str(queued["01"]["slurm_id"]).partition("_")[0]
        succeed("scancel", f"{array}_{CANCELLED}")
        succeed("scontrol", "update", f"JobId={array}_{LATE}", "EndTime=now")
        codes["ended"], ended = wait(job, is_over)
    index = (out_dir / "index.html").read_text()

    watch(job, "--resubmit")
    codes["mended"], mended = wait(job, is_over)
    events.write_text(good)
    watch(job, "--resubmit", "--all-failed")
    codes["completed"], completed = wait(job, is_over)
    return Story(out_dir, plain_dir, scratch, queued, ended, mended, completed, codes, index)


def states(told: Told) -> list[object]:
    """Return the participants' states in their order."""
    return [told[label]["state"] for label in PARTICIPANTS]


def test_tasks_beyond_what_slurm_takes_are_another_array(story: Story) -> None:
    ids = [str(story.queued[label]["slurm_id"]).partition("_") for label in PARTICIPANTS]
    assert [number for _, _, number in ids] == ["1", "2", "3", "4", "1", "2"]
    assert len({array for array, _, _ in ids}) == 2


def test_submitted_participants_are_pending(story: Story) -> None:
    assert states(story.queued) == ["pending"] * 6
    assert story.queued["group"]["state"] == "PENDING"
    assert story.codes["queued"] == 75


def test_others_are_done_whatever_befalls_some(story: Story) -> None:
    assert states(story.ended) == ["done", "failed", "failed", "failed", "failed", "done"]
    assert story.codes["ended"] == 1


def test_cancelled_participant_is_told(story: Story) -> None:
    assert story.ended["02"]["reason"] == "CANCELLED: was cancelled by root"


def test_participant_out_of_time_is_told(story: Story) -> None:
    assert story.ended["03"]["slurm_state"] == "TIMEOUT"
    assert story.ended["03"]["helps"] == "time"


def test_bad_data_are_told_with_what_is_wrong(story: Story) -> None:
    reason = str(story.ended["04"]["reason"])
    assert reason.startswith("exit code 65: bad data: sub-04: ")
    assert "no column 'trial_type'" in reason


def test_participant_out_of_memory_is_told(story: Story) -> None:
    limits = Path(os.environ["SLURM_CONF"]).with_name("limits").read_text().strip()
    assert story.ended["05"]["helps"] == "memory"
    if limits != "none":  # else the task is killed, and nobody says why
        assert story.ended["05"]["slurm_state"] == "OUT_OF_MEMORY"


def test_level_group_ran_after_all_and_names_everybody(story: Story) -> None:
    # Nobody has begun with what failed, so that for the index it is not started.
    assert story.ended["group"]["state"] == "COMPLETED"
    assert all(f"sub-{label}" in story.index for label in PARTICIPANTS)


def test_resubmission_finishes_what_can_be(story: Story) -> None:
    assert states(story.mended) == ["done", "done", "done", "failed", "done", "done"]
    assert story.codes["mended"] == 1


def test_resubmission_gives_more_memory_where_it_lacked(story: Story) -> None:
    before, after = story.ended["05"], story.mended["05"]
    assert before["again"] == after["had"]
    first, second = before["had"], after["had"]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert second["mem_mb"] == 2 * first["mem_mb"] > HOG_MB


def test_what_was_done_or_bad_is_not_sent_again(story: Story) -> None:
    for label in ("01", "04", "06"):
        assert story.mended[label]["slurm_id"] == story.ended[label]["slurm_id"]


def test_mended_input_is_finished_when_it_is_asked_for(story: Story) -> None:
    assert states(story.completed) == ["done"] * 6
    assert story.completed["group"]["state"] == "COMPLETED"
    assert story.codes["completed"] == 0


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files that are the same for the same input, by name."""
    apart = {"logs", "jobs", ".bids_fx_work", "summary.json"}
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder): path.read_bytes() for path in files}
    return {str(name): data for name, data in named.items() if name.parts[0] not in apart}


def test_outputs_are_those_of_a_plain_run(story: Story) -> None:
    plain, ours = contents(story.plain_dir), contents(story.out_dir)
    assert len(plain) > 6 * 20
    assert ours.keys() == plain.keys()
    assert [name for name in plain if plain[name] != ours[name]] == []


def test_nothing_of_the_tasks_is_left_on_the_nodes(story: Story) -> None:
    assert list(story.scratch.iterdir()) == []
