"""The interactive viewer of the page: the maps that it holds, and all that it needs for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import cast

import numpy as np

from bids_fx.derivatives.clusters import falls_more
from bids_fx.records import Plan
from bids_fx.reports.maps import FloatArray, Volume, is_covered, world_coordinates
from bids_fx.reports.page import ViewerPart
from bids_fx.reports.viewer_choice import FLAT, HIDDEN_PERCENT, Background, Choice, choices
from bids_fx.reports.viewer_maps import Box, Packed, encode, pack_background, pack_map
from bids_fx.threads import map_in_order

#: What a page may weigh with its viewer; what the maps may weigh, however much else is in it.
PAGE_BYTES, LEAST_BYTES = 12_000_000, 4_000_000

_LEFT_OUT = "The interactive viewer was left out by choice (--no-interactive)."
#: In the package, where the build found it.
LIBRARY = "viewer/niivue.umd.js"
_NO_LIBRARY = (
    "There is no interactive viewer here, since bids_fx was installed without NiiVue, which npm "
    "fetches while the package is built. The figures show the maps."
)
_NO_MAP = "There is no map that an interactive viewer could show."

#: Voxels around the results that are shown too.
_MARGIN = 2
#: Names of statistics for people, where they are not their labels.
_NAMES = {"isq": "I²"}


def viewer_part(plans: Sequence[Plan], out_dir: Path, *, room: int, n_threads: int) -> ViewerPart:
    """Gather what the viewer needs.

    Parameters
    ----------
    plans : sequence of Plan
        What the page shows, at least one; the first, the newest, says what reports show.
    out_dir : Path
        The output folder.
    room : int
        Bytes that the viewer may take in the page; its maps may have `LEAST_BYTES` in any case.
    n_threads : int
        Threads that pack maps; >= 1. The result does not depend on it.

    Returns
    -------
    ViewerPart
        A sentence alone where there is no viewer.
    """
    if plans[0].report.static:
        return ViewerPart(sentence=_LEFT_OUT)
    library = _library()
    if library is None:
        return ViewerPart(sentence=_NO_LIBRARY)
    script = _package_text("viewer.js")
    packed = encode(library.encode())
    contents = _Contents(room=max(LEAST_BYTES, room - len(packed) - len(script)))
    left_out = contents.fill(choices(plans, out_dir), n_threads)
    if not contents.maps:
        return ViewerPart(sentence=_NO_MAP)
    return ViewerPart(
        script=script,
        library=library,
        packed_library=packed,
        licence=_package_text("niivue-licence.txt"),
        catalogue=_json({"hidden": HIDDEN_PERCENT, **contents.record()}),
        blocks=tuple(contents.blocks),
        left_out=_by_kind(left_out),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PackedChoice:
    """A map that is ready for the page.

    Parameters
    ----------
    packed : Packed
        Its bytes.
    start : float
        Voxels beyond it are coloured at first.
    highest, lowest : list of 3 float
        Where the largest and the least value are, in mm.
    main : list of 3 float
        That of both with the larger absolute value.
    """

    packed: Packed
    start: float
    highest: list[float]
    lowest: list[float]
    main: list[float]


class _Contents:
    """What goes into the page: maps, the boxes that they fill, and the bytes of each.

    Parameters
    ----------
    room : int
        Bytes that there are for all of it.
    """

    def __init__(self, room: int) -> None:
        self.blocks: list[str] = []
        self.maps: list[tuple[Choice, dict[str, object]]] = []
        self._room = room
        self._boxes: dict[str, int] = {}
        self._backgrounds: dict[str, dict[str, object]] = {}

    def fill(self, wanted: Sequence[Choice], n_threads: int) -> list[Choice]:
        """Take maps until there is no room; return those that are left out.

        From the first that does not fit, all are left out, so that the order alone decides.
        """
        by_key: dict[str, list[Choice]] = {}
        for choice in wanted:
            by_key.setdefault(choice.key, []).append(choice)
        each = list(by_key.values())
        taken = 0
        for found in map_in_order(_pack, [same[0] for same in each], n_threads):
            # What is missing or without a result takes no room: the page tells of it elsewhere.
            if found is not None and not self._take(each[taken], found):
                break
            taken += 1
        return [choice for same in each[taken:] for choice in same]

    def record(self) -> dict[str, object]:
        """Return what the viewer must know of all maps.

        The maps of a contrast with the same statistic have the same ends of their colours.
        """
        limits: dict[tuple[str, str, str], float] = {}
        for choice, values in self.maps:
            scale = (choice.group, choice.contrast, choice.stat)
            limits[scale] = max(limits.get(scale, 0.0), cast("float", values["largest"]))
        return {
            "boxes": [json.loads(box) for box in self._boxes],
            "maps": [
                {
                    "group": choice.group,
                    "contrast": choice.contrast,
                    "result": choice.result,
                    "statistic": statistic(choice.stat),
                    "units": choice.units,
                    "threshold": choice.threshold,
                    "signed": not choice.one_sided,
                    "limit": limits[choice.group, choice.contrast, choice.stat],
                    **values,
                }
                for choice, values in self.maps
            ],
        }

    def _take(self, same: Sequence[Choice], found: _PackedChoice) -> bool:
        """Take a map under each of its names, if there is room for it."""
        n_blocks, n_boxes = len(self.blocks), len(self._boxes)
        background = same[0].background
        if background.key not in self._backgrounds:
            behind, name = _pack_background(background, found.packed.box)
            self._backgrounds[background.key] = {**self._add(behind), "name": name}
        values = {
            **self._add(found.packed),
            "largest": found.packed.largest,
            "start": found.start,
            "peak": found.highest,
            "lowest": found.lowest,
            "main": found.main,
            "behind": self._backgrounds[background.key],
        }
        boxes = list(self._boxes)[n_boxes:]
        self._room -= sum(map(len, (*self.blocks[n_blocks:], *boxes)))
        if self._room < 0:
            del self.blocks[n_blocks:]
            for box in boxes:
                del self._boxes[box]
            return False
        self.maps += [(choice, values) for choice in same]
        return True

    def _add(self, packed: Packed) -> dict[str, object]:
        """Add the bytes of a map and, if no other has the same, its box; return where they are."""
        self.blocks.append(packed.data)
        box = self._boxes.setdefault(_json(packed.box.record()), len(self._boxes))
        return {"block": len(self.blocks) - 1, "box": box, "step": packed.step}


def _pack(choice: Choice) -> _PackedChoice | None:
    """Pack a map; None where it is missing, damaged or without any result."""
    try:
        volume = choice.read()
    except OSError:
        return None
    values = volume.data
    # I squared is 0 wherever inputs differ by chance alone, other maps where there is no result.
    covered = np.isfinite(values) if choice.stat == "isq" else is_covered(values)
    if not covered.any():
        return None
    packed = pack_map(volume, covered, choice.stat)
    highest = _place(volume, np.where(covered, values, -np.inf))
    lowest = _place(volume, np.where(covered, -values, -np.inf))
    falls = falls_more(float(values[covered].max()), float(values[covered].min()))
    return _PackedChoice(
        packed=packed,
        # No voxel may survive a correction: then the least value that shows none.
        start=min(choice.cutoff(values[covered]), packed.largest),
        highest=highest,
        lowest=lowest,
        main=lowest if falls else highest,
    )


def _place(volume: Volume, values: FloatArray) -> list[float]:
    """Return where a map has its largest value, in mm; of equal ones the first in C order."""
    index = np.array(np.unravel_index(int(values.argmax()), values.shape))
    x, y, z = world_coordinates(index, volume.affine).tolist()
    return [x, y, z]


def _pack_background(background: Background, box: Box) -> tuple[Packed, str]:
    """Pack what is behind a map, with somewhat of what is around it; return it and its name."""
    try:
        volume = None if background.read is None else background.read()
    except OSError:
        volume = None
    name = FLAT if volume is None else background.name
    return pack_background(volume, box.grown(_MARGIN)), name


def statistic(stat: str) -> str:
    """Return the name of a statistic for people.

    Examples
    --------
    >>> statistic("isq"), statistic("z")
    ('I²', 'z')
    """
    return _NAMES.get(stat, stat)


def _by_kind(left_out: Sequence[Choice]) -> tuple[str, ...]:
    """Return what is left out, each kind of map with the contrasts that it is missing for."""
    kinds: dict[str, list[str]] = {}
    for choice in left_out:
        kind = f"{choice.group}, {choice.result}: {statistic(choice.stat)}"
        kinds.setdefault(kind, []).append(choice.contrast)
    return tuple(f"{kind} of {', '.join(names)}" for kind, names in kinds.items())


def _library() -> str | None:
    """Return NiiVue; None if the package came without it."""
    try:
        return _package_text(LIBRARY)
    except FileNotFoundError:
        return None


def _package_text(name: str) -> str:
    """Return a text of the package's data; raises FileNotFoundError where it is not there."""
    return (resources.files("bids_fx") / "data" / name).read_text(encoding="utf-8")


def _json(values: Mapping[str, object]) -> str:
    """Return JSON that a script element can hold, whatever the texts in it."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
