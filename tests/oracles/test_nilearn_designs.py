"""Designs beside nilearn's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from nilearn.glm.first_level import make_first_level_design_matrix
from nilearn.glm.first_level.design_matrix import _poly_drift
from nilearn.glm.first_level.hemodynamic_models import _sample_condition, compute_regressor
from nilearn.signal import create_cosine_drift

from bids_fx.glm.design import Condition, Design, make_design
from bids_fx.glm.drift import make_drift
from bids_fx.glm.hrf import convolve_events

pytestmark = pytest.mark.oracle

FloatArray = npt.NDArray[np.float64]

#: nilearn's samples per repetition time.
OVERSAMPLING = 50
#: Cosines and their norm, computed from the same expression.
COSINE = 1e-12


def condition(rng: np.random.Generator, name: str, duration: float) -> Condition:
    """Return 20 events at random times of a run of 300 s, of random height."""
    return Condition(
        name=name,
        onsets=np.sort(rng.uniform(0, 280, 20)),
        durations=np.full(20, duration),
        amplitudes=rng.uniform(0.5, 2.0, 20),
    )


def as_table(*conditions: Condition) -> pd.DataFrame:
    """Return the events as nilearn reads them."""
    return pd.concat(
        pd.DataFrame(
            {
                "onset": one.onsets,
                "duration": one.durations,
                "modulation": one.amplitudes,
                "trial_type": one.name,
            }
        )
        for one in conditions
    )


def ours(frame_times: FloatArray, tr: float, model: str, *conditions: Condition) -> Design:
    """Return our design of the conditions alone."""
    return make_design(
        frame_times,
        repetition_time=tr,
        conditions=conditions,
        hrf_model=model,
        drift_model="none",
        high_pass_s=128.0,
        confounds=None,
        confound_names=(),
        censored=(),
    )


@pytest.mark.parametrize("model", ["spm", "glover"])
@pytest.mark.parametrize("duration", [0.0, 4.0])
def test_convolution_equals_nilearns_on_its_own_grid(
    model: str, duration: float, rng: np.random.Generator
) -> None:
    """Give nilearn our kernel, and us the impulses that its grid makes of the events."""
    tr, frame_times = 2.0, np.arange(150) * 2.0
    step = tr / OVERSAMPLING
    events = condition(rng, "a", duration)
    triple = (events.onsets, events.durations, events.amplitudes)

    def kernel(t_r: float, oversampling: int = OVERSAMPLING) -> FloatArray:
        lags = np.arange(-1, round(32 / step) + 1) * step  # nilearn's is one bin late
        response = convolve_events(
            np.zeros(1),
            np.zeros(1),
            np.ones(1),
            frame_times=lags,
            hrf_model=model,
            repetition_time=t_r,
        )[:, 0]
        return response * step

    nilearns, _ = compute_regressor(triple, kernel, frame_times, oversampling=OVERSAMPLING)
    grid, grid_times = _sample_condition(triple, frame_times, OVERSAMPLING)
    snapped = np.flatnonzero(grid)
    replica = convolve_events(
        grid_times[snapped] + step,
        np.zeros(snapped.size),
        grid[snapped] * step,
        frame_times=frame_times,
        hrf_model=model,
        repetition_time=tr,
    )
    np.testing.assert_allclose(replica, nilearns, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        f"{family}{more}"
        for family in ("spm", "glover")
        for more in ("", " + derivative + dispersion")
    ],
)
@pytest.mark.parametrize("start", [0.0, 0.4])
def test_columns_resemble_nilearns(model: str, start: float, rng: np.random.Generator) -> None:
    tr = 0.8
    frame_times = np.arange(400) * tr + start
    conditions = condition(rng, "a", 2.0), condition(rng, "b", 6.0)
    made = ours(frame_times, tr, model, *conditions)
    nilearns = make_first_level_design_matrix(
        frame_times, as_table(*conditions), hrf_model=model, drift_model=None
    )
    assert list(made.names) == list(nilearns.columns)
    for i, name in enumerate(made.names[:-1]):
        correlation = np.corrcoef(made.matrix[:, i], nilearns[name])[0, 1]
        assert correlation > 0.999, name


@pytest.mark.parametrize("model", ["spm", "glover"])
def test_columns_have_nilearns_height(model: str, rng: np.random.Generator) -> None:
    frame_times, events = np.arange(400) * 0.8, condition(rng, "a", 6.0)
    made = ours(frame_times, 0.8, model, events).matrix[:, 0]
    nilearns = make_first_level_design_matrix(
        frame_times, as_table(events), hrf_model=model, drift_model=None
    )["a"]
    assert (made @ nilearns) / (made @ made) == pytest.approx(1.0, abs=0.005)


def test_names_are_those_of_nilearn(rng: np.random.Generator) -> None:
    tr, frame_times, events = 2.0, np.arange(150) * 2.0, condition(rng, "a", 2.0)
    made = make_design(
        frame_times,
        repetition_time=tr,
        conditions=(events,),
        hrf_model="fir:4",
        drift_model="cosine",
        high_pass_s=100.0,
        confounds=np.cumsum(rng.normal(size=(150, 2)), axis=0),
        confound_names=("x", "y"),
        censored=(),
    )
    nilearns = make_first_level_design_matrix(
        frame_times,
        as_table(events),
        hrf_model="fir",
        fir_delays=range(4),
        high_pass=0.01,
        add_regs=np.cumsum(rng.normal(size=(150, 2)), axis=0),
        add_reg_names=["x", "y"],
    )
    assert list(made.names) == list(nilearns.columns)


@pytest.mark.parametrize(("n_scans", "tr"), [(150, 2.0), (160, 2.0), (415, 0.72), (40, 2.5)])
@pytest.mark.parametrize("cutoff", [128.0, 100.0, 33.3])
def test_cosine_drift_equals_nilearns(n_scans: int, tr: float, cutoff: float) -> None:
    frame_times = np.arange(n_scans) * tr
    made = make_drift(frame_times, repetition_time=tr, drift_model="cosine", high_pass_s=cutoff)
    nilearns = create_cosine_drift(1 / cutoff, frame_times)
    np.testing.assert_allclose(made, nilearns[:, :-1], rtol=0, atol=COSINE)


@pytest.mark.parametrize("order", [1, 3, 6])
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_polynomial_drift_equals_nilearns(order: int, start: float) -> None:
    frame_times = np.arange(150) * 2.0 + start
    made = make_drift(
        frame_times, repetition_time=2.0, drift_model=f"polynomial:{order}", high_pass_s=128.0
    )
    # nilearn projects by a pseudo-inverse, which costs it some digits
    nilearns = _poly_drift(order, frame_times)[:, :-1]
    np.testing.assert_allclose(made, nilearns, rtol=0, atol=1e-10)
