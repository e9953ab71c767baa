"""The container that this process runs in, if it does."""

from __future__ import annotations

import os

#: What Apptainer, and Singularity, say of the image; the newer ones say both.
IMAGE_VARIABLES = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")
#: Set in the images of this program.
TAG_VARIABLE = "BIDS_FX_DOCKER_TAG"


def image_around() -> str | None:
    """Return the image of Apptainer or Singularity; None outside of one."""
    return next((os.environ[name] for name in IMAGE_VARIABLES if os.environ.get(name)), None)


def tag_around() -> str | None:
    """Return the tag of this program's image, of Docker or made of Docker's; None outside."""
    return os.environ.get(TAG_VARIABLE) or None
