"""What is submitted, and what is sent again."""

from __future__ import annotations

import errno
import fcntl
import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bids_fx.cluster import jobs
from tests.fake_slurm import NO_ACCOUNTING, FakeSlurm, JobFolder

#: How LSF is told 1500 MB and 65 min.
LSF_NEED = "-M 1500MB -R 'span[hosts=1] rusage[mem=1500MB]' -W 65"


def submit(
    job: JobFolder, participants: Sequence[str] = ("01", "02", "03"), **changes: object
) -> None:
    """Write a job's folder and submit it as array 101, group 102."""
    job.write(participants, **changes)
    assert jobs.main(["submit", str(job.path)]) == 0


@pytest.fixture
def other(tmp_path: Path) -> JobFolder:
    """Return a job's folder that is still to be written."""
    return JobFolder(tmp_path / "other" / "jobs" / "job-1")


@pytest.fixture
def sent(slurm: FakeSlurm, other: JobFolder) -> JobFolder:
    """Return a job of three participants that was submitted as array 101, group 102."""
    submit(other)
    return other


def arrays(slurm: FakeSlurm) -> list[str]:
    """Return which tasks were sent with what, a text for each array."""
    names = ("--array=", "--mem=", "--time=")
    return [
        " ".join(word for word in call.split() if word.startswith(names))
        for call in slurm.calls("sbatch")
        if "--array" in call
    ]


def test_array_asks_for_what_the_job_needs(slurm: FakeSlurm, other: JobFolder) -> None:
    submit(other, throttle=50, options=["--partition=long", "--account=me"])
    assert slurm.calls("sbatch")[0] == (
        "--parsable --partition=long --account=me --job-name=bids_fx-faces --array=1-3%50 "
        f"--mem=1500M --time=20 --cpus-per-task=2 {other.path}/array.sh 0"
    )


def test_group_waits_for_the_array_however_it_ends(slurm: FakeSlurm, other: JobFolder) -> None:
    submit(other, options=["--partition=long"])
    assert slurm.calls("sbatch")[1] == (
        "--parsable --partition=long --job-name=bids_fx-faces-group "
        f"--dependency=afterany:101 {other.path}/group.sh"
    )


def test_submissions_are_written_down(sent: JobFolder) -> None:
    array, group = sent.submissions()
    assert {**array, "time": ""} == {
        "id": "101",
        "tasks": [1, 2, 3],
        "offset": 0,
        "mem_mb": 1500,
        "minutes": 20,
        "time": "",
    }
    assert (group["group"], group["after"]) == ("102", ["101"])


def test_job_is_not_submitted_twice(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert jobs.main(["submit", str(sent.path)]) == 1
    assert "submitted already" in capsys.readouterr().err
    assert len(slurm.calls("sbatch")) == 2


def test_more_tasks_than_slurm_takes_as_one_array_are_several(
    slurm: FakeSlurm, other: JobFolder
) -> None:
    submit(other, participants=[f"{n:04}" for n in range(1, 2001)])  # Slurm's default: 1001
    first, second, group = slurm.calls("sbatch")
    assert " --array=1-1000 " in first
    assert first.endswith("/array.sh 0")
    assert " --array=1-1000 " in second
    assert second.endswith("/array.sh 1000")
    assert "--dependency" not in first + second
    assert "--dependency=afterany:101:102 " in group
    lines = other.submissions()
    assert [line.get("offset") for line in lines] == [0, 1000, None]
    assert lines[0]["tasks"] == list(range(1, 1001))
    assert lines[1]["tasks"] == list(range(1001, 2001))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["MaxArraySize            = 3"], ["1-2 0", "1-2 2", "1 4"]),
        (["MaxArraySize            = 1001"], ["1-5 0"]),
        (
            ["MaxArraySize            = 1001", "SchedulerParameters     = a=1,max_array_tasks=4"],
            ["1-4 0", "1 4"],
        ),
        (["MaxArraySize            = 0"], ["1 0", "1 1", "1 2", "1 3", "1 4"]),
    ],
)
def test_numbers_of_an_array_are_those_that_slurm_takes(
    slurm: FakeSlurm, other: JobFolder, settings: list[str], expected: list[str]
) -> None:
    slurm.configure("Configuration data as of 2026-11-22T03:00:00", *settings)
    submit(other, participants=["01", "02", "03", "04", "05"])
    found = [re.findall(r"--array=(\S+) .* (\d+)$", call) for call in slurm.calls("sbatch")[:-1]]
    assert [" ".join(one) for (one,) in found] == expected


