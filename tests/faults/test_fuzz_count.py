"""How many cases the fuzz tests try at length."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path


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
