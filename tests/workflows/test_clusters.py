"""Jobs that are lost are failed nodes, and nothing that an earlier job left counts."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from nipype.pipeline import engine as pe
from nipype.pipeline.engine.utils import load_resultfile

from bids_fx.cli.interruption import Interruption
from bids_fx.usage import Meter
from bids_fx.workflows.base import NodeFailure, Resources, run_workflow
from bids_fx.workflows.clusters import ask, cluster_plugin, undisturbed
from bids_fx.workflows.plugins import PluginChoice
from tests import fake_schedulers as fake
from tests.cluster_nodes import Square

#: Seconds until a result that does not come is given up, and between two looks.
FAST = {"poll_sleep_duration": 0.05, "job_finished_timeout": 0.5, "retry_timeout": 0.01}

#: Seconds after which something that is waited for counts as never coming.
PATIENCE = 60


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Cluster:
    """A scheduler's stand-in, and workflows of nodes that square numbers on it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.programs = folder / "programs"
        self.work = folder / "work"
        self.path = fake.install(self.programs, kind)

    def run(
        self, numbers: Mapping[str, int], fates: Mapping[str, str] | None = None, **arguments: Any
    ) -> dict[str, NodeFailure]:
        """Square numbers, each in a node of its name, and return the failures by node."""
        fake.set_fates(self.programs, fates or {})
        workflow = pe.Workflow("wf", base_dir=str(self.work))
        workflow.add_nodes([pe.Node(Square(number=n), name) for name, n in numbers.items()])
        chosen = PluginChoice(name=self.kind, arguments=FAST | arguments)
        resources = Resources(n_procs=1, mem_gb=1.0, plugin=chosen)
        crash_dir = self.work / f"crashes-{time.monotonic_ns()}"
        failures = run_workflow(
            workflow, resources, crash_dir=crash_dir, progress=lambda *_: None, meter=Meter()
        )
        return {failure.file.name.split("-")[-6]: failure for failure in failures}

    def square(self, name: str) -> int:
        """Return what a node found."""
        result = load_resultfile(str(self.work / "wf" / name / f"result_{name}.pklz"))
        return int(result.outputs.square)

    def submitted(self) -> list[str]:
        """Return the words of the first submission."""
        return fake.jobs(self.programs)[1]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    def made(kind: str = "SLURM", folder: str = "cluster") -> Cluster:
        cluster = Cluster(tmp_path / folder, kind)
        monkeypatch.setenv("PATH", str(cluster.path), prepend=os.pathsep)
        return cluster

    return made


@pytest.fixture
def slurm(make: Callable[..., Cluster]) -> Cluster:
    return make()


@pytest.mark.parametrize("kind", ["SLURM", "PBS", "SGE", "LSF"])
def test_lost_job_fails_its_node_alone(make: Callable[..., Cluster], kind: str) -> None:
    cluster = make(kind)
    failures = cluster.run({"a": 3, "b": 4}, {"^b": "OUT_OF_MEMORY"})
    assert list(failures) == ["b"]
    assert "left no result" in failures["b"].message
    assert cluster.square("a") == 9


def test_result_of_an_earlier_job_does_not_count(slurm: Cluster) -> None:
    assert slurm.run({"a": 3}) == {}
    assert slurm.square("a") == 9
    failures = slurm.run({"a": 5}, {"a": "CANCELLED"})
    assert "ended as CANCELLED" in failures["a"].message
    assert not (slurm.work / "wf" / "a" / "result_a.pklz").exists()


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("OUT_OF_MEMORY", "0:125", "ask for more by --mem"),
        ("TIMEOUT", "0:0", "ask for more time by --time"),
        ("CANCELLED", "0:0", "the same command goes on"),
        ("NODE_FAIL", "0:0", "the same command goes on"),
    ],
)
@pytest.mark.parametrize("accounts", [True, False])
def test_crash_file_of_a_lost_job_has_its_state(
    slurm: Cluster, state: str, code: str, words: str, accounts: bool
) -> None:
    if not accounts:
        (slurm.programs / "no-accounts").touch()
    failure = slurm.run({"a": 3}, {"a": state})["a"]
    assert failure.message.startswith(f"its Slurm job 1 ended as {state} (exit code {code})")
    assert words in failure.message
    assert failure.message in failure.file.read_text()


