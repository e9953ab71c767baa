"""Tables: what is accepted, what missing values mean, and what is refused."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from bids_fx.dataset.events import read_events
from bids_fx.dataset.tables import read_confounds, read_design, read_json, read_table
from bids_fx.dataset.tsv import LazyColumns, Table
from bids_fx.errors import BIDSFXError, ExitCode

Maker = Callable[[str, Sequence[Sequence[object]]], Path]
HEADER = ("onset", "duration", "trial_type")


@pytest.mark.parametrize(
    "content",
    [
        b"a\tb\n1\tx\n2\ty\n",
        b"\xef\xbb\xbfa\tb\r\n1\tx\r\n2\ty\r\n",
        b"a\tb\r1\tx\r2\ty",
        b"a\tb\n1\tx\n\n2\ty\n\n\n",
        b'a\tb\n1\t"x"\n2\ty\n',
        gzip.compress(b"a\tb\n1\tx\n2\ty\n", mtime=0),
    ],
    ids=["plain", "byte-order mark", "old Mac line ends", "blank lines", "quotes", "gzip"],
)
def test_spellings_of_one_table_read_the_same(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("a.tsv.gz" if content[:1] == b"\x1f" else "a.tsv")
    path.write_bytes(content)
    table = read_table(path)
    assert table.columns == {"a": ("1", "2"), "b": ("x", "y")}


def test_a_column_is_made_when_it_is_first_asked_for() -> None:
    made: list[str] = []
    columns = LazyColumns(["a", "b"], lambda name: made.append(name) or name.upper())
    assert (list(columns), len(columns), "a" in columns, "c" in columns) == (
        ["a", "b"],
        2,
        True,
        False,
    )
    assert made == []
    assert (columns["a"], columns["a"], columns.get("c")) == ("A", "A", None)
    assert made == ["a"]


def test_blank_line_of_a_table_with_one_column_is_a_missing_value(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("a\n1\n\n3\n", encoding="utf-8")
    np.testing.assert_array_equal(read_table(path).numbers("a"), [1, np.nan, 3])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\ta\n1\t2\n", "columns of one name: a"),
        (b"a\t\n1\t2\n", "column 2 of 2 has no name"),
        (b"a\tb\n1\n", "line 2 has 1 cells and the header has 2"),
        ("ä\n1\n".encode("latin-1"), "not UTF-8 text"),
        ("a\n1\n".encode("utf-16"), "not UTF-8 text"),
        (b"", "an empty file"),
        (gzip.compress(b"a\n" + bytes(range(48, 58)) * 100, mtime=0)[:-12], "truncated"),
    ],
)
def test_table_that_cannot_be_trusted_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(content)
    with pytest.raises(BIDSFXError, match=message) as raised:
        read_table(path)
    assert raised.value.exit_code == ExitCode.BAD_DATA
    assert raised.value.problems[0].where == str(path)


def test_absent_table_is_a_missing_input(tmp_path: Path) -> None:
    with pytest.raises(BIDSFXError, match="no such file") as raised:
        read_table(tmp_path / "a.tsv")
    assert raised.value.exit_code == ExitCode.MISSING_INPUT


@pytest.mark.parametrize("cell", ["1,5", "1_000", "x", "1e", "."])
def test_text_among_numbers_is_refused_by_line(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"a\tb\n1\t2\n\n3\t{cell}\n", encoding="utf-8")
    with pytest.raises(BIDSFXError, match=f"column 'b' holds '{re.escape(cell)}' in line 4"):
        read_table(path).numbers("b")


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BIDSFXError, match="JSON"):
        read_json(path)


# ------------------------------------------------------------------------------------- events


def test_events_come_by_trial_type_sorted_by_name(make_table: Maker) -> None:
    path = make_table("events.tsv", [HEADER, (9, 1, "b"), (4, 2, "a"), (1, 0.5, "b")])
    (a, b), notices = read_events(path, run_seconds=20)
    assert (a.name, b.name) == ("a", "b")
    np.testing.assert_array_equal(b.onsets, [9, 1])
    np.testing.assert_array_equal(b.durations, [1, 0.5])
    np.testing.assert_array_equal(b.amplitudes, [1, 1])
    assert notices == ()


def test_modulation_is_the_amplitude(make_table: Maker) -> None:
    path = make_table("events.tsv", [(*HEADER, "modulation"), (1, 1, "a", 0.5), (2, 1, "a", -2)])
    (condition,), _ = read_events(path, run_seconds=20)
    np.testing.assert_array_equal(condition.amplitudes, [0.5, -2])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("n/a", 1, "a", 1), "1 event without onset left out (line 3)"),
        ((3, 1, "n/a", 1), "1 event without trial_type left out (line 3)"),
        ((3, 1, "", 1), "1 event without trial_type left out (line 3)"),
        ((3, 1, "a", "n/a"), "1 event without modulation left out (line 3)"),
        ((20, 1, "a", 1), "1 event after the end of the run (20 s) left out (line 3)"),
    ],
)
def test_event_that_cannot_be_placed_is_left_out_with_a_warning(
    make_table: Maker, row: tuple[object, ...], message: str
) -> None:
    path = make_table("events.tsv", [(*HEADER, "modulation"), (1, 1, "a", 1), row])
    (condition,), (notice,) = read_events(path, run_seconds=20, participant="01")
    np.testing.assert_array_equal(condition.onsets, [1])
    assert notice.text == f"events.tsv: {message}."
    assert notice.warning
    assert notice.participant == "01"


def test_event_just_before_the_end_and_before_the_start_are_kept(make_table: Maker) -> None:
    path = make_table("events.tsv", [HEADER, (-3, 1, "a"), (19.999, 5, "a")])
    (condition,), notices = read_events(path, run_seconds=20)
    np.testing.assert_array_equal(condition.onsets, [-3, 19.999])
    assert notices == ()


def test_missing_duration_is_an_impulse_with_a_warning(make_table: Maker) -> None:
    path = make_table("events.tsv", [HEADER, (1, "n/a", "a"), (2, "", "a")])
    (condition,), (notice,) = read_events(path, run_seconds=20)
    np.testing.assert_array_equal(condition.durations, [0, 0])
    assert "2 events without duration taken as impulses (lines 2, 3)" in notice.text


def test_events_written_twice_are_both_kept_with_a_warning(make_table: Maker) -> None:
    path = make_table("events.tsv", [HEADER, (1, 1, "a"), (1, 1, "a"), (1, 1, "b"), (1, 2, "a")])
    (a, _), (notice,) = read_events(path, run_seconds=20)
    assert len(a.onsets) == 3
    assert "1 event written twice" in notice.text
    assert "line 3" in notice.text


def test_trial_type_na_in_capitals_is_a_name(make_table: Maker) -> None:
    path = make_table("events.tsv", [HEADER, (1, 1, "NA")])
    (condition,), _ = read_events(path, run_seconds=20)
    assert condition.name == "NA"


def test_table_without_events_is_told(make_table: Maker) -> None:
    conditions, (notice,) = read_events(make_table("events.tsv", [HEADER]), run_seconds=20)
    assert conditions == ()
    assert notice.text == "events.tsv: no events in the run."


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("onset", "trial_type")], "no column 'duration'; the columns there are"),
        ([("trial_type", "response")], "no column 'onset' and 'duration'"),
        (
            [("onset", "duration", "stim_type")],
            r"no column 'trial_type'; name the column .*columns there are: onset, duration, stim",
        ),
        ([("onset,duration,trial_type",)], "separate columns by tabs"),
        ([HEADER, (1, -1, "a"), (2, -1, "a")], "negative durations in lines 2, 3"),
        ([HEADER, ("inf", 1, "a")], "infinite numbers in line 2"),
        ([HEADER, ("one", 1, "a")], "column 'onset' holds 'one'"),
    ],
)
def test_events_that_make_no_sense_are_refused(
    make_table: Maker, rows: list[tuple[object, ...]], message: str
) -> None:
    with pytest.raises(BIDSFXError, match=message) as raised:
        read_events(make_table("events.tsv", rows), run_seconds=20)
    assert raised.value.exit_code == ExitCode.BAD_DATA


# ---------------------------------------------------------------------------------- confounds


@pytest.mark.parametrize("name", ["trans_x_derivative1", "csf_derivative1_power2"])
def test_first_derivative_is_0(make_table: Maker, name: str) -> None:
    table = read_confounds(make_table("c.tsv", [(name,), ("n/a",), (2,), (3,)]), 3)
    np.testing.assert_array_equal(table.values[name], [0, 2, 3])
    assert table.filled == {name: "0"}


@pytest.mark.parametrize(
    "name", ["framewise_displacement", "std_dvars", "rmsd", "FramewiseDisplacement", "stdDVARS"]
)
def test_first_change_is_the_mean_of_the_others(make_table: Maker, name: str) -> None:
    table = read_confounds(make_table("c.tsv", [(name,), ("n/a",), (2,), (4,)]), 3)
    np.testing.assert_array_equal(table.values[name], [3, 2, 4])
    assert table.filled == {name: "mean"}


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("trans_x", ("n/a", 1, 2)),
        ("csf", (1, "n/a", 2)),
        ("csf", (1, "inf", 2)),
        ("framewise_displacement", (1, "n/a", 2)),
        ("trans_x_power2", ("n/a", 1, 2)),
    ],
)
def test_other_gaps_stay(make_table: Maker, name: str, cells: tuple[object, ...]) -> None:
    table = read_confounds(make_table("c.tsv", [(name,), *((cell,) for cell in cells)]), 3)
    assert np.isnan(table.values[name]).sum() == 1
    assert table.filled == {}


def test_text_column_of_confounds_is_no_number_but_no_fault(make_table: Maker) -> None:
    table = read_confounds(make_table("c.tsv", [("x", "note"), (1, "good"), (2, "bad")]), 2)
    np.testing.assert_array_equal(table.values["x"], [1, 2])
    assert np.isnan(table.values["note"]).all()


def test_confounds_of_another_length_are_refused(make_table: Maker) -> None:
    path = make_table("c.tsv", [("x",), (1,), (2,)])
    with pytest.raises(BIDSFXError, match="2 rows, but the BOLD series has 3 volumes"):
        read_confounds(path, 3)


def test_confounds_come_with_their_sidecar(make_table: Maker, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"x": {"Method": "Mean"}, "y": {}, "z": 1}', "utf-8")
    table = read_confounds(make_table("c.tsv", [("x",), (1,)]), 1)
    assert table.metadata == {"x": {"Method": "Mean"}}


# ------------------------------------------------------------------------------------- designs


def test_design_values_are_read_to_the_last_bit(
    make_table: Maker, rng: np.random.Generator
) -> None:
    matrix = rng.normal(size=(20, 3)) * [1e-12, 1, 1e12]
    rows = [("a", "b", "constant"), *(tuple(map(repr, row)) for row in matrix.tolist())]
    np.testing.assert_array_equal(read_design(make_table("x_design.tsv", rows)).matrix, matrix)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("constant", ["constant"]),
        ("Intercept", ["constant"]),
        ("drift_1 cosine00", ["drift"] * 2),
        ("trans_x rot_z_derivative1_power2 a_comp_cor_00", ["confound"] * 3),
        ("tx rz reg0 GlobalSignal", ["confound"] * 4),
        ("edge_comp_00 w_comp_cor_03 AROMAAggrComp01 aCompCor00", ["confound"] * 4),
        ("face face_derivative", ["condition:face:0", "derivative:face:1"]),
        ("face_dispersion face", ["derivative:face:2", "condition:face:0"]),
        ("odd_derivative", ["condition:odd_derivative:0"]),
        ("face_delay_10 face_delay_2", ["condition:face:1", "condition:face:0"]),
        ("trial_type.face", ["condition:face:0"]),
        ("motion_outlier00", ["confound"]),
    ],
)
def test_roles_are_read_off_the_names_of_other_programs(
    make_table: Maker, names: str, expected: list[str]
) -> None:
    columns = names.split()
    path = make_table("x_design.tsv", [columns, [1] * len(columns), [2] * len(columns)])
    found = [
        c.role if c.condition is None else f"{c.role}:{c.condition}:{c.basis}"
        for c in read_design(path).columns
    ]
    assert found == expected


def test_column_of_one_scan_by_name_and_value_is_censored(make_table: Maker) -> None:
    path = make_table("x_design.tsv", [("motion_outlier00",), (0,), (1,), (0,)])
    assert read_design(path).columns[0].role == "censored"


@pytest.mark.parametrize(
    "name",
    [
        *("motion_outlier00", "motion_outlier112", "motion_outlier_0", "censored_scan_0001"),
        *("non_steady_state_outlier00", "non_steady_state_outlier_3", "NonSteadyStateOutlier00"),
    ],
)
def test_scan_of_a_column_named_as_an_outlier_is_left_out_of_the_fit(
    make_table: Maker, name: str
) -> None:
    design = read_design(make_table("x_design.tsv", [("a", name), (5, 0), (6, 1), (7, 0)]))
    assert design.kept.tolist() == [True, False, True]
    assert design.fitted.matrix.tolist() == [[5.0], [7.0]]


@pytest.mark.parametrize("values", [(1, 1, 0), (0, 0, 0), (0.5, 0.5, 1)])
def test_column_named_as_an_outlier_that_marks_no_single_scan_leaves_all(
    make_table: Maker, values: tuple[float, ...]
) -> None:
    rows = [(one,) for one in values]
    assert read_design(make_table("x_design.tsv", [("motion_outlier00",), *rows])).kept.all()


def test_two_columns_may_censor_one_scan(make_table: Maker) -> None:
    names = ("motion_outlier00", "non_steady_state_outlier00", "constant")
    design = read_design(make_table("x_design.tsv", [names, (1, 1, 1), (0, 0, 1), (0, 0, 1)]))
    assert design.kept.tolist() == [False, True, True]
    assert design.fitted.names == ("constant",)


@pytest.mark.parametrize(("values", "marked"), [((1, 1, 0), 2), ((0, 0, 0), 0)])
def test_sidecar_that_lets_a_column_censor_no_single_scan_is_refused(
    make_table: Maker, tmp_path: Path, values: tuple[int, ...], marked: int
) -> None:
    described = '{"Columns": [{"Name": "spike", "Role": "censored"}]}'
    (tmp_path / "x_design.json").write_text(described, encoding="utf-8")
    path = make_table("x_design.tsv", [("spike",), *((one,) for one in values)])
    with pytest.raises(BIDSFXError, match=f"'spike' has the Role censored.* in {marked} scans"):
        read_design(path)


def test_sidecar_of_a_design_says_what_its_columns_are(make_table: Maker, tmp_path: Path) -> None:
    (tmp_path / "x_design.json").write_text(
        '{"Columns": [{"Name": "constant", "Role": "condition", "Condition": "odd", "Basis": 0},'
        ' {"Name": "b", "Role": "drift", "Condition": null, "Basis": null}]}',
        encoding="utf-8",
    )
    first, second = read_design(make_table("x_design.tsv", [("constant", "b"), (1, 2)])).columns
    assert (first.role, first.condition, first.basis) == ("condition", "odd", 0)
    assert (second.role, second.condition, second.basis) == ("drift", None, None)


@pytest.mark.parametrize(
    "columns",
    [
        '[{"Name": "b", "Role": "drift"}]',
        '[{"Name": "a", "Role": "nuisance"}]',
        '[{"Name": "a", "Role": "drift", "Basis": "0"}]',
        '[{"Name": "a", "Role": "drift"}, {"Name": "b", "Role": "drift"}]',
        '{"a": "drift"}',
        "[1]",
    ],
)
def test_sidecar_that_contradicts_the_design_is_refused(
    make_table: Maker, tmp_path: Path, columns: str
) -> None:
    (tmp_path / "x_design.json").write_text(f'{{"Columns": {columns}}}', encoding="utf-8")
    with pytest.raises(BIDSFXError, match=r"describe the columns a"):
        read_design(make_table("x_design.tsv", [("a",), (1,)]))


@pytest.mark.parametrize("cell", ["n/a", "inf"])
def test_gap_in_a_design_is_refused(make_table: Maker, cell: str) -> None:
    path = make_table("x_design.tsv", [("a", "b"), (1, 2), (1, cell)])
    with pytest.raises(BIDSFXError, match="column 'b' holds no finite number in line 3"):
        read_design(path)


def test_only_confounds_that_are_asked_for_or_may_be_filled_are_read_as_numbers(
    make_table: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = Table.numbers

    def numbers(table: Table, name: str) -> np.ndarray:
        asked.append(name)
        return original(table, name)

    monkeypatch.setattr(Table, "numbers", numbers)
    header = ["trans_x", "trans_x_derivative1", *(f"a_comp_cor_{i:02d}" for i in range(50))]
    path = make_table("x_confounds.tsv", [header, ["1"] * 52, ["2"] * 52])
    table = read_confounds(path, 2)
    np.testing.assert_array_equal(table.values["trans_x"], [1, 2])
    assert asked == ["trans_x_derivative1", "trans_x"]
