"""How participants stand: what Slurm says, joined with what tasks left on disk."""

from __future__ import annotations

import json
import os
import pwd
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bids_fx.cluster import jobs
from bids_fx.errors import ExitCode
from tests.fake_slurm import NO_ACCOUNTING, FakeSlurm, JobFolder
from tests.fuzzing import in_time


@pytest.fixture
def sent(slurm: FakeSlurm, job: JobFolder) -> JobFolder:
    """Return a job of three participants that was submitted as array 101."""
    assert jobs.main(["submit", str(job.path)]) == 0
    return job


def look(job: JobFolder, capsys: pytest.CaptureFixture[str]) -> dict[str, Mapping[str, object]]:
    """Return how each participant stands, by label."""
    capsys.readouterr()
    jobs.main(["status", str(job.path), "--json"])
    (told,) = json.loads(capsys.readouterr().out)["jobs"]
    return {one["participant"]: one for one in told["participants"]}


def test_states_are_those_of_the_accounting(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account(
        "101_1|OUT_OF_MEMORY|0:125|1500M|20",
        "101_2|TIMEOUT|0:0|1500M|20",
        "101_3|FAILED|65:0|1500M|20",
    )
    told = look(sent, capsys)
    assert [one["state"] for one in told.values()] == ["failed"] * 3
    assert [one["reason"] for one in told.values()] == [
        "OUT_OF_MEMORY: needed more than the 1500 MB that it had",
        "TIMEOUT: was not done in the 20 min that it had",
        "exit code 65: bad data",
    ]


def test_what_it_had_is_what_the_accounting_says(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|OUT_OF_MEMORY|0:125|400.00M|20", "101_2|TIMEOUT|0:0|750Mc|3")
    told = look(sent, capsys)
    assert told["01"]["had"] == {"mem_mb": 400, "minutes": 20}
    assert told["02"]["had"] == {"mem_mb": 1500, "minutes": 3}  # two processors


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("NODE_FAIL", "NODE_FAIL: its node failed"),
        ("PREEMPTED", "PREEMPTED: had to make room for another job"),
        ("CANCELLED", "CANCELLED: was cancelled"),
        (
            f"CANCELLED by {os.getuid()}",
            f"CANCELLED: was cancelled by {pwd.getpwuid(os.getuid()).pw_name}",
        ),
        ("CANCELLED by 3999999", "CANCELLED: was cancelled by user 3999999"),
    ],
)
def test_end_by_others_is_named(
    slurm: FakeSlurm,
    sent: JobFolder,
    capsys: pytest.CaptureFixture[str],
    state: str,
    reason: str,
) -> None:
    slurm.account(f"101_1|{state}|0:0|1500M|20")
    assert look(sent, capsys)["01"]["reason"] == reason


