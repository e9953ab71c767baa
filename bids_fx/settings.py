"""What users can choose: settings that change numbers, apart from those that do not.

The defaults of the program stand in these dataclass fields and nowhere else; the command line
takes them from here. All records are frozen and are passed on, never global.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from bids_fx.errors import Notice
from bids_fx.report_settings import ReportSettings

SignalScaling = Literal["psc", "grand-mean", "none"]
Combination = Literal["weighted", "unweighted"]
MissingPolicy = Literal["drop", "error"]
LinkPolicy = Literal["follow", "inside"]

SIGNAL_SCALINGS: tuple[SignalScaling, ...] = ("psc", "grand-mean", "none")
COMBINATIONS: tuple[Combination, ...] = ("weighted", "unweighted")
MISSING_POLICIES: tuple[MissingPolicy, ...] = ("drop", "error")

#: Where locks, participants' states and, unless the user has chosen otherwise, scratch are kept in
#: the output folder.
WORK_AREA = ".bids_fx_work"
#: A participant's report in the output folder, by label.
REPORT = "sub-{}.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSettings:
    """The choices that change numbers.

    Parameters
    ----------
    contrasts : tuple of str
        Contrast expressions; empty means each condition, and each minus the mean of the others.
    hrf_model : str
        As `bids_fx.glm.names.normalise_hrf_name` spells it.
    confounds : tuple of str
        Strategy names (``bids_fx/data/confounds``) or shell patterns of column names, or empty.
    high_pass_s : float
        Longest period that the cosine drift leaves in the data, in seconds; > 0.
    drift_model : str
        ``cosine``, ``polynomial``, ``polynomial:ORDER`` or ``none``.
    noise_model : str
        One of `bids_fx.glm.names.NOISE_MODELS`.
    smoothing_fwhm_mm : float
        Full width at half maximum of the Gaussian kernel in mm; 0 means no smoothing.
    signal_scaling : str
        ``psc`` (percent of the voxel's mean), ``grand-mean`` (the mask's mean to 100) or ``none``.
    fd_threshold_mm : float or None
        Scans with a framewise displacement above this are censored; None leaves it to
        the confound strategies.
    dummy_scans : int
        Number of scans at the start of each run that are censored; >= 0.
    slice_time_ref : float or None
        Time within the TR to which slices were corrected, as a fraction from 0 to 1; None takes
        it from the sidecars.
    combination : str
        ``weighted`` (inverse variance) or ``unweighted`` (mean of effects).
    combine_over : tuple of str
        Short entity keys over which runs are combined; ``run`` is always among them.
    combine_subset : bool
        Combine also where filters left out runs of the dataset.
    missing : str
        ``drop`` does without conditions, confounds and runs that are missing, ``error`` refuses.
    run_dof : float or None
        Degrees of freedom of run maps that come without any; > 0.
    model_name : str
        Name of the BIDS Stats Model that says what is fitted and combined; empty without one.
    """

    contrasts: tuple[str, ...] = ()
    hrf_model: str = "spm"
    confounds: tuple[str, ...] = ("motion6", "nss")
    high_pass_s: float = 128.0
    drift_model: str = "cosine"
    noise_model: str = "ar1"
    smoothing_fwhm_mm: float = 0.0
    signal_scaling: SignalScaling = "psc"
    fd_threshold_mm: float | None = None
    dummy_scans: int = 0
    slice_time_ref: float | None = None
    combination: Combination = "weighted"
    combine_over: tuple[str, ...] = ("run", "ses")
    combine_subset: bool = False
    missing: MissingPolicy = "drop"
    run_dof: float | None = None
    model_name: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the settings as plain values, in the order of the fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSelection:
    """Which data are analysed: where they are, and what is picked of them.

    Labels are without their prefix (``01``, not ``sub-01``); an empty tuple means all.

    Parameters
    ----------
    bids_dir : Path
        The raw dataset: events and sidecars are read, raw images never are.
    derivatives : tuple of (str, Path)
        Name and folder of the preprocessed derivatives.
    raw_bold : bool
        Model the raw BOLD images themselves.
    participants, sessions, tasks, runs : tuple of str
        Labels to keep.
    spaces : tuple of str
        ``SPACE`` or ``SPACE:res-N``; ``func`` means files without a space entity.
    desc : str
        Label of the ``desc`` entity of the preprocessed BOLD.
    filters : dict of str to object
        What stands in the filter file for ``bold``, as it stands there: entities of the BOLD
        file, and the label, the list of labels, None (absent) or ``*`` (any) that each must be.
    database_dir : Path or None
        Folder of a pybids index that is kept between calls.
    design_dir : Path or None
        Folder with ``<run>_design.tsv`` files that replace events and confounds.
    run_maps_dir : Path or None
        Folder of run-level maps made beforehand, which replace the models.
    links : str
        ``follow`` symbolic links wherever they lead, or refuse those that do not stay ``inside``
        the folders that are named.
    model : Path, "auto" or None
        A BIDS Stats Model that says what is fitted and combined; ``auto`` makes one.
    scope : dict of str to tuple of str
        Labels by short entity key: the images that the model file is about. Others are not left
        out of it, they are none of its business.
    participants_by : str
        What names the participants, for messages.
    """

    bids_dir: Path
    derivatives: tuple[tuple[str, Path], ...] = ()
    raw_bold: bool = False
    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    desc: str = "preproc"
    filters: dict[str, object] = field(default_factory=dict)
    database_dir: Path | None = None
    design_dir: Path | None = None
    run_maps_dir: Path | None = None
    links: LinkPolicy = "follow"
    model: Path | Literal["auto"] | None = None
    scope: dict[str, tuple[str, ...]] = field(default_factory=dict)
    participants_by: str = "--participant-label"

    @property
    def model_file(self) -> Path | None:
        """The model's file, if one is given."""
        return self.model if isinstance(self.model, Path) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """The choices that change how the program runs, but no number.

    Parameters
    ----------
    out_dir : Path
        Where the derivatives are written.
    work_dir : Path or None
        Scratch; None means ``.bids_fx_work`` in `out_dir`.
    n_procs : int or None
        Number of processes in all; >= 1. None means the CPUs that this process may use.
    omp_nthreads : int or None
        Threads of one process; None shares the processes out.
    mem_mb : float or None
        Memory that may be used in all, in MB; None means what the machine or container has.
    plugin_file : Path or None
        YAML file with a nipype plugin and its arguments.
    clean_work_dir, stop_on_first_crash, force : bool
        Empty the work dir first; end at the first failure; compute again what is there.
    reports_only, boilerplate_only, write_graph : bool
        Only (re)write reports; only the methods text; also draw the workflow's graph.
    write_model : bool
        Also write the analysis down as a BIDS Stats Model.
    skip_bids_validation : bool
        Do not run the BIDS validator on the raw dataset.
    dry_run : str or None
        ``text`` or ``json``: print the plan and stop.
    verbosity : int
        0 for the normal log, 1 and above for more.
    log_json : bool
        One JSON object a line instead of lines for people.
    resource_monitor : bool
        Write down what each node took.
    """

    out_dir: Path
    work_dir: Path | None = None
    n_procs: int | None = None
    omp_nthreads: int | None = None
    mem_mb: float | None = None
    plugin_file: Path | None = None
    clean_work_dir: bool = False
    stop_on_first_crash: bool = False
    force: bool = False
    reports_only: bool = False
    boilerplate_only: bool = False
    write_graph: bool = False
    write_model: bool = False
    skip_bids_validation: bool = False
    dry_run: Literal["text", "json"] | None = None
    verbosity: int = 0
    log_json: bool = False
    resource_monitor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of the program, as its command line states it.

    Parameters
    ----------
    level : str
        ``participant`` or ``group``.
    data, analysis, execution : DataSelection, AnalysisSettings, ExecutionSettings
        What was asked for.
    report : ReportSettings
        What was asked for of the reports.
    given : frozenset of str
        Fields of `analysis` and `report` that were asked for, also where they are as they would
        be anyway.
    notices : tuple of Notice
        What of the options was passed over; they belong in the log.
    """

    level: str
    data: DataSelection
    analysis: AnalysisSettings
    execution: ExecutionSettings
    report: ReportSettings = field(default_factory=ReportSettings)
    given: frozenset[str] = frozenset()
    notices: tuple[Notice, ...] = ()


def chosen_settings(settings: AnalysisSettings | ReportSettings) -> tuple[str, ...]:
    """Return the names of the settings that differ from their defaults, in the fields' order.

    Examples
    --------
    >>> chosen_settings(AnalysisSettings(hrf_model="glover", dummy_scans=0))
    ('hrf_model',)
    """
    default = type(settings)()
    return tuple(
        item.name
        for item in fields(settings)
        if getattr(settings, item.name) != getattr(default, item.name)
    )


def idle_settings(
    analysis: AnalysisSettings,
    *,
    given_designs: bool,
    given_maps: bool,
    hrf_models: Collection[str] = (),
) -> dict[str, str]:
    """Return the settings that are not in force, and why.

    Parameters
    ----------
    analysis : AnalysisSettings
        The choices.
    given_designs, given_maps : bool
        Whether all designs, or all run maps, were made beforehand.
    hrf_models : collection of str
        Those of the designs; a model file may leave the choice to the settings.

    Examples
    --------
    >>> idle_settings(AnalysisSettings(), given_designs=False, given_maps=False)
    {'run_dof': 'no run maps made beforehand', 'model_name': 'no model file'}
    """
    idle = {} if analysis.model_name else {"model_name": "no model file"}
    if given_maps:
        names = (*_DESIGN_SETTINGS, *_FIT_SETTINGS)
        return idle | dict.fromkeys(names, "run maps made beforehand")
    idle = {"run_dof": "no run maps made beforehand", **idle}
    if given_designs:
        return idle | dict.fromkeys(_DESIGN_SETTINGS, "designs made beforehand")
    if analysis.model_name:
        idle |= {
            name: "the model file says it"
            for name in _MODEL_SETTINGS
            if name in {"hrf_model", "combine_over"} or not getattr(analysis, name)
        }
        if analysis.hrf_model in hrf_models:
            del idle["hrf_model"]
    if analysis.drift_model != "cosine":
        idle |= {"high_pass_s": "no cosine drift"}
    return idle


_DESIGN_SETTINGS = (
    *("hrf_model", "confounds", "high_pass_s", "drift_model"),
    *("fd_threshold_mm", "dummy_scans", "slice_time_ref"),
)
_MODEL_SETTINGS = ("contrasts", "hrf_model", "confounds", "combine_over")
_FIT_SETTINGS = ("contrasts", "noise_model", "smoothing_fwhm_mm", "signal_scaling")


def setting_text(name: str, value: object) -> str:
    """Return the value of a setting for people.

    Examples
    --------
    >>> setting_text("confounds", ("motion6", "nss")), setting_text("fd_threshold_mm", None)
    ('motion6, nss', 'as the confounds have it')
    """
    if value is None or value == ():
        return _UNSET.get(name, "none")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


_UNSET = {
    "contrasts": "each condition, and each minus the mean of the others",
    "fd_threshold_mm": "as the confounds have it",
    "slice_time_ref": "as the sidecars have it",
    "run_dof": "as the maps have it",
}


def digest(values: object) -> str:
    """Return the SHA-256 of plain values, the same on every machine.

    Examples
    --------
    >>> digest({"b": 1, "a": (2.0,)}) == digest({"a": [2.0], "b": 1})
    True
    """
    text = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
