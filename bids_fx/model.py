"""What is asked of the data: contrasts, as users write them and as the models need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A named contrast of conditions.

    Parameters
    ----------
    name : str
        As the user wrote it, for people.
    label : str
        Letters and digits only, for file names.
    terms : tuple of (str, int or None, float)
        Condition, index of its basis function (None: the condition's own column) and weight.
    formula : str
        The weights written out, for example ``0.5*face + 0.5*body - house``.
    test : str
        ``t``.
    """

    name: str
    label: str
    terms: tuple[tuple[str, int | None, float], ...]
    formula: str
    test: Literal["t"] = "t"
