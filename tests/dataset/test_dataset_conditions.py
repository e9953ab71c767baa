"""The conditions of the whole dataset, wherever its events tables stand."""

from __future__ import annotations

from bids_fx.dataset.conditions import list_conditions

HEADER = "onset\tduration\ttrial_type\n"


def test_conditions_of_all_participants_are_gathered_by_task(tmp_path):
    for name, condition in (
        ("sub-01/func/sub-01_task-a_events.tsv", "face"),
        ("sub-02/ses-1/func/sub-02_ses-1_task-a_events.tsv", "house"),
        ("task-b_events.tsv", "song"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}1\t1\t{condition}\n2\t1\tn/a\n")
    assert list_conditions(tmp_path) == {"a": ["face", "house"], "b": ["song"]}


def test_a_table_that_cannot_be_read_is_passed_over(tmp_path):
    (tmp_path / "task-a_events.tsv").write_bytes(b"\xff\xfe\x00")
    assert list_conditions(tmp_path) == {}
