"""Planning many participants: what is held meanwhile, and how processors are shared out."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx import memory
from bids_fx.cli import run, session
from bids_fx.cli.dry_run import as_json, as_text
from bids_fx.cli.interruption import Interruption
from bids_fx.cli.parser import parse
from bids_fx.cli.planning import Planner
from bids_fx.dataset import index
from bids_fx.inputs import BoldRun
from bids_fx.records import Plan
from tests.dataset.trees import Tree
from tests.model_files import a_contrast, plain
from tests.small_plans import make_plan
from tests.synthetic import DatasetSpec, make_dataset

LABELS = ("01", "02", "03")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path, n_scans=40)
    for label in LABELS:
        tree.run(f"sub-{label}_task-nback")
    return tree


def plans_of(tree: Tree, *options: str):
    argv = [str(tree.raw), str(tree.root / "out"), "participant", "-d", str(tree.preproc)]
    argv += ["--contrast", "face - house", "--noise-model", "ols"]
    return Planner(parse([*argv, *options])).plans()


def test_whole_confounds_tables_of_two_participants_are_never_held(tree, monkeypatch):
    tables: list[weakref.ref] = []
    alive: list[int] = []
    original = index.find_all

    def find_all(*arguments, **options):
        found = original(*arguments, **options)
        while True:
            alive.append(sum(table() is not None for table in tables))
            item = next(found, None)
            if item is None:
                return
            assert isinstance(item.runs[0], BoldRun)
            tables.append(weakref.ref(item.runs[0].confounds.values))
            yield item
            del item

    monkeypatch.setattr(index, "find_all", find_all)
    assert [plan.participant for plan in plans_of(tree)] == [*LABELS]
    assert len(tables) == len(LABELS)
    # the one that was drawn last may still be bound where it was drafted
    assert max(alive) <= 1


@pytest.mark.parametrize("show", [as_text, as_json])
def test_a_plan_is_let_go_before_the_next_but_one_is_drawn(show):
    settings = make_plan().settings
    before = n_plans()
    held: list[int] = []

    def plans():
        for label in LABELS:
            held.append(n_plans() - before)
            yield replace(make_plan(), participant=label)

    text = show(plans(), settings)
    assert all(label in text for label in LABELS)
    assert len(held) == len(LABELS)
    # the loop over them still names the last
    assert max(held) <= 1


def n_plans() -> int:
    """Return the number of plans that are alive."""
    gc.collect()
    return sum(type(item) is Plan for item in gc.get_objects())


def test_a_plan_shares_processors_among_as_many_nodes_as_the_session(tmp_path, monkeypatch):
    truth = make_dataset(tmp_path / "data", DatasetSpec(sessions=("a", "b"), n_volumes=50))
    shares: dict[str, set[tuple[int, int]]] = {"plan": set(), "session": set()}

    def spy(kind: str):
        def allow(plans, machine, *, n_fits: int, n_joins: int):
            shares[kind].add((n_fits, n_joins))
            return original(plans, machine, n_fits=n_fits, n_joins=n_joins)

        return allow

    original = memory.allow
    monkeypatch.setattr(memory, "allow", spy("plan"))
    monkeypatch.setattr(session, "allow", spy("session"))
    argv = [str(truth.bids_dir), str(tmp_path / "out"), "participant", "--skip-bids-validation"]
    contrasts = ["--contrast", "face", "--contrast", "house", "--nprocs", "1"]
    assert run.run(parse([*argv, *contrasts]), Interruption()) == 0
    # Two contrasts of each session and of the participant.
    assert shares == {"plan": {(len(truth.runs), 6)}, "session": {(len(truth.runs), 6)}}


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        ((), False),  # participant 01 has a report: perhaps all is done
        (("--participant-label", "02"), True),
        (("--participant-label", "01", "02"), True),
        (("--participant-label", "01"), False),
        (("--participant-label", "02", "--nprocs", "1"), False),
        (("--participant-label", "02", "--mem-mb", "4000"), False),
        (("--participant-label", "02", "--dry-run"), False),
    ],
)
def test_nodes_are_prepared_while_planning_where_some_participant_has_no_report(
    tree: Tree, options: tuple[str, ...], starts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[bool] = []
    monkeypatch.setattr("bids_fx.workflows.server.start_server", lambda: started.append(True))
    (tree.root / "out").mkdir()
    (tree.root / "out" / "sub-01.html").touch()
    assert list(plans_of(tree, "--nprocs", "2", *options))
    assert bool(started) == starts


@pytest.mark.parametrize(
    ("weights", "told"), [({"face": 1}, False), ({"face": 1, "house": -1}, True)]
)
def test_nodes_that_do_not_combine_what_is_asked_beside_the_model_are_told(
    tree: Tree, weights: dict[str, float], told: bool
) -> None:
    raw = plain()
    raw["Nodes"][1:] = [
        {
            "Level": "Subject",
            "Name": "subject",
            "GroupBy": ["subject"] if told else ["subject", "contrast"],
            "Model": {"Type": "meta", "X": [*weights] if told else [1]},
            **({"Contrasts": [a_contrast("c", weights)]} if told else {}),
            **({} if told else {"DummyContrasts": {"Test": "t"}}),
        }
    ]
    raw["Nodes"][0]["DummyContrasts"] = {"Contrasts": ["face", "house"], "Test": "t"}
    path = tree.root / "model.json"
    path.write_text(json.dumps(raw))
    argv = [str(tree.raw), str(tree.root / "out"), "participant", "-d", str(tree.preproc)]
    planner = Planner(parse([*argv, "-m", str(path), "--contrast", "more = 2*face - house"]))
    found = [n.text for n in planner.notices if "--contrast adds is not combined" in n.text]
    assert bool(found) == told
