"""The design matrix: its columns, their order and their closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.design import Column, Condition, Design, make_design
from bids_fx.glm.drift import make_drift

FloatArray = npt.NDArray[np.float64]

TR = 2.0
FRAMES = np.arange(150) * TR + 0.5


def condition(name: str, onsets: Any, duration: float = 3.0) -> Condition:
    """Return a condition of events of one duration and height 1."""
    onsets = np.asarray(onsets, dtype=np.float64)
    return Condition(
        name=name,
        onsets=onsets,
        durations=np.full(onsets.size, duration),
        amplitudes=np.ones(onsets.size),
    )


FACE = condition("face", [10.0, 70.0, 155.0])
HOUSE = condition("house", [40.0, 100.0, 222.0])


def design(frame_times: FloatArray = FRAMES, **changes: Any) -> Design:
    """Return a design with two conditions and a cosine drift, but for the changes."""
    arguments: dict[str, Any] = {
        "repetition_time": TR,
        "conditions": (FACE, HOUSE),
        "hrf_model": "spm",
        "drift_model": "cosine",
        "high_pass_s": 128.0,
        "confounds": None,
        "confound_names": (),
        "censored": (),
    }
    return make_design(frame_times, **{**arguments, **changes})


def column(made: Design, name: str) -> FloatArray:
    """Return a column by name."""
    return made.matrix[:, made.names.index(name)]


def drift(model: str, *, n_scans: int = 150, tr: float = TR, cutoff: float = 128.0) -> FloatArray:
    """Return the drift of a run that starts at 0."""
    return make_drift(
        np.arange(n_scans) * tr, repetition_time=tr, drift_model=model, high_pass_s=cutoff
    )


def test_columns_come_in_the_stated_order() -> None:
    made = design(
        hrf_model="spm + derivative",
        confounds=np.ones((150, 2)) * [0.5, 2.0],
        confound_names=("trans_x", "csf"),
        censored=(0, 149),
    )
    assert made.names == (
        *("face", "face_derivative", "house", "house_derivative", "trans_x", "csf"),
        *("censored_scan_0000", "censored_scan_0149"),
        *("drift_1", "drift_2", "drift_3", "drift_4", "constant"),
    )
    roles = ["condition", "derivative"] * 2 + ["confound"] * 2 + ["censored"] * 2 + ["drift"] * 4
    assert [item.role for item in made.columns] == [*roles, "constant"]
    assert made.matrix.shape == (150, 13)


def test_columns_of_a_condition_tell_their_basis() -> None:
    made = design(hrf_model="glover + derivative + dispersion", conditions=(HOUSE,))
    assert [(item.condition, item.basis) for item in made.columns[:3]] == [
        ("house", 0),
        ("house", 1),
        ("house", 2),
    ]
    assert made.columns[-1].condition is None


def test_fir_columns_are_all_conditions() -> None:
    made = design(hrf_model="fir:3", conditions=(FACE,), drift_model="none")
    assert made.names == ("face_delay_0", "face_delay_1", "face_delay_2", "constant")
    assert [(item.role, item.basis) for item in made.columns[:3]] == [
        ("condition", 0),
        ("condition", 1),
        ("condition", 2),
    ]


def test_fir_columns_are_not_orthogonalised() -> None:
    made = design(hrf_model="fir:4", conditions=(condition("face", FACE.onsets, 7.0),))
    delays = made.matrix[:, :4]
    assert delays.min() >= 0.0  # a projection would leave negative values
    np.testing.assert_array_equal(delays[1:, 1], delays[:-1, 0])


def test_derivatives_leave_the_canonical_column_as_it_is() -> None:
    alone = column(design(), "face")
    np.testing.assert_array_equal(
        column(design(hrf_model="spm + derivative + dispersion"), "face"), alone
    )


def test_derivatives_are_orthogonal_to_those_before_them() -> None:
    made = design(hrf_model="spm + derivative + dispersion")
    three = np.stack([column(made, f"face{x}") for x in ("", "_derivative", "_dispersion")])
    three /= np.linalg.norm(three, axis=1, keepdims=True)
    np.testing.assert_allclose(three @ three.T, np.eye(3), rtol=0, atol=1e-12)


def test_derivative_has_no_more_of_the_span_than_it_brings() -> None:
    # [canonical, derivative] span the same plane before and after
    made = design(hrf_model="spm + derivative", conditions=(FACE,), drift_model="none")
    later = condition("face", FACE.onsets + 0.1)
    shifted = column(design(conditions=(later,), drift_model="none"), "face")
    plane = made.matrix[:, :2]
    residual = shifted - plane @ np.linalg.lstsq(plane, shifted, rcond=None)[0]
    # the derivative is a difference over 0.1 s, but for the cut at 32 s
    assert np.linalg.norm(residual) < 1e-3 * np.linalg.norm(shifted)


def test_derivative_of_which_only_rounding_is_left_becomes_zero() -> None:
    # the response reaches the last scan alone, where every basis function is one number
    late = condition("late", [FRAMES[-1] - 1.0], duration=0.0)
    made = design(hrf_model="spm + derivative + dispersion", conditions=(late,))
    assert np.count_nonzero(column(made, "late")) == 1
    assert not column(made, "late_derivative").any()
    assert not column(made, "late_dispersion").any()


def test_confounds_enter_as_they_are(rng: np.random.Generator) -> None:
    confounds = np.column_stack([rng.normal(7.0, 1.0, 150), np.zeros(150)])
    made = design(confounds=confounds, confound_names=("csf", "empty"))
    np.testing.assert_array_equal(column(made, "csf"), confounds[:, 0])
    assert not column(made, "empty").any()


def test_censored_scan_is_one_in_its_scan_alone() -> None:
    made = design(censored=(3, 4))
    assert np.flatnonzero(column(made, "censored_scan_0003")).tolist() == [3]
    assert column(made, "censored_scan_0004")[4] == 1.0


def test_scans_that_no_column_censors_are_kept() -> None:
    made = design(censored=(0, 3, 149))
    assert made.kept.shape == (150,)
    assert np.flatnonzero(~made.kept).tolist() == [0, 3, 149]
    assert design().kept.all()


def test_fitted_design_has_the_kept_rows_and_not_the_columns_that_censor() -> None:
    made = design(
        hrf_model="spm + derivative",
        confounds=np.arange(150.0)[:, np.newaxis],
        confound_names=("trans_x",),
        censored=(2, 5),
    )
    assert made.fitted.names == (
        *("face", "face_derivative", "house", "house_derivative", "trans_x"),
        *("drift_1", "drift_2", "drift_3", "drift_4", "constant"),
    )
    rows = [0, 1, 3, 4, *range(6, 150)]
    np.testing.assert_array_equal(column(made.fitted, "trans_x"), rows)
    for name in made.fitted.names:
        np.testing.assert_array_equal(column(made.fitted, name), column(made, name)[rows])
    assert made.fitted.columns == tuple(c for c in made.columns if c.role != "censored")


def test_fitted_design_without_censored_scans_is_the_design() -> None:
    made = design(hrf_model="spm + derivative")
    np.testing.assert_array_equal(made.fitted.matrix, made.matrix)
    assert made.fitted.columns == made.columns


def test_drift_is_that_of_all_frames_less_the_censored_rows() -> None:
    made = design(censored=range(40)).fitted
    every = drift("cosine")
    assert every.shape == (150, 4)  # 110 scans alone would have three
    found = np.column_stack([column(made, f"drift_{i}") for i in (1, 2, 3, 4)])
    np.testing.assert_array_equal(found, every[40:])


def test_censored_first_scans_shift_nothing_in_time() -> None:
    # one event of no duration at 10.5 s, the time of scan 5: the response is 0 up to that scan
    short = condition("face", [FRAMES[5]], duration=0.0)
    made = design(conditions=(short,), drift_model="none", censored=(0, 1, 2)).fitted
    response = column(made, "face")
    assert np.flatnonzero(response)[0] == 6 - 3
    alone = design(FRAMES[3:], conditions=(short,), drift_model="none")
    np.testing.assert_array_equal(response, column(alone, "face"))


@pytest.mark.parametrize("censored", [(0, 1), (7, 60, 61, 62, 149)])
def test_each_censored_scan_costs_one_column_and_one_row(
    rng: np.random.Generator, censored: tuple[int, ...]
) -> None:
    # least squares with a column per scan and without the rows: one fit, one dof
    made = design(hrf_model="spm + derivative", censored=censored)
    data = rng.normal(size=150)
    whole, _, rank, _ = np.linalg.lstsq(made.matrix, data, rcond=None)
    fitted = made.fitted
    part, rss, part_rank, _ = np.linalg.lstsq(fitted.matrix, data[made.kept], rcond=None)
    stays = [made.names.index(name) for name in fitted.names]
    np.testing.assert_allclose(whole[stays], part, rtol=1e-9, atol=1e-12)
    assert 150 - rank == len(fitted.matrix) - part_rank
    np.testing.assert_allclose(((data - made.matrix @ whole) ** 2).sum(), rss[0], rtol=1e-12)


def test_condition_of_which_only_censored_scans_tell_becomes_zeros() -> None:
    late = condition("late", [FRAMES[-2] - 1.0], duration=0.0)
    made = design(conditions=(FACE, late), hrf_model="spm + derivative", censored=(148, 149))
    assert column(made, "late").any()
    assert not column(made.fitted, "late").any()
    assert not column(made.fitted, "late_derivative").any()
    assert design_space(made.fitted.matrix).rank == made.fitted.matrix.shape[1] - 2


def by_hand(first: float, column: Column) -> Design:
    """Return a design whose one column is `first` in the censored scan 0 and 1, 2, 3 after it."""
    censoring = Column(name="motion_outlier00", role="censored")
    matrix = np.array([[first, 1.0], [1, 0], [2, 0], [3, 0]])
    return Design(matrix=matrix, columns=(column, censoring))


@pytest.mark.parametrize(("first", "left"), [(1e12, [0.0, 0, 0]), (1e9, [1.0, 2, 3])])
@pytest.mark.parametrize("role", ["condition", "derivative"])
def test_rounding_that_censored_scans_leave_of_a_response_becomes_zero(
    first: float, left: list[float], role: Any
) -> None:
    made = by_hand(first, Column(name="face", role=role, condition="face", basis=0))
    assert made.fitted.matrix[:, 0].tolist() == left


def test_confound_with_a_huge_value_in_a_censored_scan_stays() -> None:
    made = by_hand(1e15, Column(name="dvars", role="confound"))
    assert made.fitted.matrix[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_scan_that_two_columns_censor_is_left_out_once() -> None:
    censoring = [Column(name=f"motion_outlier0{i}", role="censored") for i in (0, 1)]
    # a column may hold any number in its scan: what it spans is the same
    matrix = np.array([[1.0, 0, 0], [1, 1, -2], [1, 0, 0]])
    made = Design(matrix=matrix, columns=(Column(name="constant", role="constant"), *censoring))
    assert made.kept.tolist() == [True, False, True]
    assert made.fitted.matrix.tolist() == [[1.0], [1.0]]


def test_design_of_which_every_scan_is_censored_has_no_row_left() -> None:
    made = design(censored=range(150))
    assert not made.kept.any()
    assert made.fitted.matrix.shape == (0, 7)
    assert design_space(made.fitted.matrix).rank == 0


def test_condition_outside_the_run_keeps_a_column_of_zeros() -> None:
    made = design(conditions=(FACE, condition("late", [1000.0])))
    assert "late" in made.names
    assert not column(made, "late").any()


def test_design_without_conditions_has_the_other_columns() -> None:
    assert design(conditions=(), drift_model="none").names == ("constant",)


def test_constant_is_one_in_every_scan() -> None:
    np.testing.assert_array_equal(column(design(), "constant"), np.ones(150))


def test_events_are_on_the_clock_of_the_frames() -> None:
    shifted = design(
        FRAMES + 1.7, conditions=(condition("face", FACE.onsets + 1.7),), drift_model="none"
    )
    plain = design(conditions=(FACE,), drift_model="none")
    np.testing.assert_allclose(shifted.matrix, plain.matrix, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("n_scans", "tr", "cutoff", "order"),
    [
        (150, 2.0, 128.0, 4),  # 600 / 128 = 4.7
        (160, 2.0, 128.0, 5),  # 640 / 128 = 5 exactly
        (250, 0.8, 100.0, 4),  # 400 / 100 in decimals
        (62, 0.3, 37.2, 1),  # 37.2 / 37.2 in decimals, below 1 in floating point
        (30, 2.0, 128.0, 0),
        (10, 2.0, 2.0, 9),  # never more than n - 1
    ],
)
def test_cosine_drift_has_the_columns_of_the_cutoff(
    n_scans: int, tr: float, cutoff: float, order: int
) -> None:
    assert drift("cosine", n_scans=n_scans, tr=tr, cutoff=cutoff).shape == (n_scans, order)


def test_cosine_drift_is_orthonormal_and_without_mean() -> None:
    cosines = drift("cosine", n_scans=200, cutoff=40.0)
    np.testing.assert_allclose(cosines.T @ cosines, np.eye(20), rtol=0, atol=1e-12)
    np.testing.assert_allclose(cosines.sum(axis=0), 0.0, atol=1e-11)


def test_cosine_drift_has_half_a_period_more_in_each_column() -> None:
    cosines = drift("cosine", n_scans=200, cutoff=40.0)
    assert [np.count_nonzero(np.diff(np.sign(one))) for one in cosines.T] == list(range(1, 21))
    np.testing.assert_allclose(cosines[0, 0], np.sqrt(2 / 200) * np.cos(np.pi / 400), rtol=1e-14)


@pytest.mark.parametrize(
    ("n_scans", "tr", "order"), [(74, 2.0, 1), (75, 2.0, 2), (149, 2.0, 2), (225, 2.0, 4)]
)
def test_polynomial_drift_follows_the_rule_of_afni(n_scans: int, tr: float, order: int) -> None:
    assert drift("polynomial", n_scans=n_scans, tr=tr).shape[1] == order


def test_polynomial_drift_spans_the_powers() -> None:
    time = np.linspace(-1, 1, 150)
    columns = np.column_stack([np.ones(150), drift("polynomial:5")])
    for power in range(6):
        weights = np.linalg.lstsq(columns, time**power, rcond=None)[0]
        np.testing.assert_allclose(columns @ weights, time**power, atol=1e-11)
    assert drift("polynomial:5").shape == (150, 5)


@pytest.mark.parametrize("order", [1, 5, 20])
def test_polynomial_drift_is_orthogonal_up_to_high_orders(order: int) -> None:
    columns = np.column_stack([np.ones(150), drift(f"polynomial:{order}")])
    columns /= np.linalg.norm(columns, axis=0)
    np.testing.assert_allclose(columns.T @ columns, np.eye(order + 1), rtol=0, atol=1e-10)


def test_polynomial_order_is_limited_by_the_scans() -> None:
    assert drift("polynomial:9", n_scans=4).shape == (4, 3)


def test_no_drift_has_no_column() -> None:
    assert drift("none").shape == (150, 0)


def test_full_design_has_full_rank() -> None:
    made = design(hrf_model="spm + derivative + dispersion", censored=(0, 1))
    assert design_space(made.matrix).rank == made.matrix.shape[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditions": (FACE, FACE)}, "more than one design column is named 'face'"),
        ({"conditions": (condition("constant", [1.0]),)}, "named 'constant'"),
        ({"censored": (3, 3)}, "named 'censored_scan_0003'"),
        ({"censored": (150,)}, r"from 0 to 149, found \[150\]"),
        ({"censored": (-1,)}, r"from 0 to 149, found \[-1\]"),
        ({"conditions": (condition("none", []),)}, "'none' has no event"),
        ({"high_pass_s": 0.0}, "must be > 0 s, found 0"),
        ({"drift_model": "linear"}, "unknown drift model 'linear'"),
        ({"hrf_model": "spmm"}, "did you mean 'spm'"),
        ({"repetition_time": 0.0}, "must be > 0 s, found 0"),
        ({"confounds": np.ones((149, 1)), "confound_names": ("a",)}, r"expected .*\(150, 1\)"),
        ({"confound_names": ("a",)}, r"found \(150, 0\)"),
        (
            {"confounds": np.ones((150, 2)) * [1, np.nan], "confound_names": ("a", "b")},
            "must be finite: b$",
        ),
    ],
)
def test_impossible_design_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        design(**changes)


@pytest.mark.parametrize(
    "frame_times",
    [np.array([1.0]), np.array([0.0, 2.0, 2.0]), np.array([-1.0, 1.0]), np.array([0.0, np.nan])],
)
def test_impossible_frame_times_are_refused(frame_times: FloatArray) -> None:
    with pytest.raises(ValueError, match="frame times"):
        design(frame_times)
