"""Mosaics of many rows: drawn in bands, of which one is in memory at a time."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bids_fx.report_settings import Threshold
from bids_fx.reports.figures import StatRow, draw_statmaps, save_bands, statmaps
from bids_fx.reports.figures.style import _rasterize
from bids_fx.reports.maps import Volume

FloatArray = npt.NDArray[np.float64]

SHAPE = (21, 25, 15)
AFFINE = np.array([[3.0, 0, 0, -30.0], [0, 3.0, 0, -40.0], [0, 0, 3.0, -20.0], [0, 0, 0, 1.0]])

#: Bands of equal noise differ in their mean error by some per cent.
PALETTE_FIT = 1.2


@pytest.fixture
def bands_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make bands of fewer rows, where the number of bands counts: they are drawn sooner."""
    monkeypatch.setattr(statmaps, "BAND_ROWS", 4)


def make_row(seed: int) -> StatRow:
    """Return a row with values of both signs on a background of many greys."""
    rng = np.random.default_rng(seed)
    background = Volume(data=rng.uniform(0.0, 1.0, SHAPE), affine=AFFINE)
    z = 3.0 * rng.standard_normal(SHAPE)
    return StatRow(name=f"run-{seed}", z=z, affine=AFFINE, background=lambda: background)


def make_rows(number: int) -> list[StatRow]:
    return [make_row(seed) for seed in range(number)]


def saved(rows: list[StatRow], path: Path) -> npt.NDArray[np.int_]:
    """Return red, green and blue of the pixels that are saved."""
    with Image.open(
        save_bands(draw_statmaps(rows, title="t", threshold=Threshold()), path)
    ) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def drawn(rows: list[StatRow]) -> npt.NDArray[np.int_]:
    """Return red, green and blue of the pixels before they get a palette."""
    bands = draw_statmaps(rows, title="t", threshold=Threshold())
    return np.concatenate([np.asarray(_rasterize(band)) for band in bands]).astype(int)


def plain_figure(colour: str) -> Figure:
    return Figure(figsize=(1.0, 0.2), facecolor=colour)


@pytest.mark.parametrize(
    ("number", "expected"), [(1, [1]), (12, [12]), (13, [12, 1]), (29, [12, 12, 5])]
)
def test_each_row_is_in_one_of_the_bands_of_twelve(number: int, expected: list[int]) -> None:
    names = []
    sizes = []
    for band in draw_statmaps(make_rows(number), title="t", threshold=Threshold(), cuts=[-2.0]):
        sizes.append(len(band.images))
        texts = [text.get_text() for text in band.texts]
        names += [text for text in texts if text.startswith("run-")]
    assert sizes == expected
    assert names == [f"run-{seed}" for seed in range(number)]


@pytest.mark.usefixtures("bands_of_four")
def test_only_the_first_band_has_title_coordinates_and_colour_bar() -> None:
    first, second, third = draw_statmaps(make_rows(9), title="face - house", threshold=Threshold())
    assert [len(band.axes) for band in (first, second, third)] == [1, 0, 0]
    for band in (second, third):
        texts = [text.get_text() for text in band.texts]
        assert "face - house" not in texts
        assert not any(text.startswith("z = ") for text in texts)


@pytest.mark.usefixtures("bands_of_four")
def test_bands_make_the_picture_that_is_drawn_in_one_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = make_rows(9)
    banded = drawn(rows)
    monkeypatch.setattr(statmaps, "BAND_ROWS", 1000)
    np.testing.assert_array_equal(banded, drawn(rows))


def test_palette_of_the_first_band_fits_the_others_as_well(tmp_path: Path) -> None:
    rows = make_rows(36)
    errors = np.abs(saved(rows, tmp_path / "a.png") - drawn(rows)).mean(axis=(1, 2))
    first, second, third = (part.mean() for part in np.array_split(errors, 3))
    assert 0.1 < first < 4.0
    assert max(second, third) < PALETTE_FIT * first


@pytest.mark.usefixtures("bands_of_four")
def test_paper_has_the_same_colour_in_all_bands(tmp_path: Path) -> None:
    picture = saved(make_rows(9), tmp_path / "a.png")
    assert len(np.unique(picture[:, 0], axis=0)) == 1


@pytest.mark.usefixtures("bands_of_four")
def test_many_rows_give_the_same_bytes_again(tmp_path: Path) -> None:
    first = save_bands(
        draw_statmaps(make_rows(6), title="t", threshold=Threshold()), tmp_path / "a.png"
    )
    second = save_bands(
        draw_statmaps(make_rows(6), title="t", threshold=Threshold()), tmp_path / "b.png"
    )
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("bands_of_four")
def test_a_band_is_let_go_before_the_next_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Figure]] = []
    alive: list[int] = []
    draw_band = statmaps._draw_band

    def record(*args: object, **options: object) -> Figure:
        alive.append(sum(figure() is not None for figure in made))
        figure = draw_band(*args, **options)
        made.append(weakref.ref(figure))
        return figure

    monkeypatch.setattr(statmaps, "_draw_band", record)
    save_bands(draw_statmaps(make_rows(13), title="t", threshold=Threshold()), tmp_path / "a.png")
    assert alive == [0, 0, 0, 0]


@pytest.mark.usefixtures("bands_of_four")
def test_rows_of_many_bands_are_let_go_one_after_the_other(tmp_path: Path) -> None:
    held = []

    class Anew:
        def __iter__(self) -> Iterator[StatRow]:
            read: list[weakref.ref[FloatArray]] = []
            for seed in range(9):
                row = make_row(seed)
                read.append(weakref.ref(row.z))
                held.append(sum(z() is not None for z in read))
                yield row
                del row

    save_bands(draw_statmaps(Anew(), title="t", threshold=Threshold()), tmp_path / "a.png")
    assert len(held) == 2 * 9
    assert max(held) == 2


def test_rows_that_can_be_gone_through_only_once_are_an_error() -> None:
    with pytest.raises(AssertionError, match="twice"):
        list(draw_statmaps(iter(make_rows(2)), title="t", threshold=Threshold()))


def test_bands_are_stacked_from_the_top_with_the_nearest_colours_of_the_first(
    tmp_path: Path,
) -> None:
    split = plain_figure("#102030")
    split.figimage(np.full((20, 50, 3), (200, 100, 50), np.uint8))
    bands = [split, plain_figure("#112131"), plain_figure("#c76332")]
    with Image.open(save_bands(bands, tmp_path / "a.png")) as image:
        column = np.asarray(image.convert("RGB"))[:, 70]
    assert column.shape == (60, 3)
    assert (column[:40] == (0x10, 0x20, 0x30)).all()
    assert (column[40:] == (200, 100, 50)).all()