def test_numbers_of_the_largest_array_fit_into_one_argument(
    slurm: FakeSlurm, other: JobFolder
) -> None:
    slurm.configure("MaxArraySize            = 4000001")
    submit(other, participants=[f"{n:05}" for n in range(1, 10_002)])
    assert [re.findall(r"--array=(\S+)", call) for call in slurm.calls("sbatch")] == [
        *(["1-10000"], ["1"], [])
    ]
    assert len(",".join(jobs.ranges(range(1, 10_001, 2)))) < 128 * 1024


def test_arrays_with_a_limit_of_tasks_at_once_run_one_after_another(
    slurm: FakeSlurm, other: JobFolder
) -> None:
    slurm.configure("MaxArraySize            = 3")
    submit(other, participants=["01", "02", "03", "04", "05"], throttle=2)
    calls = slurm.calls("sbatch")
    assert [re.findall(r"--array=\S+|--dependency=\S+", call) for call in calls] == [
        ["--array=1-2%2"],
        ["--array=1-2%2", "--dependency=afterany:101"],
        ["--array=1%2", "--dependency=afterany:101:102"],
        ["--dependency=afterany:101:102:103"],
    ]


def test_array_with_a_limit_of_tasks_at_once_waits_for_what_still_runs(
    slurm: FakeSlurm, other: JobFolder
) -> None:
    submit(other, throttle=2)
    slurm.account("101_1|CANCELLED|0:0|1500M|20", "101_2|RUNNING|0:0|1500M|20")
    slurm.control(101, ("2-3", "RUNNING", "None"))
    jobs.main(["resubmit", str(other.path)])
    assert "--array=1%2 " in slurm.calls("sbatch")[2]
    assert "--dependency=afterany:101 " in slurm.calls("sbatch")[2]


