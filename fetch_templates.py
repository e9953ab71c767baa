"""Fetches the standard brains that reports are drawn on, while the container image is built.

TemplateFlow's client keeps an empty file for each file of its archive. Only what was really
downloaded goes into the image; without a network that is nothing, and the build goes on.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from templateflow.client import TemplateFlowClient

TEMPLATES = ("MNI152NLin2009cAsym", "MNI152NLin6Asym")
RESOLUTIONS = (1, 2)
#: Suffix and description of the head, and of the mask of its brain.
IMAGES = (("T1w", None), ("mask", "brain"))
DESCRIPTION = "template_description.json"


def fetch(client: TemplateFlowClient, target: Path) -> list[Path]:
    """Copy the templates into a folder, as far as they can be had.

    Parameters
    ----------
    client : TemplateFlowClient
        Downloads into an archive of its own.
    target : Path
        The folder; it gets the layout of the archive.

    Returns
    -------
    list of Path
        The images in it. After one that cannot be had no other is tried: without a network,
        each takes its time to fail.
    """
    copied: list[Path] = []
    wanted = [
        {"template": template, "resolution": resolution, "suffix": suffix, "desc": desc}
        for template in TEMPLATES
        for resolution in RESOLUTIONS
        for suffix, desc in IMAGES
    ]
    for entities in wanted:
        try:
            image = _download(client, entities)
        except (OSError, RuntimeError, EOFError, zlib.error) as error:
            _say(f"{entities['template']} cannot be had ({error})")
            break
        for file in (image, image.parent / DESCRIPTION):
            place = target / file.relative_to(client.cache.config.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
        copied.append(target / image.relative_to(client.cache.config.root))
    return copied


def _download(client: TemplateFlowClient, entities: Mapping[str, str | int | None]) -> Path:
    """Return an image in the client's archive.

    Raises
    ------
    OSError, RuntimeError
        Where it cannot be had.
    EOFError, zlib.error
        Where only a part of it came.
    """
    found = client.get(**entities, extension=".nii.gz")
    if not isinstance(found, Path):
        raise FileNotFoundError(f"the archive has {len(found)} images for {entities}")
    # What a portal answers instead, and half a file, are no templates.
    with gzip.open(found) as content:
        content.seek(0, io.SEEK_END)
    return found


def _say(text: str) -> None:
    """Tell the builder."""
    sys.stderr.write(f"bids_fx: TemplateFlow: {text}\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as archive:
        os.environ["TEMPLATEFLOW_HOME"] = archive  # read when it is imported
        from templateflow.client import TemplateFlowClient

        images = fetch(TemplateFlowClient(root=archive), Path(sys.argv[1]))
    _say(f"{len(images)} images are in the container image.")
