"""Contrasts of a model's nodes: their plain names, and sums of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from bids_fx.stats_models.names import plain_name
from bids_fx.stats_models.records import INTERCEPT, Node, NodeContrast

#: A sum of means: weights of contrasts by the entity labels of the results they are means of.
Sums = dict[tuple[tuple[str, str], ...], dict[str, float]]


def asked_of(node: Node) -> list[NodeContrast]:
    """Return a node's contrasts, dummies included."""
    test = node.dummies.test if node.dummies is not None else "t"
    dummies = [
        NodeContrast(name=name, conditions=(name,), weights=((1.0,),), test=test)
        for name in node.dummy_names
    ]
    return [with_plain_names(one) for one in (*node.contrasts, *dummies)]


def only_passes(node: Node, asked: Sequence[NodeContrast]) -> bool:
    """Tell whether a node only hands on what it gets."""
    return all(
        one.test == "pass" and one.conditions == (INTERCEPT,) and one.weights == ((1.0,),)
        for one in asked
    )


def with_plain_names(contrast: NodeContrast) -> NodeContrast:
    """Return a contrast with plain names of conditions."""
    return replace(
        contrast,
        name=plain_name(contrast.name),
        conditions=tuple(map(plain_name, contrast.conditions)),
    )


def common_weights(
    sums: Sums,
) -> tuple[dict[str, float] | None, dict[tuple[tuple[str, str], ...], float]]:
    """Return the weights that all parts of the data share, and the factor of each part."""
    base = next(iter(sums.values()), {})
    if len(base) == 1:
        base = dict.fromkeys(base, 1.0)
    scales = {}
    for place, weights in sums.items():
        if weights.keys() != base.keys():
            return None, {}
        ratios = {weights[name] / base[name] for name in base}
        if max(ratios) - min(ratios) > 1e-12 * max(map(abs, ratios)):
            return None, {}
        scales[place] = min(ratios)
    return base, scales


def composed(
    name: str, rows: Sequence[Mapping[str, float]], parts: Mapping[str, NodeContrast]
) -> NodeContrast:
    """Return a sum of contrasts as a contrast of their conditions."""
    conditions = tuple(dict.fromkeys(c for row in rows for n in row for c in parts[n].conditions))
    weights = []
    for row in rows:
        total = dict.fromkeys(conditions, Fraction(0))
        for part, weight in row.items():
            own = parts[part]
            for condition, value in zip(own.conditions, own.weights[0], strict=True):
                total[condition] += as_written(weight) * as_written(value)
        weights.append(tuple(map(float, total.values())))
    return NodeContrast(
        name=name,
        conditions=conditions,
        weights=tuple(weights),
        test="F" if len(rows) > 1 else "t",
    )


def as_written(weight: float) -> Fraction:
    """Return the short fraction that a weight was written as, or the weight itself.

    Examples
    --------
    >>> as_written(1 / 3), 1 - as_written(1 / 3)
    (Fraction(1, 3), Fraction(2, 3))
    >>> float(as_written(0.123456789)) == 0.123456789
    True
    """
    short = Fraction(weight).limit_denominator(1000)
    return short if float(short) == weight else Fraction(weight)