def test_arrays_that_slurm_refuses_are_unsent_and_sent_later(
    slurm: FakeSlurm, other: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.configure("MaxArraySize            = 3")
    slurm.refuse_submissions("array.sh 2")
    other.write(["01", "02", "03", "04", "05"])
    assert jobs.main(["submit", str(other.path)]) == 1
    assert "array.sh 2 is refused\n2 participants are not submitted." in capsys.readouterr().err
    assert [line.get("tasks") for line in other.submissions()] == [[1, 2], [5], None]
    slurm.refuse_submissions("nothing")
    slurm.control(101, ("1-2", "RUNNING", "None"))
    slurm.control(103, ("1", "PENDING", "Priority"))
    jobs.main(["status", str(other.path)])
    assert "2 running, 1 pending, 2 unsent" in capsys.readouterr().out
    assert jobs.main(["resubmit", str(other.path)]) == 75
    assert slurm.calls("sbatch")[-2].endswith("array.sh 2")
    assert "--dependency=afterany:101:103:105 " in slurm.calls("sbatch")[-1]


def test_script_that_does_not_count_on_is_sent_the_first_array_alone(
    slurm: FakeSlurm, other: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.configure("MaxArraySize            = 3")
    other.write()
    (other.path / "array.sh").write_text('exec sh task.sh "$SLURM_ARRAY_TASK_ID"\n')
    assert jobs.main(["submit", str(other.path)]) == 1
    assert "has to add $1 to the task's number" in capsys.readouterr().err
    assert [line.get("tasks") for line in other.submissions()] == [[1, 2], None]


def test_id_of_a_named_cluster_is_its_number(slurm: FakeSlurm, job: JobFolder) -> None:
    program = slurm.folder / "sbatch"
    program.write_text(program.read_text().replace("echo $n\n", 'echo "$n;big"\n'))
    assert jobs.main(["submit", str(job.path)]) == 0
    assert job.submissions()[0]["id"] == "101"


def test_absent_sbatch_is_an_error_with_the_remedy(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert jobs.main(["submit", str(job.path)]) == 1
    told = capsys.readouterr().err
    assert "sbatch is not here" in told
    assert "login node" in told
    assert not (job.path / "submissions.jsonl").exists()


def test_what_sbatch_refuses_is_shown_and_can_be_submitted_later(
    slurm: FakeSlurm, job: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.refuse_submissions("--mem=1500M")
    assert jobs.main(["submit", str(job.path)]) == 1
    assert "--mem=1500M is refused" in capsys.readouterr().err
    slurm.refuse_submissions("nothing")
    assert jobs.main(["submit", str(job.path)]) == 0


def test_refused_group_is_said_and_sent_by_resubmit(
    slurm: FakeSlurm, job: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.refuse_submissions("afterany")
    assert jobs.main(["submit", str(job.path)]) == 1
    assert "The level group is missing" in capsys.readouterr().err
    assert [line["id"] for line in job.submissions()] == ["101"]
    slurm.refuse_submissions("nothing")
    slurm.control(101, ("1-3", "PENDING", "Priority"))
    assert jobs.main(["resubmit", str(job.path)]) == 75
    assert "--dependency=afterany:101" in slurm.calls("sbatch")[-1]
    assert len(arrays(slurm)) == 1


def test_lack_of_memory_is_answered_with_twice_as_much(slurm: FakeSlurm, sent: JobFolder) -> None:
    slurm.account(
        "101_1|OUT_OF_MEMORY|0:125|1500M|20",
        "101_2|COMPLETED|0:0|1500M|20",
        "101_3|OUT_OF_MEMORY|0:125|1500M|20",
    )
    sent.end(2, 0)
    jobs.main(["resubmit", str(sent.path)])
    assert arrays(slurm)[1:] == ["--array=1,3 --mem=3000M --time=20"]


def test_lack_of_time_is_answered_with_twice_as_much(slurm: FakeSlurm, other: JobFolder) -> None:
    submit(other, participants=["01"])
    slurm.account("101_1|TIMEOUT|0:0|1500M|20")
    jobs.main(["resubmit", str(other.path)])
    assert arrays(slurm)[1:] == ["--array=1 --mem=1500M --time=40"]


def test_what_it_had_last_time_is_doubled_again(slurm: FakeSlurm, other: JobFolder) -> None:
    submit(other, participants=["01"])
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20")
    jobs.main(["resubmit", str(other.path)])
    slurm.account("103_1|TIMEOUT|0:0|3000M|20")
    jobs.main(["resubmit", str(other.path)])
    assert arrays(slurm)[1:] == [
        "--array=1 --mem=3000M --time=20",
        "--array=1 --mem=3000M --time=40",
    ]


def test_less_than_planned_is_answered_with_the_plan(slurm: FakeSlurm, other: JobFolder) -> None:
    submit(other, participants=["01"])
    slurm.account("101_1|OUT_OF_MEMORY|0:125|100M|1")
    jobs.main(["resubmit", str(other.path)])
    assert arrays(slurm)[1:] == ["--array=1 --mem=1500M --time=20"]


@pytest.mark.parametrize(
    ("most", "expected"), [(2000, ["--array=1 --mem=2000M --time=20"]), (1500, [])]
)
def test_memory_does_not_grow_beyond_what_is_allowed(
    slurm: FakeSlurm,
    other: JobFolder,
    capsys: pytest.CaptureFixture[str],
    most: int,
    expected: list[str],
) -> None:
    submit(other, participants=["01"], max_mem_mb=most)
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20")
    jobs.main(["resubmit", str(other.path)])
    assert arrays(slurm)[1:] == expected
    assert ("had the most" in capsys.readouterr().out) is (not expected)


@pytest.mark.parametrize("state", ["CANCELLED by 0", "NODE_FAIL", "PREEMPTED", "COMPLETED"])
def test_what_had_no_fault_of_its_own_is_sent_as_it_was(
    slurm: FakeSlurm, other: JobFolder, state: str
) -> None:
    submit(other, participants=["01"])
    slurm.account(f"101_1|{state}|0:0|1500M|20")
    jobs.main(["resubmit", str(other.path)])
    assert arrays(slurm)[1:] == ["--array=1 --mem=1500M --time=20"]


def test_what_vanished_is_sent_as_it_was(slurm: FakeSlurm, other: JobFolder) -> None:
    submit(other, participants=["01"])
    jobs.main(["status", str(other.path), "--resubmit"])
    assert arrays(slurm)[1:] == ["--array=1 --mem=1500M --time=20"]


def test_different_needs_are_separate_arrays_and_one_group_waits_for_all(
    slurm: FakeSlurm, sent: JobFolder
) -> None:
    slurm.account(
        "101_1|OUT_OF_MEMORY|0:125|1500M|20",
        "101_2|TIMEOUT|0:0|1500M|20",
        "101_3|CANCELLED|0:0|1500M|20",
    )
    assert jobs.main(["resubmit", str(sent.path)]) == 1  # nobody answers for the new ones yet
    assert arrays(slurm)[1:] == [
        "--array=3 --mem=1500M --time=20",
        "--array=2 --mem=1500M --time=40",
        "--array=1 --mem=3000M --time=20",
    ]
    assert "--dependency=afterany:103:104:105 " in slurm.calls("sbatch")[-1]
    assert len(slurm.calls("sbatch")) == 6


def test_group_waits_for_what_still_runs_too(slurm: FakeSlurm, sent: JobFolder) -> None:
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20", "101_2|RUNNING|0:0|1500M|20")
    slurm.control(101, ("2", "RUNNING", "None"), ("3", "PENDING", "Priority"))
    jobs.main(["resubmit", str(sent.path)])
    assert arrays(slurm)[1:] == ["--array=1 --mem=3000M --time=20"]
    assert "--dependency=afterany:101:103 " in slurm.calls("sbatch")[-1]


@pytest.mark.parametrize("code", [1, 2, 16, 17, 18, 65, 66])
def test_failure_by_the_input_is_sent_only_if_asked_for(
    slurm: FakeSlurm, other: JobFolder, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    submit(other, participants=["01"])
    slurm.account(f"101_1|FAILED|{code}:0|1500M|20")
    other.end("group", 1)
    assert jobs.main(["resubmit", str(other.path)]) == 1
    assert "then resubmit with --all-failed" in capsys.readouterr().out
    assert len(slurm.calls("sbatch")) == 2
    jobs.main(["resubmit", str(other.path), "--all-failed"])
    assert arrays(slurm)[1:] == ["--array=1 --mem=1500M --time=20"]


def test_nothing_is_sent_if_nothing_is_missing(slurm: FakeSlurm, sent: JobFolder) -> None:
    for task in (1, 2, 3):
        sent.end(task, 0)
    sent.end("group", 0)
    assert jobs.main(["resubmit", str(sent.path), "--all-failed"]) == 0
    assert len(slurm.calls("sbatch")) == 2


def test_group_that_was_lost_is_sent_alone(slurm: FakeSlurm, sent: JobFolder) -> None:
    for task in (1, 2, 3):
        sent.end(task, 0)
    slurm.account("102|CANCELLED by 0|0:0|1500M|30")
    assert jobs.main(["resubmit", str(sent.path)]) == 1  # nobody answers for the new one yet
    assert slurm.calls("sbatch")[2:] == [
        f"--parsable --job-name=bids_fx-faces-group {sent.path}/group.sh"
    ]


def test_how_a_task_ended_before_is_forgotten_when_it_is_sent_again(
    slurm: FakeSlurm, other: JobFolder
) -> None:
    submit(other, participants=["01"])
    other.end(1, 143)
    slurm.account("101_1|CANCELLED|0:0|1500M|20")
    jobs.main(["resubmit", str(other.path)])
    assert not (other.path / "ended" / "1.json").exists()


def test_nothing_is_sent_while_slurm_does_not_say_what_runs(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.refuse("sacct", NO_ACCOUNTING)
    slurm.refuse("scontrol", "Unable to contact slurm controller")
    assert jobs.main(["resubmit", str(sent.path)]) == 1
    assert "cannot be told" in capsys.readouterr().err
    assert len(slurm.calls("sbatch")) == 2


def test_what_can_be_sent_is_sent_though_the_rest_is_refused(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20", "101_2|CANCELLED|0:0|1500M|20")
    slurm.refuse_submissions("--mem=3000M")
    sent.end(3, 0)
    assert jobs.main(["resubmit", str(sent.path)]) == 1
    assert "--mem=3000M is refused" in capsys.readouterr().err
    assert [line.get("tasks", "group") for line in sent.submissions()[2:]] == [[2], "group"]


def test_several_jobs_are_not_sent_again_at_once(
    sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    JobFolder(sent.path.with_name("job-2")).write()
    assert jobs.main(["resubmit", str(sent.out_dir)]) == 2
    assert str(sent.path) in capsys.readouterr().err


def test_two_at_a_time_do_not_submit_the_same(slurm: FakeSlurm, job: JobFolder) -> None:
    codes: list[int] = []
    with (job.path / "submissions.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        threads = [
            threading.Thread(target=lambda: codes.append(jobs.main(["submit", str(job.path)])))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(codes) == [0, 1]
    assert len(slurm.calls("sbatch")) == 2


def test_two_at_a_time_do_not_submit_the_same_where_there_are_no_locks(
    slurm: FakeSlurm,
    job: JobFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with jobs.Job(job.path).locked():
        assert jobs.main(["submit", str(job.path)]) == 73
        told = capsys.readouterr().err
    assert f"{job.path / 'submitting'}: somebody is at work on this job; if nobody is" in told
    assert slurm.calls("sbatch") == []
    assert jobs.main(["submit", str(job.path)]) == 0
    assert not (job.path / "submitting").exists()


def test_a_fault_after_sbatch_is_not_told_as_a_damaged_job(
    slurm: FakeSlurm, job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("planted")

    monkeypatch.setattr(jobs.Job, "append", fail)
    with pytest.raises(ValueError, match="planted"):  # "make another job" would send all twice
        jobs.main(["submit", str(job.path)])
    assert len(slurm.calls("sbatch")) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpus", "two"),
        ("options", 5),
        ("throttle", [1]),
        ("mem_mb", None),
        ("folder", 1),
        ("tasks", {"participant": "01"}),
        ("tasks", [{"participant": 1}, {}]),
    ],
)
@pytest.mark.parametrize("command", ["submit", "resubmit"])
def test_nothing_is_sent_of_a_damaged_job(
    slurm: FakeSlurm,
    job: JobFolder,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: object,
    command: str,
) -> None:
    file = job.path / "job.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    assert jobs.main([command, str(job.path)]) == 66
    assert "A job.json or submissions.jsonl is damaged" in capsys.readouterr().err
    assert slurm.calls("sbatch") == []


def test_nothing_is_sent_where_what_was_submitted_cannot_be_read(
    slurm: FakeSlurm, job: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (job.path / "submissions.jsonl").write_bytes(b'{"id": "\xff"}\n')
    assert jobs.main(["submit", str(job.path)]) == 66
    assert "is damaged" in capsys.readouterr().err
    assert slurm.calls("sbatch") == []


def test_folder_that_cannot_be_written_to_is_named(
    slurm: FakeSlurm, job: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (job.path / "submissions.lock").mkdir()
    assert jobs.main(["submit", str(job.path)]) == 73
    assert "submissions.lock" in capsys.readouterr().err


def test_job_of_somebody_else_says_whose_it_is(
    slurm: FakeSlurm,
    job: JobFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    locked = jobs.Job(job.path).locked()
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(jobs.JobsError) as caught, locked:
        pass
    assert str(caught.value).endswith(f"submissions.lock'; the job belongs to {job.path.owner()}.")
    assert caught.value.code == 73


@pytest.mark.parametrize("command", ["submit", "resubmit"])
@pytest.mark.parametrize("is_copied", [True, False])
def test_job_that_was_moved_is_not_submitted(
    slurm: FakeSlurm,
    other: JobFolder,
    command: str,
    *,
    is_copied: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = other.path.with_name("job-7")
    other.write(folder=str(old))
    if is_copied:
        old.mkdir()
    assert jobs.main([command, str(other.path)]) == 66
    assert f"moved or copied from {old}; make another job" in capsys.readouterr().err
    assert slurm.calls("sbatch") == []
    assert not (other.path / "submissions.lock").exists()


def test_job_is_the_same_by_another_path_to_it(
    slurm: FakeSlurm, other: JobFolder, tmp_path: Path
) -> None:
    (tmp_path / "mount").symlink_to(other.out_dir)
    submit(other, folder=str(tmp_path / "mount" / "jobs" / "job-1"))
    assert len(slurm.calls("sbatch")) == 2


def test_submission_that_cannot_be_written_down_is_to_be_cancelled(
    slurm: FakeSlurm, job: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (job.path / "submissions.jsonl").symlink_to("/nowhere/at all")
    assert jobs.main(["submit", str(job.path)]) == 1
    assert "scancel 101" in capsys.readouterr().err
    assert len(slurm.calls("sbatch")) == 1


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (
            "pbs",
            [
                "qsub -v BIDS_FX_TASK=1,BIDS_FX_MEM_MB=1500 -l mem=1500mb,walltime=1:05:00 ARRAY",
                "qsub -J 3-4 -v BIDS_FX_MEM_MB=1500 -l mem=1500mb,walltime=1:05:00 ARRAY",
                "qsub GROUP  # when these have ended",
                "or, of Torque,",
                "qsub -t 1 -v BIDS_FX_MEM_MB=1500 -l mem=1500mb,walltime=1:05:00 ARRAY",
                "qsub -t 3-4 -v BIDS_FX_MEM_MB=1500 -l mem=1500mb,walltime=1:05:00 ARRAY",
                "qsub GROUP  # when these have ended",
            ],
        ),
        (
            "sge",
            [
                "qsub -terse -t 1 -v BIDS_FX_MEM_MB=1500 -l mem_free=750M,h_rt=1:05:00 ARRAY",
                "qsub -terse -t 3-4 -v BIDS_FX_MEM_MB=1500 -l mem_free=750M,h_rt=1:05:00 ARRAY",
                "qsub GROUP  # when these have ended",
            ],
        ),
        (
            "lsf",
            [
                f"BIDS_FX_MEM_MB=1500 bsub -J 'bids_fx-faces-job-1[1]' {LSF_NEED} <ARRAY",
                f"BIDS_FX_MEM_MB=1500 bsub -J 'bids_fx-faces-job-1[3-4]' {LSF_NEED} <ARRAY",
                "bsub <GROUP  # when these have ended",
            ],
        ),
    ],
)
def test_other_schedulers_commands_are_told(
    other: JobFolder, capsys: pytest.CaptureFixture[str], scheduler: str, expected: list[str]
) -> None:
    other.write(["01", "02", "03", "04"], scheduler=scheduler, minutes=65)
    for task, code in ((1, 143), (2, 65), (3, 74), (4, 73)):
        other.end(task, code)
    jobs.main(["resubmit", str(other.path)])
    told = capsys.readouterr().out
    told = told.replace(f"{other.path}/array.sh", "ARRAY").replace(
        f"{other.path}/group.sh", "GROUP"
    )
    assert told.splitlines()[: len(expected)] == expected


@pytest.mark.parametrize("scheduler", ["pbs", "sge", "lsf"])
def test_memory_that_was_short_is_raised_for_the_program_too(
    other: JobFolder, capsys: pytest.CaptureFixture[str], scheduler: str
) -> None:
    other.write(["01", "02"], scheduler=scheduler)
    other.end(1, 0)
    other.end(2, 137)
    jobs.main(["resubmit", str(other.path)])
    commands = [line for line in capsys.readouterr().out.splitlines() if "array.sh" in line]
    assert commands
    assert all("BIDS_FX_MEM_MB=3000" in command for command in commands)


@pytest.fixture
def sent_twice(slurm: FakeSlurm, sent: JobFolder) -> JobFolder:
    """Return a job whose first task was sent again, as 103, while the first array runs.

    The first level group, 102, waits for 101 alone; that of the second submission is 104.
    """
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20", "101_[2-3]|RUNNING|0:0|1500M|20")
    slurm.control(101, ("2-3", "RUNNING", "None"))
    (slurm.folder / "scontrol.102").write_text(
        "JobId=102 JobName=a JobState=PENDING Reason=Dependency ExitCode=0:0\n"
    )
    assert jobs.main(["resubmit", str(sent.path)]) == 75
    (slurm.folder / "scontrol.102").unlink()
    (slurm.folder / "scontrol.101").unlink()
    return sent


def test_level_group_that_does_not_wait_for_all_is_cancelled(
    slurm: FakeSlurm, sent_twice: JobFolder
) -> None:
    assert "--dependency=afterany:101:103 " in slurm.calls("sbatch")[-1]
    assert slurm.calls("scancel") == ["--state=PENDING 102"]


def test_level_group_that_has_ended_is_not_cancelled(slurm: FakeSlurm, sent: JobFolder) -> None:
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20")
    sent.end("group", 1)
    jobs.main(["resubmit", str(sent.path)])
    assert slurm.calls("scancel") == []


def test_level_group_that_cannot_be_cancelled_is_named(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.refuse("scancel", "Access/permission denied")
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20", "102|PENDING|0:0|1500M|30")
    (slurm.folder / "scontrol.102").write_text(
        "JobId=102 JobName=a JobState=PENDING Reason=Dependency ExitCode=0:0\n"
    )
    jobs.main(["resubmit", str(sent.path)])
    told = capsys.readouterr().err
    assert "job 102 is not cancelled" in told
    assert "permission denied" in told


def test_end_of_an_earlier_level_group_does_not_count(
    slurm: FakeSlurm, sent_twice: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in (1, 2, 3):
        sent_twice.end(task, 0)
    sent_twice.end("group", 0, job="102")
    slurm.account("104|CANCELLED by 0|0:0|1500M|30")
    assert jobs.main(["status", str(sent_twice.path)]) == 1
    assert "3 done; level group: CANCELLED" in capsys.readouterr().out
    jobs.main(["resubmit", str(sent_twice.path)])
    assert slurm.calls("sbatch")[-1].endswith("-group " + f"{sent_twice.path}/group.sh")
    sent_twice.end("group", 0, job="105")
    assert jobs.main(["status", str(sent_twice.path)]) == 0


def test_end_of_a_level_group_does_not_count_for_what_was_sent_without_one(
    slurm: FakeSlurm, sent: JobFolder
) -> None:
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20")
    slurm.refuse_submissions("-group")
    for task in (2, 3):
        sent.end(task, 0)
    jobs.main(["resubmit", str(sent.path)])
    sent.end(1, 0)
    sent.end("group", 0, job="102")
    slurm.refuse_submissions("nothing")
    assert jobs.main(["status", str(sent.path)]) == 1
    jobs.main(["resubmit", str(sent.path)])
    assert [line.get("group") for line in sent.submissions()] == [None, "102", None, "105"]


def test_id_is_found_below_a_banner(slurm: FakeSlurm, job: JobFolder) -> None:
    program = slurm.folder / "sbatch"
    program.write_text(program.read_text().replace("echo $n\n", 'echo "Welcome!"; echo $n\n'))
    assert jobs.main(["submit", str(job.path)]) == 0
    assert job.submissions()[0]["id"] == "101"
