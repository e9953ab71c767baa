"""What is wrong with an instruction that cannot be carried out, apart from what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from bids_fx.transforms.convolve import convolve
from bids_fx.transforms.records import TransformError
from bids_fx.transforms.sampling import to_dense
from tests.small_runs import CLOCK, carry_out, events, samples

VALUES = {
    "a": events([1, 2]),
    "b": events([1, 2, 3]),
    "t": events(["x", "y"]),
    "s": samples([1, 1]),
    "u": samples([1, 2, 3]),
}


@pytest.mark.parametrize(
    ("raw", "found", "remedy"),
    [
        ({"Name": "Lag", "Input": "a"}, "'a' has events, and Lag works on", "use ToDense first"),
        ({"Name": "Resample", "Input": "a"}, "'a' has events", "use ToDense first"),
        ({"Name": "ToDense", "Input": "s"}, "'s' has samples already", "use Resample"),
        (
            {"Name": "Demean", "Input": "t"},
            "'t' holds texts",
            "make numbers of them by Factor first",
        ),
        (
            {"Name": "Scale", "Input": "s"},
            "'s': has no two different values and cannot be rescaled",
            "'ReplaceNA' 'after' would give 0",
        ),
        (
            {"Name": "Sum", "Input": ["a", "s"], "Output": "c"},
            "'a' has events and 's' has samples",
            "use ToDense or Convolve on 'a' first",
        ),
        (
            {"Name": "Sum", "Input": ["a", "b"], "Output": "c"},
            "'a' and 'b' have not the same events",
            "use ToDense or Convolve on them first",
        ),
        (
            {"Name": "Sum", "Input": ["s", "u"], "Output": "c"},
            "'s' and 'u' have not the same samples",
            "use Resample first",
        ),
        (
            {"Name": "Demean", "Input": "a*", "Output": ["c", "d"]},
            "the inputs are a in this run, but the outputs c, d",
            "name one output for each input",
        ),
        ({"Name": "Power", "Input": "a", "Value": 1e9}, "'a': 2 cannot be taken, the", ""),
    ],
)
def test_remedy_stands_apart(raw: dict[str, Any], found: str, remedy: str) -> None:
    with pytest.raises(TransformError) as caught:
        carry_out(VALUES, raw)
    error = caught.value
    assert error.found.startswith(f"instruction 1 ({raw['Name']}): {found}")
    assert error.remedy == remedy
    assert str(error) == error.found + (f"; {remedy}" if remedy else "")
    assert remedy or ";" not in error.found


def test_remedy_for_texts_is_told_by_sampling_and_convolution() -> None:
    with pytest.raises(TransformError) as sampled:
        to_dense(VALUES["t"], CLOCK)
    with pytest.raises(TransformError) as convolved:
        convolve("t", VALUES["t"], CLOCK, "spm")
    assert (sampled.value.found, convolved.value.found) == (
        "its values are texts",
        "'t' holds texts",
    )
    told = {sampled.value.remedy, convolved.value.remedy}
    assert told == {"take them apart by Factor first"}
