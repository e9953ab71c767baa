"""Saved figures: same bytes, no dates, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bids_fx.reports.figures import draw_correlation, draw_design, save_bands, save_figure
from bids_fx.reports.files import data_uri, image_size
from tests.small_plans import make_design


def grey_figure() -> Figure:
    figure = Figure(figsize=(2.0, 1.0))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.linspace(0, 1, 5000).reshape(50, 100), cmap="gray", aspect="auto")
    axes.set_axis_off()
    return figure


@pytest.mark.parametrize("draw", [draw_design, draw_correlation])
def test_same_design_gives_the_same_svg(draw, tmp_path: Path) -> None:
    first = save_figure(draw(make_design()), tmp_path / "a.svg").read_bytes()
    assert save_figure(draw(make_design()), tmp_path / "b.svg").read_bytes() == first


def test_users_own_matplotlib_settings_change_nothing(tmp_path: Path) -> None:
    first = save_figure(draw_design(make_design()), tmp_path / "a.svg").read_bytes()
    with mpl.rc_context({"font.size": 30, "image.cmap": "jet", "svg.fonttype": "path"}):
        assert save_figure(draw_design(make_design()), tmp_path / "b.svg").read_bytes() == first


def test_drawing_leaves_matplotlib_settings_as_they_were(tmp_path: Path) -> None:
    with mpl.rc_context({"font.size": 17.0}):
        save_figure(draw_design(make_design()), tmp_path / "a.svg")
        assert mpl.rcParams["font.size"] == 17.0


def test_svg_has_no_date_and_no_version(tmp_path: Path) -> None:
    text = save_figure(draw_design(make_design()), tmp_path / "a.svg").read_text()
    assert "dc:date" not in text
    assert mpl.__version__ not in text


def test_text_in_an_svg_stays_text(tmp_path: Path) -> None:
    text = save_figure(draw_design(make_design()), tmp_path / "a.svg").read_text()
    assert ">trans_x</text>" in text


def test_png_has_a_palette_no_metadata_and_the_colours_of_the_figure(tmp_path: Path) -> None:
    path = save_bands([grey_figure()], tmp_path / "a.png")
    with Image.open(path) as image:
        assert image.mode == "P"
        assert image.size == (200, 100)
        assert image.info.keys() <= {"dpi", "transparency"}
        grey = np.asarray(image.convert("RGB")).astype(int)
    # A ramp of 256 greys keeps its ends, and no step is seen
    assert grey.min() <= 4
    assert grey.max() >= 251
    assert np.abs(np.diff(grey[:, 0, 0])).max() <= 12


def test_nothing_but_the_figure_is_left_in_the_folder(tmp_path: Path) -> None:
    save_bands([grey_figure()], tmp_path / "figures" / "a.png")
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["a.png"]


def test_data_uri_names_the_kind_of_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x00\x01")
    assert data_uri(path) == "data:image/png;base64,AAE="


def test_size_of_a_picture_is_in_pixels_of_the_page(tmp_path: Path) -> None:
    figure = Figure(figsize=(3.0, 1.5))
    for ending, size in ((".svg", (288.0, 144.0)), (".png", (300, 150))):
        path = tmp_path / f"figure{ending}"
        figure.savefig(path, dpi=100)
        assert image_size(path) == size


@pytest.mark.parametrize("name", ["a.svg", "a.png"])
def test_picture_that_tells_no_size_has_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"<svg>")
    assert image_size(tmp_path / name) is None
