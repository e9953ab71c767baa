"""The scripts of a job, run with a program in the place of ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.cluster.binds import Bind
from bids_fx.cluster.folder import Container, Job, job_name, make_folder, submission, write_job
from bids_fx.cluster.needs import Request
from bids_fx.cluster.templates import SCHEDULERS, write_templates
from bids_fx.errors import BIDSFXError
from bids_fx.report_settings import QualityLimit, ReportSettings
from bids_fx.settings import AnalysisSettings, DataSelection, ExecutionSettings, Invocation

#: What a folder may be called.
HOSTILE = [
    "plain",
    "with space",
    "quote's",
    'double"quote',
    "$HOME `id` $(id)",
    "-dash",
    "a}b;c&d",
]
#: Writes its arguments and work dir down, and ends as it is told.
PROGRAM = """#!/bin/sh
for argument in "$@"; do printf '%s\\n' "$argument"; done >"$RECORD"
case " $* " in *" --work-dir "*) ls -d "$TMPDIR"/bids_fx-* >"$RECORD.work" ;; esac
[ -n "${HANG-}" ] || exit "${CODE-0}"
trap 'sleep 0.3; exit 5' TERM
touch "$RECORD.up"
while :; do sleep 0.05; done
"""
JOB = Job(
    scheduler="slurm",
    participants=("01", "02", "10"),
    request=Request(cpus=2, mem_mb=1500, minutes=75),
    refused={},
)
REPORT = ReportSettings()
#: Seconds after which a script counts as hanging.
PATIENCE = 30
#: How LSF is told what its tasks ask for.
LSF_NEED = "-M 1500MB -R 'span[hosts=1] rusage[mem=1500MB]' -W 75"


class Site:
    """A folder for jobs, and the program that their tasks run."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.record = root / "record"
        self.out = root / "out"
        self.tmp = root / "tmp"
        self.tmp.mkdir(parents=True)
        self.program = root / "our program"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(self.program))

    def write(self, job: Job = JOB, report: ReportSettings = REPORT) -> Path:
        """Write a job; return its folder."""
        invocation = Invocation(
            level="participant",
            data=DataSelection(bids_dir=self.root / "in"),
            analysis=AnalysisSettings(),
            execution=ExecutionSettings(out_dir=self.out),
            report=report,
        )
        folder = make_folder(invocation.execution.out_dir)
        write_job(folder, job, invocation)
        return folder

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        kept = {"PATH": os.environ["PATH"], "RECORD": str(self.record), "TMPDIR": str(self.tmp)}
        return {**kept, **values}

    def run(self, script: Path, *arguments: str, **values: str) -> int:
        """Run a script with some variables and no others; return its exit code."""
        self.record.unlink(missing_ok=True)
        command = ["sh", str(script), *arguments]
        environment = self.environment(values)
        done = subprocess.run(command, env=environment, check=False, timeout=PATIENCE)
        return done.returncode

    def arguments(self) -> list[str]:
        return self.record.read_text().splitlines()

    def participant(self) -> str:
        words = self.arguments()
        return words[words.index("--participant-label") + 1]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path / "site", monkeypatch)


def test_job_has_every_file_of_its_folder(site: Site) -> None:
    folder = site.write()
    assert {path.name for path in folder.iterdir()} == {
        *("job.json", "participants.txt", "task.sh", "array.sh", "group.sh", "cluster_jobs.py"),
        *("logs", "ended"),
    }


def test_record_of_a_job_says_what_is_submitted(site: Site) -> None:
    refused = {"03": ("a: b; c.",)}
    job = replace(JOB, throttle=50, options=("--partition=long",), refused=refused)
    folder = site.write(job)
    assert json.loads((folder / "job.json").read_text()) | {"version": "1"} == {
        "format": 1,
        "scheduler": "slurm",
        "name": "bids_fx-out",
        "folder": str(folder),
        "version": "1",
        "container": None,
        "cpus": 2,
        "throttle": 50,
        "options": ["--partition=long"],
        "tasks": [{"participant": "01"}, {"participant": "02"}, {"participant": "10"}],
        "refused": {"03": ["a: b; c."]},
        "mem_mb": 1500,
        "minutes": 75,
        "max_mem_mb": None,
        "max_minutes": None,
    }


