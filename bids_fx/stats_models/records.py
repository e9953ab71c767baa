"""The records of a BIDS Stats Model: as the specification has it, in one spelling.

None of them touches a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bids_fx.transforms.records import Instruction

NodeLevel = Literal["run", "session", "subject", "dataset"]
NodeTest = Literal["t", "F", "pass"]

#: What stands in lists of conditions for the intercept: no name of a variable, as a 1 may be.
INTERCEPT = "(intercept)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHRF:
    """The haemodynamic response function that ``Model.HRF`` names.

    Parameters
    ----------
    variables : tuple of str
        Names in X, or shell patterns of them, that are convolved.
    hrf_model : str
        As `bids_fx.glm.names.normalise_hrf_name` spells it.
    """

    variables: tuple[str, ...]
    hrf_model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContrast:
    """A contrast of a node.

    Parameters
    ----------
    name : str
        As in the file; unique in its node.
    conditions : tuple of str
        Names in X; `INTERCEPT` stands for the intercept.
    weights : tuple of tuple of float
        One row for a t test, one or more for an F test; each as long as `conditions`.
    test : str
        ``t``, ``F`` or ``pass``.
    """

    name: str
    conditions: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    test: NodeTest = "t"


@dataclass(frozen=True, slots=True, kw_only=True)
class DummyContrasts:
    """One contrast for each column of X, or for those that are named.

    Parameters
    ----------
    conditions : tuple of str or None
        None means all of X.
    test : str
        ``t``, ``F`` or ``pass``.
    """

    conditions: tuple[str, ...] | None = None
    test: NodeTest = "t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the graph.

    Parameters
    ----------
    name : str
        Unique in the model.
    level : str
        ``run``, ``session``, ``subject`` or ``dataset``.
    group_by : tuple of str
        Short entity keys (``sub``, ``ses``, ``run``, ``task``, …) and ``contrast``.
    model_type : str
        ``glm`` at run level, ``meta`` above it; what a node at dataset level says.
    x : tuple of str
        Names of variables or shell patterns of them, without the intercept.
    has_intercept : bool
        Whether X names the intercept.
    instructions : tuple of Instruction
        The transformations, in order.
    hrf : ModelHRF or None
        What ``Model.HRF`` says.
    high_pass_hz : float or None
        ``Options.HighPassFilterCutoffHz``; > 0.
    contrasts : tuple of NodeContrast
        In the file's order.
    dummies : DummyContrasts or None
        None where there are none.
    software : mapping of str to object
        ``Model.Software.bids_fx``: settings of this program, checked and in the spelling of
        `bids_fx.settings.AnalysisSettings` (field name to value).
    labels : mapping of str to str
        Labels for file names by the names of contrasts, where they are not made from the names.
    """

    name: str
    level: NodeLevel
    group_by: tuple[str, ...] = ()
    model_type: str = "glm"
    x: tuple[str, ...] = ()
    has_intercept: bool = False
    instructions: tuple[Instruction, ...] = ()
    hrf: ModelHRF | None = None
    high_pass_hz: float | None = None
    contrasts: tuple[NodeContrast, ...] = ()
    dummies: DummyContrasts | None = None
    software: Mapping[str, object] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def says_convolution(self) -> bool:
        """Whether it says anything of convolution; otherwise events get the default HRF."""
        return self.hrf is not None or any(item.name == "Convolve" for item in self.instructions)

    @property
    def dummy_names(self) -> tuple[str, ...]:
        """What its dummy contrasts are of: what they name, or all of X.

        The intercept of a run is not among them: it is the signal that effects are percent of.
        Above the runs it is the mean of what comes, which an X without any name means too.
        """
        if self.dummies is None:
            return ()
        if self.dummies.conditions is not None:
            return self.dummies.conditions
        if self.level == "run":
            return self.x
        return (*self.x, INTERCEPT) if self.has_intercept or not self.x else self.x

    @property
    def names_cosines(self) -> bool:
        """Whether X names the drift columns of a confounds table."""
        return any(name.casefold().startswith("cosine") for name in self.x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What one node passes to another.

    Parameters
    ----------
    source, destination : str
        Names of nodes.
    filter : mapping of str to tuple of str
        Values by short entity key or ``contrast``; a result passes if it has one value of each.
    """

    source: str
    destination: str
    filter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsModel:
    """A BIDS Stats Model.

    Parameters
    ----------
    name, description, version : str
        As in the file; perhaps empty.
    input : mapping of str to tuple of str
        Labels by short entity key: the images that it is about.
    nodes : tuple of Node
        In the file's order; exactly one is of level ``run``, and it is the root of the graph.
    edges : tuple of Edge
        Also where the file has none and the nodes are chained. Each node but the root is the
        destination of exactly one.
    """

    name: str
    description: str = ""
    version: str = ""
    input: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    @property
    def root(self) -> Node:
        """The node at run level."""
        return next(node for node in self.nodes if node.level == "run")

    def node(self, name: str) -> Node:
        """Return the node of a name."""
        return next(node for node in self.nodes if node.name == name)

    def source_of(self, node: Node) -> Edge:
        """Return the edge that leads to a node other than the root."""
        return next(edge for edge in self.edges if edge.destination == node.name)
