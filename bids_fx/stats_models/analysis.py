"""What a model asks of runs, and by which steps it combines them.

A contrast of contrasts is a contrast of the run's own regressors wherever it can be: effects of
one run share its noise, so that the variance of their difference is not the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bids_fx.errors import Notice, Problem
from bids_fx.stats_models.labels import Labels, formula_labels
from bids_fx.stats_models.names import long_key, plain_name, read_name
from bids_fx.stats_models.offers import Offer
from bids_fx.stats_models.outputs import split_keys
from bids_fx.stats_models.records import (
    INTERCEPT,
    DummyContrasts,
    Node,
    NodeContrast,
    StatsModel,
)
from bids_fx.stats_models.sums import (
    Sums,
    asked_of,
    common_weights,
    composed,
    only_passes,
    with_plain_names,
)
from bids_fx.steps import Cell, Step, StepContrast
from bids_fx.transforms.scope import is_pattern

#: Entities over which several labels of ``Input`` are combined if ``GroupBy`` leaves them out.
POOLED = ("task", "acq", "ce", "rec", "dir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A model as the plan needs it.

    Parameters
    ----------
    model : StatsModel
        What it was made from.
    where : str
        The model's file, for messages.
    contrasts : tuple of NodeContrast
        Of each run: those of the run's node, and those that later nodes make of them.
    steps : tuple of Step
        How results of runs are combined.
    labels : mapping of str to str
        Labels for file names by the names of contrasts, as far as the names are known.
    problems : tuple of Problem
        What cannot be done.
    notices : tuple of Notice
        What was assumed, and what is not run.
    """

    model: StatsModel
    where: str
    contrasts: tuple[NodeContrast, ...] = ()
    steps: tuple[Step, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def dummies(self) -> DummyContrasts | None:
        """The run node's dummy contrasts, whose names may be patterns."""
        return self.model.root.dummies

    @property
    def factors(self) -> tuple[str, ...]:
        """Columns of events tables that the run node makes conditions of."""
        return tuple(
            name
            for item in self.model.root.instructions
            if item.name == "Factor"
            for name in item.inputs
            if name != "trial_type"
        )


def analyse(model: StatsModel, where: str) -> Analysis:
    """Turn the nodes of a model into contrasts of runs and steps that combine them.

    Parameters
    ----------
    model : StatsModel
        As `bids_fx.stats_models.read.read_model` returns it.
    where : str
        The model's file, for messages.
    """
    walk = _Walk(model, where)
    walk.visit_all()
    return Analysis(
        model=model,
        where=where,
        contrasts=tuple(walk.contrasts.values()),
        steps=tuple(walk.steps.values()),
        labels=walk.labels,
        problems=tuple(walk.problems),
        notices=tuple(walk.notices),
    )


class _Walk:
    """A walk over the nodes, from the runs on."""

    def __init__(self, model: StatsModel, where: str) -> None:
        self.model = model
        self.where = where
        self.contrasts = {one.name: one for one in map(with_plain_names, model.root.contrasts)}
        self.steps: dict[str, Step] = {}
        self._labels = Labels(formula_labels(self.contrasts.values()) | self._stated_labels())
        self.problems: list[Problem] = []
        self.notices: list[Notice] = []
        self._offers = {model.root.name: Offer(names=self._run_names(model.root))}
        for name in (*self.contrasts, *(self._offers[model.root.name].names or ())):
            self._labels.of(name)

    @property
    def labels(self) -> dict[str, str]:
        """Labels for file names by the names of contrasts."""
        return self._labels.by_name

    def _stated_labels(self) -> dict[str, str]:
        """Return the labels that the nodes state; a contrast has one throughout."""
        labels: dict[str, str] = {}
        for node in self.model.nodes:
            for name, label in node.labels.items():
                if labels.setdefault(plain_name(name), label) != label:
                    found = f"another node gives contrast '{name}' the label {labels[name]}"
                    self._refuse(node, found, "give it one label, or the contrast another name")
        return labels

    def visit_all(self) -> None:
        """Visit each node after its source."""
        dummies = self.model.root.dummies
        if dummies is not None and dummies.conditions is None:
            self._tell(
                f"{self.where}: DummyContrasts of node '{self.model.root.name}' names nothing: "
                "contrasts are made of the conditions in X, not of its confounds and intercept."
            )
        left = [node for node in self.model.nodes if node is not self.model.root]
        while left:
            ready = [n for n in left if self.model.source_of(n).source in self._offers]
            assert ready, "the reader refuses nodes that are not reached"
            for node in ready:
                self._visit(node)
                left.remove(node)
        whole = [step for step in self.steps.values() if self._takes_all(step)]
        self.steps |= {step.name: replace(step, contrasts=None) for step in whole}

    def _takes_all(self, step: Step) -> bool:
        """Tell whether a step combines all that it gets, as it comes.

        It then needs no list, and combines what ``--contrast`` adds too.
        """
        if step.source is None:
            known = self._run_names(self.model.root) or ()
            names = {*known, *self.contrasts}
        else:
            names = {item.name for item in self.steps[step.source].contrasts or ()}
        made = step.contrasts or ()
        return names == {item.name for item in made} and all(
            item.is_plain and item.label == item.source for item in made
        )

    def _visit(self, node: Node) -> None:
        offer = self._arriving(node)
        if node.level == "dataset":
            self._offers[node.name] = offer
            return
        offer = self._with_splits(node, offer)
        asked = asked_of(node)
        if only_passes(node, asked):
            self._offers[node.name] = offer
            return
        made = [item for one in asked for item in self._made(node, one, offer)]
        is_open = offer.names is None and not made and not self.problems
        over = self._over(node)
        self.steps[node.name] = Step(
            name=node.name,
            # What keeps the sessions apart stands for a session, whatever its node is called.
            level="subject" if "ses" in over else "session",
            source=offer.step,
            over=over,
            contrasts=None if is_open else tuple(made),
            combination=_text(node.software.get("combination")),
        )
        names = None if is_open else tuple(item.name for item in made)
        self._offers[node.name] = Offer(step=node.name, names=names)

    def _run_names(self, root: Node) -> tuple[str, ...] | None:
        """Return the names of the contrasts of runs; None where patterns leave them open."""
        names = list(self.contrasts)
        if root.dummies is not None:
            dummies = root.dummies.conditions
            if dummies is None or any(is_pattern(name) for name in dummies):
                return None
            names += [plain_name(name) for name in dummies]
        return tuple(dict.fromkeys(names))

    def _arriving(self, node: Node) -> Offer:
        """Return what arrives at a node through its edge's filter."""
        edge = self.model.source_of(node)
        offer = self._offers[edge.source]
        labels = dict(offer.labels)
        names = offer.names
        for key, values in edge.filter.items():
            if key == "contrast":
                wanted = tuple(map(plain_name, values))
                names = wanted if names is None else tuple(n for n in names if n in wanted)
            elif key == "sub":
                self._refuse(node, "its edge filters participants", "use Input or the options")
            elif len(values) != 1:
                found = f"its edge passes several labels of {key}"
                self._refuse(node, found, "let one edge pass one label, or all of them")
            else:
                labels[key] = values[0]
        return replace(offer, names=names, labels=labels)

    def _with_splits(self, node: Node, offer: Offer) -> Offer:
        """Add the names that a node's Split and Factor make of entities."""
        splits, factors = dict(offer.splits), list(offer.factors)
        for item in node.instructions:
            keys = split_keys(replace(node, instructions=(item,)))
            if item.name == "Split" and len(keys) == 1:
                splits |= dict.fromkeys(map(plain_name, item.inputs), keys[0])
            elif item.name == "Factor" and len(item.inputs) == 1:
                splits[item.inputs[0]] = keys[0]
                factors.append(item.inputs[0])
            else:
                found = f"{item.where}: {item.name} is not handled above run level"
                self._refuse(node, found, "use Split or Factor by one entity, such as session")
        return replace(offer, splits=splits, factors=tuple(factors))

    def _over(self, node: Node) -> tuple[str, ...]:
        """Return the entities that a node combines over."""
        stated = node.software.get("combine_over", self.model.root.software.get("combine_over"))
        if stated is not None:
            assert isinstance(stated, tuple)
            return tuple(key for key in stated if not (key == "ses" and node.level == "session"))
        several = [key for key in POOLED if len(self.model.input.get(key, ())) > 1]
        over = tuple(key for key in ("run", "ses", *several) if key not in node.group_by)
        if pooled := [key for key in several if key in over]:
            # The command line never combines tasks; a file that lists them and does not group by
            # them says so.
            names = " and ".join(map(long_key, pooled))
            self._tell(
                f"{self.where}: node '{node.name}' combines over {names}, since Input has several "
                "and GroupBy does not name it."
            )
        if not over:
            self._refuse(node, "its GroupBy leaves nothing to combine", "take 'run' out of it")
        return over

    def _made(self, node: Node, asked: NodeContrast, offer: Offer) -> list[StepContrast]:
        """Return what a node makes of one contrast that it asks for."""
        if asked.conditions == (INTERCEPT,) and len(asked.weights) == 1:
            return self._means(node, asked, offer)
        factored = any(offer.split(name)[0] in offer.factors for name in asked.conditions)
        if not factored:
            item = self._combined(node, asked, offer)
            return [] if item is None else [item]
        if offer.names is None:
            self._refuse_open(node)
            return []
        made = [self._combined(node, asked, offer, of=name) for name in offer.names]
        return [item for item in made if item is not None]

    def _means(self, node: Node, asked: NodeContrast, offer: Offer) -> list[StepContrast]:
        """Return the plain combination of each contrast that arrives, times a weight."""
        weight = asked.weights[0][0]
        is_own = read_name(asked.name) == INTERCEPT
        if offer.names is None:
            if not is_own or weight != 1.0 or offer.labels:
                self._refuse_open(node)
            return []
        made = []
        for name in offer.names:
            own = name if is_own else f"{name}_{asked.name}"
            cell = Cell(weight=weight, labels=dict(offer.labels))
            made.append(self._step_contrast(node, own, name, (cell,)))
        return made

    def _combined(
        self, node: Node, asked: NodeContrast, offer: Offer, of: str | None = None
    ) -> StepContrast | None:
        """Return a contrast of contrasts, or of one contrast's means over parts of the results."""
        rows = [self._sums(asked, row, offer, of) for row in asked.weights]
        name = asked.name if of is None else f"{of}_{asked.name}"
        places = {place for sums in rows for place in sums}
        if len(rows) > 1 or asked.test == "F":
            if places != {tuple(sorted(offer.labels.items()))}:
                found = f"contrast '{asked.name}' is an F test over parts of the data"
                self._refuse(node, found, "make t contrasts of it")
                return None
            source = self._compose(offer.step, name, [next(iter(s.values())) for s in rows], node)
            cells: tuple[Cell, ...] = (Cell(weight=1.0, labels=dict(offer.labels)),)
        else:
            base, scales = common_weights(rows[0])
            if base is None:
                found = f"contrast '{asked.name}' weighs other contrasts in each part of the data"
                self._refuse(node, found, "weigh the same contrast in all parts")
                return None
            if len(base) == 1:
                (source,) = base
            else:
                source = self._compose(offer.step, name, [base], node)
            cells = tuple(
                Cell(weight=scale, labels=dict(place)) for place, scale in scales.items()
            )
        return self._step_contrast(node, name, source, cells)

    def _sums(
        self, asked: NodeContrast, row: Sequence[float], offer: Offer, of: str | None
    ) -> Sums:
        """Return the weights of a row by the results that they are of, and by contrast."""
        sums: Sums = {}
        for condition, weight in zip(asked.conditions, row, strict=True):
            if weight == 0:
                continue
            before, level = offer.split(condition)
            labels = dict(offer.labels)
            name = plain_name(condition)
            if level is not None:
                labels[offer.splits[before]] = level
                name = of if of is not None and before in offer.factors else before
            place = tuple(sorted(labels.items()))
            sums.setdefault(place, {})[name] = weight
        return sums

    def _compose(
        self, step: str | None, name: str, rows: Sequence[Mapping[str, float]], node: Node
    ) -> str:
        """Make a contrast of contrasts a contrast of what they are made from; return its name."""
        if step is None:
            whole = composed(name, rows, {n: self._of_runs(n) for row in rows for n in row})
            if self.contrasts.setdefault(name, whole) != whole:
                found = f"contrast '{name}' has another meaning in node '{self.model.root.name}'"
                self._refuse(node, found, "give it another name")
            self._labels.of(name)
            self._tell(
                f"{self.where}: contrast '{name}' of node '{node.name}' is computed in each run, "
                "since effects of one run are not independent.",
            )
            return name
        inner = self.steps[step]
        plain = {item.name: item for item in inner.contrasts or () if item.is_plain}
        absent = [n for row in rows for n in row if n not in plain]
        if absent:
            found = f"contrast '{name}' is made of '{absent[0]}', which is itself a weighted sum"
            self._refuse(node, found, "write the whole sum in one node")
            return name
        inner_rows = [
            {self._labels.name_of(plain[n].source): w for n, w in row.items()} for row in rows
        ]
        source = self._compose(inner.source, name, inner_rows, node)
        if name not in {item.name for item in inner.contrasts or ()}:
            item = self._step_contrast(node, name, source, (Cell(weight=1.0),))
            made = (*(inner.contrasts or ()), item)
            self.steps[step] = replace(inner, contrasts=made)
        return name

    def _of_runs(self, name: str) -> NodeContrast:
        """Return a contrast of runs, also a dummy one."""
        return self.contrasts.get(
            name, NodeContrast(name=name, conditions=(name,), weights=((1.0,),))
        )

    def _step_contrast(
        self, node: Node, name: str, source: str, cells: tuple[Cell, ...]
    ) -> StepContrast:
        """Return a contrast of a step, with labels for file names."""
        inner = self._labels.of(source)
        return StepContrast(name=name, label=self._labels.of(name), source=inner, cells=cells)

    def _refuse_open(self, node: Node) -> None:
        found = "patterns in the run node's DummyContrasts leave open which contrasts arrive"
        self._refuse(node, found, "name them there, or in the edge's Filter")

    def _refuse(self, node: Node, found: str, remedy: str) -> None:
        where = f"{self.where}: node '{node.name}'"
        self.problems.append(Problem(where=where, found=found, remedy=remedy))

    def _tell(self, text: str) -> None:
        self.notices.append(Notice(text=text, warning=False))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
