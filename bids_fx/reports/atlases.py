"""Names of regions: the participant's own segmentation, or an atlas of the standard space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_fx.inputs import BoldRun
from bids_fx.records import RunPlan
from bids_fx.reports import maps
from bids_fx.reports.anatomy import template_files

#: Atlases of the TemplateFlow archive, the best first: their name, and of each of their parts
#: the labels ``atlas-`` and ``desc-``. What the first part does not name, the next one may.
_ATLASES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Harvard-Oxford (25 % maximum probability)", (("HOCPA", "th25"), ("HOSPA", "th25"))),
    ("Harvard-Oxford (maximum probability)", (("HOCPA", "th0"), ("HOSPA", "th0"))),
    ("Schaefer 2018 (400 parcels, 7 networks)", (("Schaefer2018", "400Parcels7Networks"),)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """Regions of a space.

    Parameters
    ----------
    name : str
        What it is, for people.
    parts : tuple of (Path, Path)
        Image of region numbers, and table of their names.
    """

    name: str
    parts: tuple[tuple[Path, Path], ...]

    def regions(self, places: Iterable[tuple[float, float, float]]) -> list[str | None]:
        """Return the regions of some places in mm; None outside of all.

        Raises
        ------
        OSError
            Where an image or a table cannot be read.
        """
        wanted = list(places)
        found: list[str | None] = [None] * len(wanted)
        for image, table in self.parts:
            names = _read_names(table)
            volume = maps.read_volume(image)
            for index, place in enumerate(wanted):
                if found[index] is None:
                    found[index] = _region(volume, names, place)
        return found


def find_atlas(run: RunPlan) -> Atlas | None:
    """Return the atlas of a run's space that is at hand.

    Parameters
    ----------
    run : RunPlan
        The run.

    Returns
    -------
    Atlas or None
        The participant's own segmentation in that space, else the best atlas of the local
        TemplateFlow archive; None where neither is on this machine. Nothing is ever downloaded.
    """
    source = run.source
    own = source.segmentation if isinstance(source, BoldRun) else None
    if own is not None and all(file.is_file() for file in own):
        image, table = own
        return Atlas(
            name=f"the participant's own segmentation, {image.name}", parts=((image, table),)
        )
    for name, wanted in _ATLASES:
        parts = [part for one in wanted if (part := _find_part(run, *one)) is not None]
        if parts:
            return Atlas(
                name=f"{name}, {', '.join(atlas for atlas, _ in wanted)}", parts=tuple(parts)
            )
    return None


def _find_part(run: RunPlan, atlas: str, desc: str) -> tuple[Path, Path] | None:
    """Return image and table of an atlas of a run's template, if both were downloaded.

    Of several resolutions, the coarsest is the quickest to read.
    """
    images = template_files(run, f"*_atlas-{atlas}_desc-{desc}_dseg.nii.gz")
    tables = [
        *template_files(run, f"*_atlas-{atlas}_desc-{desc}_dseg.tsv"),
        *template_files(run, f"*_atlas-{atlas}_dseg.tsv"),
    ]
    return (images[0], tables[0]) if images and tables else None


def _read_names(table: Path) -> dict[int, str]:
    """Return the names of regions by number, from a table with the columns of BIDS.

    Raises
    ------
    OSError
        Where it cannot be read.
    """
    try:
        head, *lines = table.read_text(encoding="utf-8").splitlines()
        index, name = (head.split("\t").index(column) for column in ("index", "name"))
        cells = [line.split("\t") for line in lines if line.strip()]
        return {int(float(row[index])): " ".join(row[name].split()) for row in cells}
    except (ValueError, IndexError) as error:
        raise OSError(f"{table.name} is no table of regions: {error}") from error


def _region(
    volume: maps.Volume, names: Mapping[int, str], place: tuple[float, float, float]
) -> str | None:
    """Return the name of the region whose voxel is the nearest to a place."""
    value = maps.value_at(volume, place)
    return None if np.isnan(value) or value == 0 else names.get(round(value))
