"""The level `group` beside calls that compute: while they run, after them, and several at once."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bids_fx.quality import BY_NAME
from tests.synthetic import DatasetSpec, Truth, make_dataset
from tests.validator import bids_errors

pytestmark = pytest.mark.e2e

LABELS = ("01", "02", "03")
#: Nothing is there, or nobody, as long as the calls that compute only begin.
BEFORE = {18, 66}


@dataclass
class Gathered:
    """An output folder that was gathered while it was written, and what was seen meanwhile."""

    truth: Truth
    out: Path
    codes: list[int]
    errors: list[str]
    torn: list[str]


def command(truth: Truth, out: Path, level: str, *words: str) -> list[str]:
    return [
        *(sys.executable, "-m", "bids_fx", str(truth.bids_dir), str(out), level),
        *("-d", str(truth.derivatives_dir), "--nprocs", "1", "--skip-bids-validation"),
        *words,
    ]


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def looks_torn(out: Path) -> list[str]:
    """Return the files over all participants that are there and not whole."""
    found = []
    for name, is_whole in (
        ("index.html", lambda text: text.endswith("</html>")),
        ("qc.tsv", lambda text: len({line.count("\t") for line in text.splitlines()}) == 1),
        ("qc.json", json.loads),
        ("summary.json", json.loads),
    ):
        path = out / name
        try:
            if path.exists() and not is_whole(path.read_text()):
                found.append(name)
        except ValueError:
            found.append(name)
    return found


@pytest.fixture(scope="module")
def gathered(tmp_path_factory) -> Gathered:
    """Compute three participants in processes of their own while two others gather."""
    root = tmp_path_factory.mktemp("group")
    spec = DatasetSpec(participants=LABELS, runs=("1", "2"), effects={"face": 2.0})
    truth = make_dataset(root / "data", spec)
    out = root / "out"
    found = Gathered(truth=truth, out=out, codes=[], errors=[], torn=[])
    settings = {"03": ("--noise-model", "ols")}
    computing = [
        subprocess.Popen(
            command(
                *(truth, out, "participant", "--participant-label", label),
                *settings.get(label, ()),
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for label in LABELS
    ]

    def gather() -> None:
        while any(process.poll() is None for process in computing):
            done = call(*command(truth, out, "group"))
            found.codes.append(done.returncode)
            found.errors.append(done.stderr)
            found.torn.extend(looks_torn(out))

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(gather) for _ in range(2)]:
            one.result()
    assert [process.wait() for process in computing] == [0, 0, 0]
    done = call(*command(truth, out, "group"))
    assert done.returncode == 0, done.stderr
    return found


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text())


def table(out: Path) -> list[dict[str, str]]:
    head, *lines = (out / "qc.tsv").read_text().splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_calls_at_once_and_beside_running_participants_do_no_harm(gathered):
    assert set(gathered.codes) <= {0, *BEFORE}
    assert not any("Traceback" in text for text in gathered.errors)
    assert gathered.torn == []


def test_in_the_end_all_are_done(gathered):
    told = summary(gathered.out)
    assert {one["state"] for one in told["participants"].values()} == {"done"}
    assert told["totals"]["runs"] == 6
    assert told["totals"]["outputs"]["missing"] == 0


def test_each_run_has_the_measures_that_were_published(gathered):
    rows = table(gathered.out)
    assert [(row["participant_id"], row["run"]) for row in rows] == [
        (f"sub-{label}", run) for label in LABELS for run in "12"
    ]
    for row in rows:
        name = f"{row['participant_id']}_task-main_run-{row['run']}_space-{row['space']}"
        path = gathered.out / row["participant_id"] / "func" / f"{name}_desc-qc.json"
        published = json.loads(path.read_text())
        assert set(published) <= set(BY_NAME)
        for measure, value in published.items():
            assert row[measure] == ("n/a" if value is None else str(value)), measure


def test_participant_of_other_settings_is_an_analysis_apart(gathered):
    analyses = [row["analysis"] for row in table(gathered.out)]
    assert len(set(analyses[:4])) == 1
    assert len(set(analyses)) == 2
    text = (gathered.out / "index.html").read_text()
    assert "noise_model ols, not ar1" in text


def test_the_whole_folder_is_a_valid_bids_dataset(gathered):
    assert bids_errors(gathered.out) == []


def test_another_call_changes_no_byte(gathered):
    names = ("index.html", "qc.tsv", "qc.json", "summary.json")
    before = [(gathered.out / name).read_bytes() for name in names]
    assert call(*command(gathered.truth, gathered.out, "group")).returncode == 0
    assert [(gathered.out / name).read_bytes() for name in names] == before


def test_a_call_at_the_level_participant_lists_none_of_it_as_its_own(gathered):
    words = ("--participant-label", "01", "--dry-run=json")
    done = call(*command(gathered.truth, gathered.out, "participant", *words))
    (plan,) = json.loads(done.stdout)["participants"]
    assert {"index.html", "qc.tsv", "summary.json"}.isdisjoint(plan["outputs"])
