"""Keeping what is known of nodes that failed, also where no crash file can be written.

nipype tells of a node that failed by its crash file alone: where the disk is full, the error of
that file would end the whole run, and hide the first.
"""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path
from typing import Any

from nipype.pipeline.engine.utils import topological_sort
from nipype.pipeline.plugins.base import DistributedPluginBase


class KeepsFailures(DistributedPluginBase):
    """What all plugins share; stands before nipype's class of those that have one.

    Attributes
    ----------
    untold : list of str
        What would stand in the crash files that could not be written.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.untold: list[str] = []

    def _report_crash(self, node: Any, result: dict[str, Any]) -> str:
        """Write a crash file and return its path, which is empty where it cannot be written."""
        told = result["traceback"]
        # nipype appends to it, and fails if it is in one piece.
        lines = [told] if isinstance(told, str) else list(told)
        folder = Path(node.config["execution"]["crashdump_dir"])
        before = set(folder.glob("crash-*"))
        try:
            return str(super()._report_crash(node, result=result | {"traceback": lines[:]}))
        except OSError:
            with contextlib.suppress(OSError):
                for path in {*folder.glob("crash-*")} - before:
                    path.unlink()  # half of it may be there
            place = f"Node: {node.fullname}\nWorking directory: {node.output_dir()}\n\n"
            self.untold.append(place + "".join(lines))
            return ""


class OneAfterTheOther(KeepsFailures):
    """Runs all nodes in this process, as nipype's plugin ``Linear`` does."""

    def run(self, graph: Any, config: Any, *, updatehash: bool = False) -> None:
        """Run the nodes of a graph in its order, but for those that wait for one that failed."""
        stops = config["execution"]["stop_on_first_crash"] == "true"
        left_out: set[Any] = set()
        for node in topological_sort(graph)[0]:
            if not left_out.isdisjoint(graph.predecessors(node)):
                left_out.add(node)
                continue
            self._status_callback(node, "start")
            status = "end"
            try:
                node.run(updatehash=updatehash)
            except Exception:  # noqa: BLE001 - a node may raise anything, and is told
                status = "exception"
                told = traceback.format_exc().splitlines(keepends=True)
                self._report_crash(node, {"result": None, "traceback": told})
                left_out.add(node)
            finally:
                self._status_callback(node, status)
            if status == "exception" and stops:
                break

    def stop(self) -> None:
        """Do nothing: what runs here has ended."""