def test_each_job_has_a_folder_of_its_own(site: Site) -> None:
    assert [site.write().name for _ in range(3)] == ["job-1", "job-2", "job-3"]


def test_number_of_a_job_is_above_all_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "job-7").mkdir(parents=True)
    assert make_folder(tmp_path).name == "job-8"


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_folder_may_be_called_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, scheduler: str
) -> None:
    site = Site(tmp_path / name, monkeypatch)
    folder = site.write(replace(JOB, scheduler=scheduler))
    variables = {"SLURM_ARRAY_TASK_ID": "2", "PBS_ARRAY_INDEX": "2", "SGE_TASK_ID": "2"}
    for script in folder.glob("*.sh"):
        subprocess.run(["sh", "-n", str(script)], check=True)
    assert site.run(folder / "array.sh", **variables, LSB_JOBINDEX="2") == 0
    words = site.arguments()
    assert words[:7] == [
        *("-P", "-m", "bids_fx", str(site.root / "in"), str(site.root / "out")),
        *("participant", "--config-file"),
    ]
    assert words[7:10] == [str(folder / "config.toml"), "--participant-label", "02"]


def test_task_has_the_processors_and_the_memory_of_the_job(site: Site) -> None:
    assert site.run(site.write() / "task.sh", "1") == 0
    words = site.arguments()
    assert words[words.index("--nprocs") + 1] == "2"
    # the margin is for what is not the program
    assert words[words.index("--mem-mb") + 1] == "1300"


def test_task_has_the_processors_and_the_memory_that_it_was_given(site: Site) -> None:
    given = {"BIDS_FX_CPUS": "7", "BIDS_FX_MEM_MB": "3000"}
    assert site.run(site.write() / "task.sh", "1", **given) == 0
    words = site.arguments()
    assert words[words.index("--nprocs") + 1] == "7"
    assert words[words.index("--mem-mb") + 1] == "2800"


def test_task_of_slurm_uses_what_slurm_gave_it(site: Site) -> None:
    given = {"SLURM_CPUS_PER_TASK": "7", "SLURM_MEM_PER_NODE": "3000"}
    assert site.run(site.write() / "array.sh", SLURM_ARRAY_TASK_ID="3", **given) == 0
    assert {"7", "2800", "10"} <= set(site.arguments())


@pytest.mark.parametrize(
    ("scheduler", "variables"),
    [
        ("slurm", {"SLURM_ARRAY_TASK_ID": "3"}),
        ("pbs", {"PBS_ARRAY_INDEX": "3"}),
        ("pbs", {"PBS_ARRAYID": "3"}),
        ("pbs", {"BIDS_FX_TASK": "3"}),
        ("sge", {"SGE_TASK_ID": "3"}),
        ("lsf", {"LSB_JOBINDEX": "3"}),
    ],
)
def test_each_scheduler_numbers_the_tasks(
    site: Site, scheduler: str, variables: dict[str, str]
) -> None:
    folder = site.write(replace(JOB, scheduler=scheduler))
    assert site.run(folder / "array.sh", **variables) == 0
    assert site.participant() == "10"


def test_task_of_a_further_array_of_slurm_is_counted_on(site: Site) -> None:
    # the arguments that sbatch is given after the script
    assert site.run(site.write() / "array.sh", "2", SLURM_ARRAY_TASK_ID="1") == 0
    assert site.participant() == "10"