def test_crash_file_of_a_lost_job_has_the_end_of_its_log(slurm: Cluster) -> None:
    text = slurm.run({"a": 3}, {"a": "OUT_OF_MEMORY"})["a"].file.read_text()
    assert "slurmstepd: error: OUT_OF_MEMORY" in text


def test_job_that_leaves_nothing_asks_for_the_work_dir(slurm: Cluster) -> None:
    failure = slurm.run({"a": 3}, {"a": "LOST"})["a"]
    assert "ended as COMPLETED" in failure.message
    assert "is the work dir where all compute nodes see it?" in failure.message


def test_result_may_come_after_the_end_of_the_job(slurm: Cluster) -> None:
    assert slurm.run({"a": 3}) == {}
    result = slurm.work / "wf" / "a" / "result_a.pklz"
    late = result.read_bytes()

    def write_late() -> None:
        wait_for(lambda: fake.state_of(slurm.programs, 2))
        n_looks = len(fake.calls(slurm.programs, "sacct"))
        wait_for(lambda: len(fake.calls(slurm.programs, "sacct")) > n_looks + 2)
        result.write_bytes(late)

    writer = threading.Thread(target=write_late)
    writer.start()
    failures = slurm.run({"a": 5}, {"a": "LOST"}, job_finished_timeout=PATIENCE)
    writer.join()
    assert failures == {}


def test_node_that_raises_tells_its_error(slurm: Cluster) -> None:
    failures = slurm.run({"a": -3})
    assert failures["a"].message == "ValueError: -3 is negative"


def test_node_that_cannot_be_read_tells_why(slurm: Cluster, tmp_path: Path) -> None:
    others = tmp_path / "others" / "tests"
    others.mkdir(parents=True)
    (others / "__init__.py").touch()
    template = f"#!/bin/bash\ncd /\nexport PYTHONPATH='{others.parent}':$PYTHONPATH"
    failures = slurm.run({"a": 3}, template=template)
    assert failures["a"].message.startswith("ModuleNotFoundError: No module named 'tests")


