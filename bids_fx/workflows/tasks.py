"""What nodes do, in words: by these progress, failures and what is left are told."""

from __future__ import annotations

import re
from typing import Any


def fitting(key: str) -> str:
    """Return the task of fitting a run."""
    return f"fitting {key}"


def combining(label: str, key: str) -> str:
    """Return the task of combining a contrast of a group."""
    return f"combining {label} of {key}"


def joining(key: str) -> str:
    """Return the task of joining the masks of a group's contrasts."""
    return f"joining the masks of {key}"


def drawing(label: str, key: str) -> str:
    """Return the task of drawing a contrast of a group."""
    return f"drawing {label} of {key}"


def is_idle(inputs: Any, folder: str) -> bool:
    """Tell whether a node has nothing to do with its run, as fits and their figures may.

    Parameters
    ----------
    inputs : traits of an interface
        With `todo`, if it is of a run; the run that nipype will give it is not in them yet.
    folder : str
        The node's working directory, which names the run.
    """
    todo = getattr(inputs, "todo", None)
    return todo is not None and _run_of(folder) not in todo


def _run_of(folder: str) -> str | None:
    """Return the key of the run that a node's working directory belongs to."""
    found = re.search(r"/_run_([^/]+)/", folder)
    return found[1] if found else None


def describe_node(fullname: str, folder: str) -> tuple[str, str]:
    """Return participant and task of a node from its name and its working directory.

    Examples
    --------
    >>> describe_node("nipype.sub_01.subject_task-x.fit_run", "/w/_run_task-x_run-1/fit_run")
    ('01', 'fitting task-x_run-1')
    >>> describe_node("nipype.sub_01.subject_task-x.draw_face", "/w/draw_face")
    ('01', 'drawing face of subject_task-x')
    """
    *_, group, node = ["", *fullname.replace("_plus_", "+").split(".")]
    participant = re.search(r"\.sub_([^.]+)", fullname)
    if node == "fit_run":
        task = fitting(_run_of(folder) or group)
    elif node == "show_fit":
        task = f"drawing the fit of {_run_of(folder) or group}"
    elif node.startswith("combine_"):
        task = combining(node.removeprefix("combine_"), group)
    elif node == "join_masks":
        task = joining(group)
    elif node.startswith("draw_"):
        task = drawing(node.removeprefix("draw_"), group)
    elif node.startswith("figures_"):
        task = f"drawing the design of {node.removeprefix('figures_')}"
    else:
        task = ""
    return participant[1].replace("_plus_", "+") if participant else "", task
