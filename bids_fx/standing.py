"""How far each participant is and what came of it, as it is told across participants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bids_fx.calls import Call
from bids_fx.entities import Entities
from bids_fx.quality import BY_NAME, breaks
from bids_fx.report_settings import QualityLimit

State = Literal["done", "failed", "running", "planned", "not started", "unknown"]
STATES: tuple[State, ...] = ("failed", "unknown", "running", "planned", "not started", "done")
#: States in which something is wrong that waiting does not mend.
WRONG = ("failed", "unknown")

#: The measures of which a participant's worst run is told.
WORST = ("fd_mean", "censored_perc", "tsnr_median")
#: The measures whose distribution over runs is shown; those with a limit come on top.
SHOWN = (
    *("fd_mean", "fd_max", "censored_perc", "tsnr_median", "rsquared_median"),
    *("whitened_autocorrelation_lag1", "residual_sd_max", "vif_max"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuality:
    """The quality of one run in one space.

    Parameters
    ----------
    entities : Entities
        Of the run's files.
    analysis : str
        The analysis that its measures are of.
    measures : dict of str to float or None
        By name, as they were published.
    """

    entities: Entities
    analysis: str
    measures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What calls of the same settings, model file and software have in common.

    Parameters
    ----------
    name : str
        The first digits of its hash.
    call : Call
        One of them, without anything of its participant.
    """

    name: str
    call: Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far one participant is, and what came of it.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    state : str
        ``done``, ``failed``, ``running``, ``planned``, ``not started``, or ``unknown`` where the
        output folder has something of the participant and does not say what.
    reasons : tuple of str
        What is wrong, one clause each.
    n_used, n_left_out : int
        Runs with results, and those that have none; a run in several spaces is one.
    contrasts : tuple of str
        Labels.
    warnings : tuple of str
        What is warned of, each once.
    n_planned : int
        Number of planned outputs.
    missing : tuple of str
        Those that are not there, by their paths in the output folder.
    seconds, peak_mb : float or None
        What the last call that has ended took for the participant; None where it is not known.
    has_report : bool
        Whether there is a report.
    analyses : tuple of Analysis
        Those of which there are results, the newest first.
    runs : tuple of RunQuality
        In the order of their entities.
    """

    participant: str
    state: State
    reasons: tuple[str, ...] = ()
    n_used: int = 0
    n_left_out: int = 0
    contrasts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    n_planned: int = 0
    missing: tuple[str, ...] = ()
    seconds: float | None = None
    peak_mb: float | None = None
    has_report: bool = False
    analyses: tuple[Analysis, ...] = ()
    runs: tuple[RunQuality, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether something is wrong that waiting does not mend."""
        return self.state in WRONG

    @property
    def worst(self) -> dict[str, float | None]:
        """The worst value over the runs of each measure in `WORST`; None without any."""
        return worst_values(self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsGroup:
    """Participants of the same analyses.

    Parameters
    ----------
    analyses : tuple of Analysis
        In the order of their names.
    participants : tuple of str
        Labels, in order.
    """

    analyses: tuple[Analysis, ...]
    participants: tuple[str, ...]


class Judged(NamedTuple):
    """What a limit found in all runs.

    Attributes
    ----------
    limit : QualityLimit
        The limit.
    n_broken, n_measured, n_runs : int
        Runs that break it, that have a value of its measure, and that have any measures.
    """

    limit: QualityLimit
    n_broken: int
    n_measured: int
    n_runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All participants of an output folder.

    Parameters
    ----------
    standings : tuple of Standing
        In the order of their labels.
    limits : tuple of QualityLimit
        What every run must keep.
    """

    standings: tuple[Standing, ...]
    limits: tuple[QualityLimit, ...] = ()
    groups: tuple[SettingsGroup, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Group the participants by their settings."""
        object.__setattr__(self, "groups", settings_groups(self.standings))

    @property
    def runs(self) -> tuple[RunQuality, ...]:
        """All runs, participant by participant."""
        return tuple(run for standing in self.standings for run in standing.runs)

    @property
    def worst(self) -> dict[str, float | None]:
        """The worst value over all runs of each measure in `WORST`; None without any."""
        return worst_values(self.runs)

    @property
    def analyses(self) -> tuple[Analysis, ...]:
        """Every analysis once: those of the most participants first, of equals the older."""
        found = [one for standing in self.standings for one in reversed(standing.analyses)]
        by_name = {analysis.name: analysis for analysis in reversed(found)}
        counts = Counter(analysis.name for analysis in found)
        return tuple(by_name[name] for name, _ in counts.most_common())

    @property
    def others(self) -> tuple[SettingsGroup, ...]:
        """Who has results of anything but the analysis of the most participants alone."""
        first = [analysis.name for analysis in self.analyses[:1]]
        return tuple(
            group for group in self.groups if [one.name for one in group.analyses] != first
        )

    @property
    def judged(self) -> tuple[Judged, ...]:
        """What each limit found: a run without a value of its measure neither keeps nor breaks."""
        return tuple(judge(limit, self.runs) for limit in self.limits)

    @property
    def counts(self) -> dict[State, int]:
        """The number of participants in each state."""
        found = Counter(standing.state for standing in self.standings)
        return {state: found[state] for state in STATES}


def label_key(label: str) -> tuple[int, str]:
    """Return a key that sorts the label ``2`` before ``10``.

    Examples
    --------
    >>> sorted(["10", "2", "b"], key=label_key)
    ['b', '2', '10']
    """
    return int(label) if label.isdecimal() else -1, label


def worst_values(runs: Iterable[RunQuality]) -> dict[str, float | None]:
    """Return the worst value over runs of each measure in `WORST`.

    Examples
    --------
    >>> runs = [
    ...     RunQuality(entities=Entities(), analysis="", measures={"tsnr_median": value})
    ...     for value in (60.0, 40.0, None)
    ... ]
    >>> worst_values(runs)
    {'fd_mean': None, 'censored_perc': None, 'tsnr_median': 40.0}
    """
    runs = tuple(runs)
    found: dict[str, float | None] = {}
    for name in WORST:
        values = [value for run in runs if (value := run.measures.get(name)) is not None]
        pick = min if BY_NAME[name].bad == "<" else max
        found[name] = pick(values, default=None)
    return found


def judge(limit: QualityLimit, runs: Sequence[RunQuality]) -> Judged:
    """Count which runs a limit can judge, and which of them break it.

    Examples
    --------
    >>> limit = QualityLimit(measure="fd_mean", sign=">", value=0.5)
    >>> runs = [
    ...     RunQuality(entities=Entities(), analysis="", measures={"fd_mean": value})
    ...     for value in (0.5, 0.75, None)
    ... ]
    >>> judge(limit, runs)[1:]
    (1, 2, 3)
    """
    values = [value for run in runs if (value := run.measures.get(limit.measure)) is not None]
    return Judged(limit, sum(breaks(limit, value) for value in values), len(values), len(runs))


def settings_groups(standings: Sequence[Standing]) -> tuple[SettingsGroup, ...]:
    """Put participants of the same analyses together.

    Parameters
    ----------
    standings : sequence of Standing
        In the order of their labels. Who has no analysis is in no group.

    Returns
    -------
    tuple of SettingsGroup
        The largest first; of groups of one size that of the first participant.
    """
    groups: dict[tuple[str, ...], list[Standing]] = {}
    for standing in standings:
        if standing.analyses:
            names = tuple(sorted(analysis.name for analysis in standing.analyses))
            groups.setdefault(names, []).append(standing)
    return tuple(
        SettingsGroup(
            analyses=tuple(sorted(members[0].analyses, key=lambda analysis: analysis.name)),
            participants=tuple(member.participant for member in members),
        )
        for members in sorted(groups.values(), key=len, reverse=True)
    )


def shown_measures(limits: Iterable[QualityLimit]) -> tuple[str, ...]:
    """Return the measures whose distribution is shown: those with limits and the main ones.

    Examples
    --------
    >>> shown_measures([QualityLimit(measure="rank", sign=">", value=1.0)])[:2]
    ('rank', 'fd_mean')
    """
    return tuple(dict.fromkeys((*(limit.measure for limit in limits), *SHOWN)))
