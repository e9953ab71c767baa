"""What the tests of the input layer share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.dataset.trees import Tree, write_text


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def make_table(tmp_path: Path) -> Callable[[str, Sequence[Sequence[object]]], Path]:
    """Return a function that writes a table, its first row the header."""

    def make(name: str, rows: Sequence[Sequence[object]]) -> Path:
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        return write_text(tmp_path / name, text)

    return make
