"""A damaged output folder: what a call reads of it is right, or is as if it were not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st

from bids_fx.calls import Call
from bids_fx.cli.parser import parse
from bids_fx.cli.rebuild import chosen
from bids_fx.cli.run import main
from bids_fx.cluster import jobs
from bids_fx.derivatives import paths
from bids_fx.derivatives.calls import joined, read_calls, restored, write_calls
from bids_fx.derivatives.clusters import drawn_maps, drawn_threshold
from bids_fx.derivatives.dataset import write_dataset_files
from bids_fx.derivatives.hashes import HashCache
from bids_fx.derivatives.quality import quality_failures, quality_notices, worst_quality
from bids_fx.derivatives.states import planned, told_of, under_way
from bids_fx.derivatives.status import (
    contradicted,
    drawable,
    is_outdated,
    recorded_hashes,
    unfinished,
)
from bids_fx.errors import BIDSFXError
from bids_fx.plain import PlainError, from_plain, to_plain
from bids_fx.settings import DataSelection
from tests.fuzzing import (
    changed_bytes,
    changed_json,
    changed_table,
    check_problems,
    fuzz,
    json_text,
    keys_of,
    only_our_errors,
)
from tests.small_outputs import SOFTWARE, fail, finish, plan_of

#: Lines of standard error that an error leaves which nothing caught.
_TRACEBACK = re.compile(r"Traceback|^\w*Error: ", re.MULTILINE)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output folder of two participants, one failed, with stand-ins for images."""
    out_dir = tmp_path_factory.mktemp("small") / "out"
    finish(out_dir, "01")
    fail(out_dir, "02", "out of memory")
    (out_dir / "dataset_description.json").write_text(
        json.dumps({"Name": "x", "DatasetLinks": {"raw": "file:///data", "fmriprep": "file:///p"}})
    )
    return out_dir


#: What is written anew by each call, and what is moved out of the way.
_NOT_READ = {"qc.json", "qc.tsv", "summary.json"}


def _texts(out_dir: Path) -> list[Path]:
    """Return the files of ours that are read again as text, sorted."""
    found = {*out_dir.rglob("*.json"), *out_dir.rglob("*.tsv")} - {out_dir / x for x in _NOT_READ}
    shown = (path for path in found if path.read_bytes() != b"stand-in")
    return sorted(path.relative_to(out_dir) for path in shown)


@st.composite
def changes(draw: st.DrawFn, out_dir: Path) -> tuple[Path, bytes | None]:
    """Return a file and what stands in it instead; None where it is gone."""
    path = draw(st.sampled_from(_texts(out_dir)))
    content = (out_dir / path).read_bytes()
    kind = draw(st.sampled_from(("json", "json", "json", "bytes", "gone")))
    if kind == "gone":
        return path, None
    if kind == "bytes":
        return path, draw(changed_bytes(content))
    if path.suffix == ".tsv":
        return path, draw(changed_table(content.decode())).encode(errors="surrogatepass")
    valid = json.loads(content)
    return path, json_text(draw(changed_json(valid, keys_of(valid)))).encode()


@contextmanager
def damaged(out_dir: Path, change: tuple[Path, bytes | None]) -> Iterator[None]:
    """Have another content in a file of a folder for a while."""
    path, content = out_dir / change[0], change[1]
    before = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def _group(out_dir: Path, capsys: pytest.CaptureFixture[str], *options: str) -> None:
    """Run the level group, which fails where a participant did."""
    code = main([str(out_dir.parent / "raw"), str(out_dir), "group", *options])
    told = capsys.readouterr()
    assert code in (0, 1), told.err
    assert _TRACEBACK.search(told.err) is None, told.err
    summary = json.loads((out_dir / "summary.json").read_text())
    assert {"sub-01", "sub-02"} <= summary["participants"].keys() | {"sub-02"}
    assert "</html>" in (out_dir / "index.html").read_text()


@fuzz(40, soak=6_000, is_slow=True, data=st.data())
def test_the_level_group_tells_of_a_damaged_folder(small, capsys, data):
    with damaged(small, data.draw(changes(small))):
        _group(small, capsys)


@fuzz(100, soak=5_000, data=st.data())
def test_calls_that_were_changed_since_they_were_written_are_refused(small, data):
    calls = paths.calls("01")
    valid = json.loads((small / calls).read_text())
    raw = data.draw(changed_json(valid, keys_of(valid)))
    with damaged(small, (Path(calls), json_text(raw).encode())):
        try:
            found = read_calls(small, "01")
        except BIDSFXError as error:
            check_problems(error.problems)
            return
    assert found == read_calls(small, "01")


@fuzz(150, soak=10_000, data=st.data())
def test_calls_of_another_version_are_read_or_refused(small, data):
    valid = json.loads((small / paths.calls("01")).read_text())["Calls"][0]
    raw = data.draw(changed_json(valid, keys_of(valid)))
    try:
        call = from_plain(Call, raw)
    except PlainError:
        return
    assert from_plain(Call, to_plain(call)) == call