def test_result_that_cannot_be_read_fails_its_node(
    slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(path: str) -> None:
        Path(path).unlink()
        raise ValueError("a stale file handle")

    monkeypatch.setattr("bids_fx.workflows.clusters.load_resultfile", break_off)
    assert "a stale file handle" in slurm.run({"a": 3})["a"].message


def test_refused_submission_fails_its_node_with_the_words_of_the_scheduler(
    slurm: Cluster,
) -> None:
    failures = slurm.run({"a": 3, "b": 4}, {"^b": "REFUSED"})
    assert len(fake.calls(slurm.programs, "sbatch")) == 1 + 3
    assert list(failures) == ["b"]
    assert failures["b"].message == (
        "Slurm did not take its job: sbatch: error: Batch job submission failed: no such partition"
    )
    assert slurm.square("a") == 9


def test_jobs_are_named_where_the_user_has_no_name(
    slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOGNAME", raising=False)
    assert slurm.run({"a": 3}) == {}


@pytest.mark.parametrize(
    ("given", "has_output", "has_error"),
    [
        ("--oversubscribe --export=ALL", True, True),
        ("--open-mode=append -p e-o", True, True),
        ("--output=mine.log", False, True),
        ("-o mine.log -emine.err", False, False),
    ],
)
def test_logs_are_set_unless_the_user_sets_them(
    slurm: Cluster, given: str, has_output: bool, has_error: bool
) -> None:
    slurm.run({"a": 3}, {"a": "CANCELLED"}, sbatch_args=given)
    ours = [word for word in slurm.submitted() if word.startswith(str(slurm.work))]
    assert [path[-4:] for path in ours if path.endswith(".out")] == [".out"] * has_output
    assert [path[-4:] for path in ours if path.endswith(".err")] == [".err"] * has_error


def test_job_asks_for_what_its_node_needs(slurm: Cluster) -> None:
    slurm.run({"a": 3}, {"a": "CANCELLED"})
    # nipype gives nodes 0.2 GB
    assert {"--mem=450M", "--cpus-per-task=1"} <= set(slurm.submitted())


@pytest.mark.parametrize(
    "arguments",
    [
        {"sbatch_args": "--mem-per-cpu 2G -c 2"},
        {"sbatch_args": "--mem=2G --cpus-per-task=2"},
        {"template": "#!/bin/bash\n#SBATCH --mem=2G # enough\n#SBATCH -c 2"},
    ],
)
def test_what_the_user_asks_for_stays_in_force(slurm: Cluster, arguments: dict[str, str]) -> None:
    slurm.run({"a": 3}, {"a": "CANCELLED"}, **arguments)
    assert not {"--mem=450M", "--cpus-per-task=1"} & set(slurm.submitted())


def test_script_and_its_logs_may_have_any_path(make: Callable[..., Cluster]) -> None:
    cluster = make(folder="a folder [1] of $HOME")
    assert cluster.run({"a": 3}) == {}
    assert cluster.square("a") == 9


def test_log_has_no_pattern_of_slurm_in_its_path() -> None:
    plugin = cluster_plugin("SLURM", {})
    assert plugin._log_name(Path("/50%/a.out")) == "/50%%/a.out"


def test_slurm_is_asked_for_all_jobs_at_once(slurm: Cluster) -> None:
    numbers = dict.fromkeys("abcd", 3)
    slurm.run(numbers, dict.fromkeys(numbers, "CANCELLED"))
    assert [words[-1] for words in fake.calls(slurm.programs, "squeue")] == ["1,2,3,4"]


def test_slurm_that_does_not_answer_is_waited_for(slurm: Cluster) -> None:
    silent = slurm.programs / "silent"
    silent.touch()

    def speak() -> None:
        wait_for(lambda: len(fake.calls(slurm.programs, "squeue")) >= 3)
        silent.unlink()

    waker = threading.Thread(target=speak)
    waker.start()
    assert slurm.run({"a": 3}) == {}
    waker.join()
    assert slurm.square("a") == 9


def test_answer_of_sbatch_may_be_the_number_alone(
    slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch = slurm.path / "sbatch"
    sbatch.write_text(f"{sbatch.read_text().rstrip()} | sed 's/.* //'\n")
    assert slurm.run({"a": 3}) == {}


def test_files_of_jobs_that_have_a_result_are_removed(slurm: Cluster) -> None:
    slurm.run({"a": 3, "b": 4}, {"^b": "OUT_OF_MEMORY"})
    left = sorted(path.name.split("_")[0] for path in (slurm.work / "wf" / "batch").iterdir())
    assert left == ["batchscript", "batchscript", "node"]  # of b; its script and log


def test_stopping_cancels_what_has_not_ended_and_says_how_before(
    slurm: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[list[str]] = []

    def heard(*command: str) -> object:
        if command[0] == "scancel":
            told.append(caplog.messages[-1:])
        return ask(*command)

    monkeypatch.setattr("bids_fx.workflows.clusters.ask", heard)
    monkeypatch.setattr(logging.getLogger("bids_fx"), "propagate", True)
    caplog.set_level(logging.INFO, "bids_fx")

    def end(*_: object) -> None:
        raise SystemExit(143)

    fake.set_fates(slurm.programs, {"": "PENDING"})
    workflow = pe.Workflow("wf", base_dir=str(slurm.work))
    workflow.add_nodes([pe.Node(Square(number=1), name) for name in ("a", "b")])
    resources = Resources(n_procs=1, mem_gb=1.0, plugin=PluginChoice(name="SLURM", arguments=FAST))

    def interrupt() -> None:
        wait_for(lambda: fake.calls(slurm.programs, "squeue"))
        os.kill(os.getpid(), signal.SIGUSR1)

    timer = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGUSR1, end)
    timer.start()
    try:
        with pytest.raises(SystemExit):
            run_workflow(
                workflow,
                resources,
                crash_dir=slurm.work / "c",
                progress=lambda *_: None,
                meter=Meter(),
            )
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [sorted(words) for words in fake.calls(slurm.programs, "scancel")] == [["1", "2"]]
    assert told == [["Cancelling the jobs that have not ended, by: scancel 1 2"]]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_signal_waits_for_the_end_of_a_submission(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bids_fx.cli.interruption.FOR_THE_END_S", 0.05)
    came: list[str] = []
    # Another thread, which may take the signal, must not end the program meanwhile.
    monkeypatch.setattr("os._exit", lambda _: came.append("the end at once"))
    interruption = Interruption()

    def submit() -> None:
        with undisturbed():
            os.kill(os.getpid(), number)
            time.sleep(0.3)
            came.append("the submission")

    interruption.install()
    try:
        with pytest.raises(SystemExit) as ended:
            submit()
        assert ended.value.code == 128 + number
        wait_for(lambda: len(came) == 2)
    finally:
        interruption.uninstall()
    assert came == ["the submission", "the end at once"]