def test_script_of_slurm_outside_an_array_asks_for_the_task(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    assert site.run(site.write() / "array.sh") == 2
    assert "Say a number from 1 to 3" in capfd.readouterr().err


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_group_script_does_the_level_group(site: Site, scheduler: str) -> None:
    limit = QualityLimit(measure="fd_mean", sign=">", value=0.5)
    folder = site.write(
        replace(JOB, scheduler=scheduler), replace(REPORT, quality_limits=(limit,))
    )
    assert site.run(folder / "group.sh") == 0
    words = site.arguments()
    assert words[5:7] == ["group", "--work-dir"]
    assert words[8:] == ["--qc-fail", "fd_mean>0.5"]
    assert json.loads((folder / "ended" / "group.json").read_text())["code"] == 0


@pytest.mark.parametrize("scheduler", ["pbs", "sge", "lsf"])
def test_what_a_task_prints_is_kept_by_job_and_task(site: Site, scheduler: str) -> None:
    folder = site.write(replace(JOB, scheduler=scheduler))
    ids = {"PBS_JOBID": "77", "JOB_ID": "77", "LSB_JOBID": "77"}
    numbers = {"PBS_ARRAY_INDEX": "9", "SGE_TASK_ID": "9", "LSB_JOBINDEX": "9"}
    assert site.run(folder / "array.sh", **ids, **numbers) == 2
    assert "there is no task 9" in (folder / "logs" / "77_9.log").read_text()


@pytest.mark.parametrize("code", [0, 1, 65, 137])
def test_exit_code_of_the_program_passes_through_and_is_kept(site: Site, code: int) -> None:
    folder = site.write()
    assert site.run(folder / "task.sh", "2", CODE=str(code)) == code
    kept = json.loads((folder / "ended" / "2.json").read_text())
    assert kept["code"] == code
    assert type(kept["seconds"]) is int
    assert 0 <= kept["seconds"] <= PATIENCE


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "1", "SLURM_JOB_ID": "13"}, "12_1"),
        ({"SLURM_JOB_ID": "13"}, "13"),
        ({"PBS_JOBID": "12[1].server"}, "12[1].server"),
        ({"JOB_ID": "12", "SGE_TASK_ID": "1"}, "12.1"),
        ({"LSB_JOBID": "12", "LSB_JOBINDEX": "1"}, "12[1]"),
    ],
)
def test_schedulers_number_of_a_task_is_kept(
    site: Site, variables: dict[str, str], name: str
) -> None:
    folder = site.write()
    site.run(folder / "task.sh", "1", **variables)
    assert json.loads((folder / "ended" / "1.json").read_text())["job"] == name