def test_pending_tasks_are_told_by_their_list(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|RUNNING|0:0|1500M|20", "101_[2-3%2]|PENDING|0:0|1500M|20")
    slurm.control(101, ("2-3%2", "PENDING", "JobArrayTaskLimit"), ("1", "RUNNING", "None"))
    told = look(sent, capsys)
    assert [(one["state"], one["reason"]) for one in told.values()] == [
        ("running", ""),
        ("pending", "JobArrayTaskLimit"),
        ("pending", "JobArrayTaskLimit"),
    ]


def test_task_that_the_accounting_does_not_know_yet_is_asked_of_the_controller(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.control(101, ("1-2", "PENDING", "Priority"), ("3", "OUT_OF_MEMORY", "OutOfMemory"))
    told = look(sent, capsys)
    assert [one["state"] for one in told.values()] == ["pending", "pending", "failed"]
    assert told["03"]["helps"] == "memory"


def test_controller_knows_better_than_the_accounting_what_runs(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|REQUEUED|0:0|1500M|20", "101_2|RUNNING|0:0|400M|20")
    slurm.control(101, ("1", "RUNNING", "None"), ("2", "TIMEOUT", "TimeLimit"))
    told = look(sent, capsys)
    assert [told["01"]["state"], told["02"]["state"]] == ["running", "failed"]
    assert told["02"]["had"] == {"mem_mb": 400, "minutes": 20}


def test_tasks_of_further_arrays_are_told_by_their_numbers_there(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    job = JobFolder(tmp_path / "other" / "jobs" / "job-1")
    job.write(["01", "02", "03", "04", "05"])
    slurm.configure("MaxArraySize            = 3")
    jobs.main(["submit", str(job.path)])
    slurm.account("101_2|TIMEOUT|0:0|1500M|20", "103_1|OUT_OF_MEMORY|0:125|1500M|20")
    slurm.control(102, ("1", "RUNNING", "None"), ("2", "PENDING", "Priority"))
    log = job.path / "logs" / "103_1.log"
    log.touch()
    told = look(job, capsys)
    assert [one["slurm_id"] for one in told.values()] == [
        *("101_1", "101_2", "102_1", "102_2", "103_1")
    ]
    assert [one["slurm_state"] for one in told.values()] == [
        *("", "TIMEOUT", "RUNNING", "PENDING", "OUT_OF_MEMORY")
    ]
    assert [one["log"] for one in told.values()] == ["", "", "", "", str(log)]


def test_who_cancelled_is_known_to_the_accounting_alone(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|CANCELLED by 3999999|0:0|1500M|20")
    slurm.control(101, ("1", "CANCELLED", "None"))
    assert look(sent, capsys)["01"]["reason"] == "CANCELLED: was cancelled by user 3999999"


def test_task_that_runs_by_the_accounting_alone_has_vanished(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|RUNNING|0:0|1500M|20")
    assert look(sent, capsys)["01"]["state"] == "vanished"


def test_without_accounting_the_controller_is_enough(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.refuse("sacct", NO_ACCOUNTING)
    slurm.control(101, ("1", "RUNNING", "None"), ("2", "TIMEOUT", "TimeLimit"))
    states = [one["state"] for one in look(sent, capsys).values()]
    assert states == ["running", "failed", "vanished"]


def test_without_the_controller_the_accounting_is_enough(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.refuse("scontrol", "slurm_load_jobs error: Unable to contact slurm controller")
    slurm.account("101_1|RUNNING|0:0|1500M|20", "101_2|TIMEOUT|0:0|1500M|20")
    told = look(sent, capsys)
    assert [told["01"]["state"], told["02"]["state"]] == ["running", "failed"]


def test_without_slurm_the_disk_tells_what_it_can(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.refuse("sacct", NO_ACCOUNTING)
    slurm.refuse("scontrol", "Unable to contact slurm controller")
    sent.end(1, 0)
    sent.tell("02", "running")
    told = look(sent, capsys)
    assert [one["state"] for one in told.values()] == ["done", "running", "pending"]
    assert told["03"]["reason"] == "as far as the disk tells"
    jobs.main(["status", str(sent.path)])
    shown = capsys.readouterr()
    assert NO_ACCOUNTING in shown.err
    assert "level group" not in shown.out


def test_task_that_ended_well_is_done_whatever_slurm_says(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    # A process that was not needed may have been killed for its memory.
    slurm.account("101_1|OUT_OF_MEMORY|0:125|1500M|20")
    sent.end(1, 0)
    assert look(sent, capsys)["01"]["state"] == "done"


def test_task_that_runs_again_is_not_told_by_its_earlier_end(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    sent.end(1, 143)
    slurm.control(101, ("1", "RUNNING", "None"))
    assert look(sent, capsys)["01"]["state"] == "running"


def test_reason_of_a_failure_is_the_programs(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|FAILED|1:0|1500M|20")
    sent.tell("01", "failed", "fitting task-x {run}: singular")
    told = look(sent, capsys)["01"]
    assert told["reason"] == "exit code 1: something failed: fitting task-x {run}: singular"


def test_worker_that_was_killed_ran_out_of_memory(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    from bids_fx.workflows.processes import describe_exit

    slurm.account("101_1|FAILED|1:0|1500M|20")
    sent.tell("01", "failed", describe_exit(-9))
    told = look(sent, capsys)["01"]
    assert (told["helps"], told["again"]) == ("memory", {"mem_mb": 3000, "minutes": 20})


@pytest.mark.parametrize(
    ("code", "line", "meaning"),
    [
        (
            127,
            "task.sh: neither apptainer nor singularity is there: load its module first.",
            "the program, or what runs its container, is not on the node",
        ),
        (255, "FATAL:   could not open image /x.sif", "the container could not be started"),
    ],
)
def test_task_that_could_not_start_says_why(
    slurm: FakeSlurm,
    sent: JobFolder,
    capsys: pytest.CaptureFixture[str],
    code: int,
    line: str,
    meaning: str,
) -> None:
    slurm.account(f"101_1|FAILED|{code}:0|1500M|20")
    (sent.path / "logs" / "101_1.log").write_text(f"FATAL: once\ntask.sh: once\n{line}\nend\n")
    one = look(sent, capsys)["01"]
    assert one["reason"] == f"exit code {code}: {meaning}: {line}"
    assert one["again"] is None


def test_what_was_refused_before_any_work_is_told_from_the_log(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|FAILED|2:0|1500M|20", "101_2|FAILED|65:0|1500M|20")
    (sent.path / "logs" / "101_1.log").write_text(
        "bids_fx: 2 problems:\n"
        "  - sub-01: --mem-mb: fitting x needs about 1600 MB; allow 1600 MB, or leave it out.\n"
        "  - sub-01: --mem-mb: combining x needs about 1550 MB; allow 1550 MB, or leave it out.\n"
    )
    (sent.path / "logs" / "101_2.log").write_bytes(
        b"\xff\nbids_fx: 1 problem:\n  - sub-02: a_events.tsv: no column 'onset'; add it.\n"
    )
    told = look(sent, capsys)
    assert told["01"]["helps"] == "memory"
    assert str(told["01"]["reason"]).endswith("or leave it out. (and 1 more)")
    assert told["02"]["reason"] == (
        "exit code 65: bad data: sub-02: a_events.tsv: no column 'onset'; add it."
    )


def test_signal_that_slurm_saw_is_the_shells_exit_code(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|FAILED|0:9|1500M|20", "101_2|FAILED|0:11|1500M|20")
    told = look(sent, capsys)
    assert (told["01"]["helps"], told["02"]["helps"]) == ("memory", "look")
    assert told["02"]["reason"] == "exit code 139: was ended by SIGSEGV"


def test_state_of_an_earlier_call_tells_nothing_of_this_submission(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    os.utime(sent.tell("01", "done"), (1, 1))
    sent.tell("02", "done")
    told = look(sent, capsys)
    assert (told["01"]["state"], told["02"]["state"]) == ("vanished", "done")


@pytest.fixture(params=["XXX+11", "XXX-13"])
def _far_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have local time far from that of Greenwich."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_zone")
def test_what_is_older_than_a_submission_is_so_in_every_time_zone(
    sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    then = (sent.path / "submissions.jsonl").stat().st_mtime
    os.utime(sent.tell("01", "done"), (then - 60, then - 60))
    os.utime(sent.tell("02", "done"), (then + 60, then + 60))
    told = look(sent, capsys)
    assert (told["01"]["state"], told["02"]["state"]) == ("vanished", "done")


def test_failure_that_slurm_forgot_is_told_by_the_state(
    sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    sent.tell("01", "failed", "fitting x: singular")
    told = look(sent, capsys)["01"]
    assert told["reason"] == "exit code 1: something failed: fitting x: singular"


def test_task_that_ended_well_for_slurm_but_left_nothing_has_vanished(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|COMPLETED|0:0|1500M|20")
    told = look(sent, capsys)["01"]
    assert told["state"] == "vanished"
    assert told["reason"] == "Slurm has it as COMPLETED, but it left no result"


def test_participant_who_was_refused_is_named(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    job = JobFolder(tmp_path / "other" / "jobs" / "job-1")
    job.write(["01"], refused={"02": ["a.tsv: it is empty; mend it."]})
    jobs.main(["submit", str(job.path)])
    told = look(job, capsys)["02"]
    assert (told["state"], told["reason"]) == ("refused", "a.tsv: it is empty; mend it.")


def test_job_that_was_not_submitted_says_so(
    job: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {one["state"] for one in look(job, capsys).values()} == {"unsent"}


@pytest.mark.parametrize(
    ("codes", "line", "expected"),
    [
        ((0, 0, 0), "102|COMPLETED|0:0|1500M|20", 0),
        ((0, 0, 0), "102|CANCELLED by 0|0:0|1500M|20", 1),
        ((0, 0, None), "101_3|TIMEOUT|0:0|1500M|20", 1),
        ((0, 65, None), "101_3|PENDING|0:0|1500M|20", 75),
    ],
)
def test_exit_code_tells_whether_all_are_done_or_may_still_be(
    slurm: FakeSlurm,
    sent: JobFolder,
    codes: tuple[int | None, ...],
    line: str,
    expected: int,
) -> None:
    for task, code in enumerate(codes, start=1):
        if code is not None:
            sent.end(task, code)
    slurm.account(line)
    if "PENDING" in line:
        slurm.control(101, ("3", "PENDING", "Priority"))
    assert jobs.main(["status", str(sent.out_dir)]) == expected


def test_table_counts_all_and_lists_who_is_not_done(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    slurm.account("101_2|OUT_OF_MEMORY|0:125|1500M|20", "101_3|FAILED|65:0|1500M|20")
    sent.end(1, 0)
    sent.end("group", 1)
    (sent.path / "logs" / "101_2.log").touch()
    jobs.main(["status", str(sent.path)])
    memory = "OUT_OF_MEMORY: needed more than the 1500 MB that it had"
    log = sent.path / "logs" / "101_2.log"
    mend = "mend the input, then resubmit with --all-failed"
    assert capsys.readouterr().out.splitlines() == [
        f"{sent.path} (bids_fx-faces): 1 done, 2 failed; level group: FAILED",
        f"  sub-02  failed    {memory}; resubmit sends it again with 3000 MB; {log}",
        f"  sub-03  failed    exit code 65: bad data; {mend}",
    ]
    jobs.main(["status", str(sent.path), "--all"])
    assert "  sub-01  done" in capsys.readouterr().out.splitlines()


def test_output_folder_tells_of_all_its_jobs(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (10, 2):
        JobFolder(sent.path.with_name(f"job-{number}")).write(["04"])
    capsys.readouterr()
    assert jobs.main(["status", str(sent.out_dir), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["jobs"]
    assert [Path(one["folder"]).name for one in told] == ["job-1", "job-2", "job-10"]


def test_exit_code_tells_that_the_level_group_waits(slurm: FakeSlurm, sent: JobFolder) -> None:
    for task in (1, 2, 3):
        sent.end(task, 0)
    (slurm.folder / "scontrol.102").write_text(
        "JobId=102 JobName=a JobState=PENDING Reason=Dependency ExitCode=0:0\n"
    )
    assert jobs.main(["status", str(sent.path)]) == 75


def test_participant_is_judged_by_the_newest_job_that_has_a_task(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    values = json.loads((sent.path / "job.json").read_text())
    (sent.path / "job.json").write_text(json.dumps(values | {"refused": {"04": ["a: empty."]}}))
    for task, code in ((1, 0), (2, 0), (3, 65)):
        sent.end(task, code)
    sent.end("group", 1)
    newest = JobFolder(sent.path.with_name("job-2"))
    newest.write(["01", "02", "03", "04"])
    for task in (1, 2, 3, 4):
        newest.end(task, 0)
    newest.end("group", 0)
    capsys.readouterr()
    assert jobs.main(["status", str(sent.out_dir)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{sent.path} (bids_fx-faces): 2 done, 2 superseded; level group: FAILED",
        f"{newest.path} (bids_fx-faces): 4 done; level group: COMPLETED",
    ]
    jobs.main(["status", str(sent.out_dir), "--all"])
    assert "  sub-03  superseded  has a task in job-2" in capsys.readouterr().out.splitlines()
    newest.end(3, 65)
    assert jobs.main(["status", str(sent.out_dir)]) == 1


def test_participant_who_runs_in_an_earlier_job_is_not_superseded(
    slurm: FakeSlurm, sent: JobFolder
) -> None:
    slurm.control(101, ("1-3", "RUNNING", "None"))
    newest = JobFolder(sent.path.with_name("job-2"))
    newest.write()
    for task in (1, 2, 3):
        newest.end(task, 0)
    assert jobs.main(["status", str(sent.out_dir)]) == 75


def test_participant_whom_a_newer_job_refused_is_still_refused(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in (1, 2, 3):
        sent.end(task, 0)
    newest = JobFolder(sent.path.with_name("job-2"))
    newest.write(["01", "02"], refused={"03": ["a: empty."]})
    for task in (1, 2):
        newest.end(task, 0)
    capsys.readouterr()
    assert jobs.main(["status", str(sent.out_dir)]) == 1
    assert "sub-03  refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["Welcome to the cluster!", "a|b|c", "a|b|c|d|e", "||||", "101_1|FAILED|?|1500M|20"]
)
def test_other_lines_of_the_accounting_are_passed_over(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    slurm.account(line, "101_1|OUT_OF_MEMORY|0:125|1500M|20")
    assert look(sent, capsys)["01"]["slurm_state"] == "OUT_OF_MEMORY"


def test_other_lines_of_the_controller_are_passed_over(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.control(101, ("1", "RUNNING", "None"))
    path = slurm.folder / "scontrol.101"
    path.write_text("Welcome to the cluster, USER=me!\n" + path.read_text())
    assert look(sent, capsys)["01"]["state"] == "running"


def test_time_limit_that_is_no_number_is_that_of_the_submission(
    slurm: FakeSlurm, sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.account("101_1|TIMEOUT|0:0||Partition_Limit")
    assert look(sent, capsys)["01"]["had"] == {"mem_mb": 1500, "minutes": 20}


def test_exit_codes_are_those_of_the_program() -> None:
    # 137 is the kernel's, 127 the shell's, 255 that of the engine of containers
    assert set(jobs.CODES) - {127, 137, 255} == set(ExitCode) - {ExitCode.OK}
    kinds = {code.name: jobs.CODES[code][0] for code in ExitCode if code}
    assert {name for name, kind in kinds.items() if kind == "input"} == {
        *("USAGE", "INVALID_BIDS", "UNKNOWN_LEVEL", "NOTHING_SELECTED"),
        *("BAD_DATA", "MISSING_INPUT"),
    }
    assert (
        *(ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE),
        *(ExitCode.MISSING_INPUT, ExitCode.CANNOT_CREATE),
    ) == (jobs.DONE, jobs.FAILED, jobs.USAGE, jobs.NO_JOB, jobs.CANNOT_CREATE)


def test_readme_tells_every_state_and_exit_code() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    table = text.partition("| state | what it means | `resubmit` |")[2].partition("\n\n")[0]
    words = set(re.findall(r"\w+", table))
    assert {*jobs.STATES, *jobs.FATES, *map(str, jobs.CODES)} - words == {"137"}


def test_folder_without_a_job_is_an_input_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert jobs.main(["status", str(tmp_path)]) == 66
    assert str(tmp_path) in capsys.readouterr().err


def test_pipes_are_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = JobFolder(tmp_path / "other" / "jobs" / "job-1")
    job.write(["01", "02"], scheduler="pbs")
    state = job.tell("02", "running")
    state.unlink()
    with in_time():
        for path in (job.path / "ended" / "1.json", state):
            os.mkfifo(path)
        assert [one["state"] for one in look(job, capsys).values()] == ["pending", "pending"]
        (job.path / "job.json").unlink()
        os.mkfifo(job.path / "job.json")
        assert jobs.main(["status", str(job.path)]) == 66


@pytest.mark.parametrize("scheduler", ["pbs", "sge", "lsf"])
def test_other_schedulers_jobs_are_told_from_the_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scheduler: str
) -> None:
    job = JobFolder(tmp_path / "other" / "jobs" / "job-1")
    job.write(["01", "02", "03", "04"], scheduler=scheduler)
    job.end(1, 0)
    job.end(2, 65)
    job.tell("03", "running")
    told = look(job, capsys)
    assert [one["state"] for one in told.values()] == ["done", "failed", "running", "pending"]


def test_damaged_line_of_submissions_is_shown(
    sent: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with (sent.path / "submissions.jsonl").open("a") as stream:
        stream.write('{"id": "10\n')
    assert jobs.main(["status", str(sent.path)]) == 1
    assert '{"id": "10' in capsys.readouterr().err
