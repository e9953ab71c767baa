"""How many cases the fuzz tests try at length, and that one that hangs fails."""

from __future__ import annotations

import importlib.util
import math
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from bids_fx.cli.program import run_program
from tests.fuzzing import in_time


def test_a_hundred_thousand_cases_are_tried_at_length():
    n_cases = 0
    for path in sorted(Path(__file__).parent.glob("test_fuzz_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for test in vars(module).values():
            marks = [one for one in getattr(test, "pytestmark", []) if one.name == "parametrize"]
            times = math.prod(len(mark.args[1]) for mark in marks)
            n_cases += times * getattr(test, "cases_in_soak", 0)
    assert n_cases >= 100_000, f"{n_cases} cases"


@pytest.mark.parametrize("is_caught", [False, True])
def test_what_hangs_in_the_program_fails_the_case_at_which_it_does(is_caught):
    def hang(*_):
        run_program("program", lambda *_: 0, [])  # whose end is not that of the deadline
        with suppress(AssertionError) if is_caught else nullcontext():
            threading.Event().wait(60)
        return 0

    with pytest.raises(AssertionError, match="not done after"), in_time(0.2):
        run_program("program", hang, [])