@pytest.mark.parametrize("task", ["1", "group"])
def test_task_of_a_folder_that_was_moved_leaves_nothing_at_the_old_place(
    site: Site, task: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = site.write()
    (site.root / "out").rename(site.root / "moved")
    moved = site.root / "moved" / "jobs" / folder.name
    assert site.run(moved / "task.sh", task) == 66
    assert "folder was moved: make another job" in capfd.readouterr().err
    assert not (site.root / "out").exists()
    assert not site.record.exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("0", "0 MB are too little: 200 MB are for what is not the program"),
        ("299", "299 MB are too little: 200 MB are for what is not the program, which is to have"),
        ("3G", "BIDS_FX_MEM_MB is '3G': say a whole number of MB."),
    ],
)
def test_memory_that_leaves_none_for_the_program_is_refused(
    site: Site, given: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert site.run(site.write() / "task.sh", "1", BIDS_FX_MEM_MB=given) == 2
    assert f"task.sh: {told}" in capfd.readouterr().err
    assert not site.record.exists()


def test_least_memory_for_the_program_will_do(site: Site) -> None:
    assert site.run(site.write() / "task.sh", "1", BIDS_FX_MEM_MB="300") == 0
    words = site.arguments()
    assert words[words.index("--mem-mb") + 1] == "100"


@pytest.mark.parametrize("task", ["", "0", "4", "x", "1;id", "01x", "01"])
def test_task_that_there_is_not_is_refused(site: Site, task: str) -> None:
    assert site.run(site.write() / "task.sh", task) == 2
    assert not site.record.exists()


def test_work_dir_is_made_on_the_nodes_own_disk_and_removed(site: Site) -> None:
    assert site.run(site.write() / "task.sh", "1") == 0
    work = site.arguments()[site.arguments().index("--work-dir") + 1]
    assert Path(work).parent == site.tmp
    assert (site.root / "record.work").read_text().strip() == work
    assert list(site.tmp.iterdir()) == []


def test_scratch_of_the_job_is_filled_in_on_the_node(site: Site) -> None:
    job = replace(JOB, scratch=f"{site.root}/my $WHO/$(id)")
    assert site.run(site.write(job) / "task.sh", "1", WHO="a b") == 0
    work = Path(site.arguments()[-1])
    assert work.parent == site.root / "my a b" / "$(id)"
    assert not work.exists()


def test_scratch_with_a_variable_that_is_not_set_cannot_be_made(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    assert site.run(site.write(replace(JOB, scratch="$NOBODY/x")) / "task.sh", "1") == 73
    assert not site.record.exists()
    told = "task.sh: --scratch: NOBODY is not set on this machine.\n"
    assert capfd.readouterr().err == told


def test_scratch_of_the_caller_beats_that_of_the_job(site: Site) -> None:
    job = replace(JOB, scratch="$NOBODY/x")
    given = str(site.root / "given")
    assert site.run(site.write(job) / "task.sh", "1", BIDS_FX_SCRATCH=given) == 0
    assert site.arguments()[-1].startswith(f"{given}/bids_fx-")


def test_sigterm_reaches_the_program_and_scratch_is_removed(site: Site) -> None:
    folder = site.write()
    task = subprocess.Popen(
        ["sh", str(folder / "task.sh"), "1"], env=site.environment({"HANG": "yes"})
    )
    deadline = time.monotonic() + PATIENCE
    while not (site.root / "record.up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(list(site.tmp.iterdir())) == 1
    task.send_signal(signal.SIGTERM)
    # the program's own code: the script waits until it has ended
    assert task.wait(timeout=PATIENCE) == 5
    assert list(site.tmp.iterdir()) == []
    assert json.loads((folder / "ended" / "1.json").read_text())["code"] == 5


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_signal_while_the_work_dir_is_made_leaves_none(site: Site, name: str) -> None:
    folder = site.write()
    bin_dir = site.root / "bin"
    bin_dir.mkdir()
    script = f'{shutil.which("mktemp")} "$@" && kill -{name} "$SCRIPT"'
    (bin_dir / "mktemp").write_text(f"#!/bin/sh\n{script}\n")
    (bin_dir / "mktemp").chmod(0o755)
    command = ["sh", "-c", 'SCRIPT=$$ exec sh "$@"', "sh", str(folder / "task.sh"), "1"]
    given = {"PATH": f"{bin_dir}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=site.environment(given), check=False)
    assert done.returncode == 143
    assert list(site.tmp.iterdir()) == []
    assert not site.record.exists()


def test_record_of_an_earlier_end_is_gone_while_a_task_runs(site: Site) -> None:
    folder = site.write()
    site.program.write_text(f'#!/bin/sh\nls "{folder}/ended" >"$RECORD"\n')
    (folder / "ended" / "1.json").write_text("{}")
    assert site.run(folder / "task.sh", "1") == 0
    assert site.arguments() == []


def only_tools(site: Site) -> Path:
    """Return a folder for PATH that holds what every system has, and no engine."""
    folder = site.root / "bin"
    folder.mkdir()
    for name in ("sh", "sed", "mktemp", "rm", "mkdir", "date", "mv", "ls"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def test_task_of_a_container_binds_what_it_needs(site: Site) -> None:
    binds = (
        Bind(inside=Path("/in put"), outside=Path("/in put")),
        Bind(inside=Path("/out"), outside=Path("/out"), is_written=True),
    )
    container = Container(
        image="/images/it's.sif", binds=binds, environment={"TEMPLATEFLOW_HOME": "/t f"}
    )
    folder = site.write(replace(JOB, container=container))
    path = only_tools(site)
    told = '[ "$APPTAINERENV_TEMPLATEFLOW_HOME" = "/t f" ] || exit 9\nexit'
    (path / "singularity").write_text(PROGRAM.replace("exit", told))
    (path / "singularity").chmod(0o755)
    assert site.run(folder / "task.sh", "1", PATH=str(path)) == 0
    words = site.arguments()
    assert words[0] == "run"
    assert {"--cleanenv", "--containall"} <= set(words)
    assert [words[i + 1] for i, word in enumerate(words) if word == "--bind"] == [
        *("/in put:/in put:ro", "/out:/out"),
        f"{words[-1]}:{words[-1]}",  # the work dir
    ]
    assert words[words.index("/images/it's.sif") + 1] == str(site.root / "in")


def test_task_of_a_container_says_that_there_is_no_engine(site: Site) -> None:
    container = Container(image="/x.sif", binds=(), environment={})
    folder = site.write(replace(JOB, container=container))
    assert site.run(folder / "task.sh", "1", PATH=str(only_tools(site))) == 127


def test_option_of_the_scheduler_is_a_directive_of_its_own(site: Site) -> None:
    folder = site.write(replace(JOB, scheduler="pbs", options=("-q long", "-A me")))
    lines = (folder / "array.sh").read_text().splitlines()
    assert [line for line in lines if "long" in line or "me" in line.split()] == [
        *("#PBS -q long", "#PBS -A me")
    ]


@pytest.mark.parametrize("scheduler", ["pbs", "sge", "lsf"])
@pytest.mark.parametrize("script", ["array.sh", "group.sh"])
def test_options_come_before_what_the_job_sets_itself(
    site: Site, scheduler: str, script: str
) -> None:
    folder = site.write(replace(JOB, scheduler=scheduler, options=("-x",)))
    lines = (folder / script).read_text().splitlines()
    sign = {"pbs": "#PBS", "sge": "#$", "lsf": "#BSUB"}[scheduler]
    assert next(line for line in lines if line.startswith(f"{sign} ")) == f"{sign} -x"


def test_no_placeholder_is_left_in_any_script(site: Site) -> None:
    for scheduler in SCHEDULERS:
        for script in site.write(replace(JOB, scheduler=scheduler)).glob("*.sh"):
            assert not re.search(r"@[A-Z_]+@", script.read_text())


def test_slurm_finds_the_log_of_a_folder_with_a_per_cent_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "5% of all"
    site = Site(out, monkeypatch)
    line = f'#SBATCH --output="{tmp_path}/5%% of all/out/jobs/job-1/logs/%A_%a.log"'
    assert line in (site.write() / "array.sh").read_text().splitlines()


def test_sites_template_is_taken_in_place_of_ours(site: Site) -> None:
    folder = site.root / "templates"
    folder.mkdir()
    (folder / "slurm-array.sh").write_text("#!/bin/sh\nmodule load x\nexec sh @JOB@/task.sh 1\n")
    job = site.write(replace(JOB, templates=folder))
    assert (job / "array.sh").read_text().splitlines()[1] == "module load x"
    assert "SBATCH" in (job / "group.sh").read_text()


def test_template_with_an_unknown_placeholder_is_refused(site: Site, tmp_path: Path) -> None:
    template = tmp_path / "mine.sh"
    template.write_text("#SBATCH --mem=@MEMMB@\n")
    with pytest.raises(BIDSFXError, match=r"no placeholder @MEMMB@ \(did you mean.*MEM_MB"):
        site.write(replace(JOB, template=template))


def test_templates_are_written_out_once(tmp_path: Path) -> None:
    written = write_templates(tmp_path / "mine")
    assert {path.name for path in written} == {
        "README",
        *(f"{one}-{kind}.sh" for one in SCHEDULERS for kind in ("array", "group")),
    }
    with pytest.raises(BIDSFXError, match="holds README"):
        write_templates(tmp_path / "mine")


def test_every_placeholder_is_told_in_the_templates_readme(tmp_path: Path) -> None:
    readme, *templates = write_templates(tmp_path)
    told = set(re.findall(r"@[A-Z_]+@", readme.read_text()))
    used = {name for path in templates for name in re.findall(r"@[A-Z_]+@", path.read_text())}
    assert told == used


@pytest.mark.parametrize(
    ("job", "submitting", "then"),
    [
        (
            replace(JOB, scheduler="sge", throttle=5),
            "job=$(qsub -terse -t 1-3 -tc 5 -v MEMORY -l mem_free=750M,h_rt=1:15:00 ARRAY)",
            'qsub -hold_jid "${job%%.*}" GROUP',
        ),
        (
            replace(JOB, scheduler="lsf", throttle=5),
            f"MEMORY bsub -J 'NAME[1-3]%5' {LSF_NEED} <ARRAY",
            "bsub -J NAME-group -w 'ended(NAME)' <GROUP",
        ),
        (
            replace(JOB, scheduler="pbs", participants=("01",)),
            "job=$(qsub -v BIDS_FX_TASK=1,MEMORY -l mem=1500mb,walltime=1:15:00 ARRAY)",
            'qsub -W depend=afterany:"$job" GROUP',
        ),
        (
            replace(JOB, scheduler="pbs", throttle=5),
            "job=$(qsub -J 1-3%5 -v MEMORY -l mem=1500mb,walltime=1:15:00 ARRAY)",
            'qsub -W depend=afterany:"$job" GROUP',
        ),
    ],
)
def test_command_that_submits_a_job(job: Job, submitting: str, then: str) -> None:
    assert short(submission(Path("/o/jobs/job-1"), job)[0]) == f"{submitting} && {then}"


def test_torque_has_a_command_of_its_own() -> None:
    job = replace(JOB, scheduler="pbs", participants=("01",))
    _, said, command = submission(Path("/o/jobs/job-1"), job)
    assert said == "or, of Torque,"
    assert short(command) == (
        "job=$(qsub -t 1 -v MEMORY -l mem=1500mb,walltime=1:15:00 ARRAY) "
        '&& qsub -W depend=afteranyarray:"$job" GROUP'
    )


def test_job_of_slurm_is_submitted_by_the_file_in_its_folder() -> None:
    command = submission(Path("/o/jobs/job-1"), JOB)
    assert command == ["python3 /o/jobs/job-1/cluster_jobs.py submit"]


def short(command: str) -> str:
    """Return a command with words in the place of what is long."""
    words = {"/o/jobs/job-1/array.sh": "ARRAY", "/o/jobs/job-1/group.sh": "GROUP"}
    words |= {"bids_fx-o-job-1": "NAME", "BIDS_FX_MEM_MB=1500": "MEMORY"}
    for name, word in words.items():
        command = command.replace(name, word)
    return command


def test_name_of_a_job_is_plain() -> None:
    assert job_name(Path("/a/mÿ %A;out"), "slurm") == "bids_fx-m---A-out"


def test_name_of_a_job_is_as_short_as_pbs_takes_it(site: Site) -> None:
    site.out = site.root / "a-long-name-of-a-study"
    folder = site.write(replace(JOB, scheduler="pbs"))
    name = "bids_fx-a-long-"
    for script in ("array.sh", "group.sh"):
        assert f"#PBS -N {name}" in (folder / script).read_text().splitlines()
    assert json.loads((folder / "job.json").read_text())["name"] == name


def test_no_other_user_may_change_the_scripts_of_a_job(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = make_folder(tmp_path)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o755