def _use(call: Call, out_dir: Path) -> None:
    """Do with a kept call what a rebuild of its report and a later call do."""
    plan = restored(call.plan, out_dir)
    drawable(plan, out_dir)
    quality_failures(plan, out_dir)
    quality_notices(plan, out_dir)
    worst_quality([plan], out_dir)
    for group in plan.groups:
        for item in group.contrasts:
            drawn_threshold(group, item.contrast.label, out_dir)
            drawn_maps(group, item.contrast.label, out_dir)


@fuzz(100, soak=6_000, data=st.data())
def test_what_is_finished_is_told_from_any_damaged_folder(small, data):
    plan = plan_of("01")
    with damaged(small, data.draw(changes(small))), only_our_errors():
        for call in read_calls(small, "01"):
            _use(call, small)
        hashes = HashCache.of_participant(small, "01")
        unfinished(plan, small, hashes, force=False)
        contradicted(plan, small)
        for group in plan.groups:
            is_outdated(plan, group, small, hashes)
        for run in plan.runs:
            recorded_hashes(paths.mask(run.entities), small)
        told_of(small, "01")
        chosen(parse([str(small.parent / "raw"), str(small), "participant", "--reports-only"]))


@fuzz(40, soak=2_000, data=st.data())
def test_a_call_goes_on_in_a_damaged_folder(small, data):
    plan = plan_of("01")
    call = Call(plan=plan, state="done", software=SOFTWARE)
    change = data.draw(changes(small))
    kept = [small / "dataset_description.json", small / paths.calls("01")]
    kept += [small / ".bids_fx_work" / "states" / f"sub-{label}.json" for label in ("01", "02")]
    before = [path.read_bytes() for path in kept]
    with damaged(small, change):
        with under_way(small / "logs" / "x") as lock, planned(small, lock, ["01", "02"]):
            assert told_of(small, "01").is_live
        write_dataset_files(small, DataSelection(bids_dir=small.parent / "raw"))
        assert (
            "raw" in json.loads((small / "dataset_description.json").read_text())["DatasetLinks"]
        )
        write_calls(small, joined(call, small))
        assert read_calls(small, "01")[-1].state == "done"
    for path, content in zip(kept, before, strict=True):
        path.write_bytes(content)
    (small / paths.calls("01")).with_suffix(".damaged").unlink(missing_ok=True)


_SPEC = {
    "format": 1,
    "name": "bids_fx",
    "scheduler": "sge",
    "mem_mb": 4000,
    "minutes": 60,
    "max_mem_mb": 16000,
    "max_minutes": 600,
    "cpus": 2,
    "throttle": 0,
    "options": ["--partition=long"],
    "tasks": [{"participant": "01"}, {"participant": "02"}],
    "refused": {"03": ["no events"]},
    "folder": "",
}
_SUBMISSION = {
    "id": "17",
    "tasks": [1, 2],
    "offset": 0,
    "mem_mb": 4000,
    "minutes": 60,
    "time": "2026-01-02T03:04:05Z",
}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a job of two tasks, one of which has ended."""
    out_dir = tmp_path_factory.mktemp("jobs") / "out"
    folder = out_dir / "jobs" / "job-1"
    states = out_dir / ".bids_fx_work" / "states"
    for made in (folder / "ended", folder / "logs", states):
        made.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({**_SPEC, "folder": str(folder)}))
    (folder / "submissions.jsonl").write_text(f"{json.dumps(_SUBMISSION)}\n")
    (folder / "submissions.lock").write_text("")
    (folder / "ended" / "1.json").write_text(json.dumps({"code": 1, "job": "17"}))
    (folder / "array.sh").write_text("echo $1")
    (states / "sub-02.json").write_text(json.dumps({"state": "failed", "reason": "no events"}))
    return folder


def _files_of(job: Path) -> list[Path]:
    return [
        job / "job.json",
        job / "submissions.jsonl",
        job / "ended" / "1.json",
        job.parent.parent / ".bids_fx_work" / "states" / "sub-02.json",
    ]


@pytest.mark.parametrize(
    "words", [("status",), ("status", "--json"), ("resubmit", "--all-failed")]
)
@fuzz(30, soak=3_000, data=st.data())
def test_a_damaged_job_is_told_of_or_refused(words, job, capsys, data):
    path = data.draw(st.sampled_from(_files_of(job)))
    if data.draw(st.booleans()):
        values = json.loads(path.read_text().splitlines()[0])
        content = json_text(data.draw(changed_json(values, keys_of(values)))).encode()
    else:
        content = data.draw(changed_bytes(path.read_bytes()))
    with damaged(job, (path, content)):
        code = jobs.main([words[0], str(job), *words[1:]])
    told = capsys.readouterr()
    assert code in (0, 1, 2, 66, 73, 75), told.err
    assert _TRACEBACK.search(told.err) is None, told.err
