"""Models of the BIDS Stats Models kind that two programs run on the same data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from knowndata import CONDITIONS, CUTOFF_S, Timing

Json = dict[str, Any]

COLUMNS = tuple(f"trial_type.{name}" for name in CONDITIONS)
FACTOR: Json = {"Name": "Factor", "Input": ["trial_type"]}
SPM: Json = {"Name": "Convolve", "Input": list(COLUMNS), "Model": "spm"}
#: The key is spelled as pybids can read it: it makes ``fir__delays`` of ``FIR_Delays``.
FIR: Json = {"Name": "Convolve", "Input": list(COLUMNS), "Model": "fir", "fir_delays": [0, 1, 2]}
EVERY_LEVEL = "trial_type.*"
SPM_OF_ALL: Json = {**SPM, "Input": [EVERY_LEVEL]}

BLOCKS = Timing(task="blocks")
LONG = Timing(task="long", n_scans=480)
EVENTS = Timing(task="events", grid_ms=1, duration_ms=3217, every_s=(6.0, 12.0))
IMPULSES = Timing(task="impulses", grid_ms=1, duration_ms=0, every_s=(5.0, 10.0))
HALFWAY = Timing(task="halfway", start_time=1.0)
GAP = Timing(task="gap", missing=((2, "house"),))
TIMINGS = (BLOCKS, LONG, EVENTS, IMPULSES, HALFWAY, GAP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model and the runs that it is for.

    Parameters
    ----------
    name : str
        Of its folder.
    label : str
        What the case is about, for tables.
    timing : Timing
        The runs.
    columns : tuple of str
        The columns of X that stand for face and house.
    names : tuple of str
        What X has for them; empty means the columns by name.
    others : tuple of str
        The other columns of X; the constant is always there.
    instructions : tuple of dict
        Transformations.
    run_model : dict
        What else stands in ``Model`` of the run node.
    subject_type : str
        Of the model above runs: FitLins takes ``Meta`` only for fixed effects.
    tests_truth : bool
        Whether the effects are the responses' heights, as the data were made.
    """

    name: str
    label: str
    timing: Timing = BLOCKS
    columns: tuple[str, ...] = COLUMNS
    names: tuple[str, ...] = ()
    others: tuple[str, ...] = ("trans_*", "cosine*")
    instructions: tuple[Json, ...] = (FACTOR, SPM)
    run_model: Json = field(default_factory=dict)
    subject_type: str = "Meta"
    tests_truth: bool = True

    @property
    def convolves(self) -> bool:
        """Whether an instruction convolves."""
        return any(step["Name"] == "Convolve" for step in self.instructions)

    def model(self) -> Json:
        """Return the content of the model file."""
        face, house = self.columns
        run: Json = {
            "Level": "Run",
            "Name": "run",
            "GroupBy": ["run", "subject"],
            "Model": {"Type": "glm", "X": [*(self.names or self.columns), *self.others, 1]},
            "Contrasts": [
                _contrast("face", {face: 1}),
                _contrast("house", {house: 1}),
                _contrast("faceGtHouse", {face: 1, house: -1}),
            ],
        }
        run["Model"] |= self.run_model
        if self.instructions:
            transformer = "pybids-transforms-v1"
            steps = [dict(step) for step in self.instructions]
            run["Transformations"] = {"Transformer": transformer, "Instructions": steps}
        subject = {
            "Level": "Subject",
            "Name": "subject",
            "GroupBy": ["subject", "contrast"],
            "Model": {"Type": self.subject_type, "X": [1]},
            "DummyContrasts": {"Test": "t"},
        }
        return {
            "Name": self.name,
            "BIDSModelVersion": "1.0.0",
            "Input": {"task": [self.timing.task]},
            "Nodes": [run, subject],
        }


def _contrast(name: str, weights: dict[str, float]) -> Json:
    conditions, values = list(weights), list(weights.values())
    return {"Name": name, "ConditionList": conditions, "Weights": values, "Test": "t"}


_DENSE = Case(
    name="dense",
    label="columns of the confounds table",
    columns=tuple(f"{name}_response" for name in CONDITIONS),
    instructions=(),
)
CASES = (
    _DENSE,
    Case(
        name="meta",
        label="the same, Type `meta` for `Meta`",
        columns=_DENSE.columns,
        instructions=(),
        subject_type="meta",
    ),
    Case(name="blocks", label="Convolve, blocks at multiples of TR, 120 scans"),
    Case(name="long", label="the same, 480 scans", timing=LONG),
    Case(name="events", label="Convolve, events of 3.2 s at any time", timing=EVENTS),
    Case(name="impulses", label="Convolve, events of duration 0", timing=IMPULSES),
    Case(name="halfway", label="Convolve, blocks, StartTime TR/2", timing=HALFWAY),
    Case(
        name="highpass",
        label="the first, HighPassFilterCutoffHz for cosine columns",
        columns=_DENSE.columns,
        instructions=(),
        others=("trans_*",),
        run_model={"Options": {"HighPassFilterCutoffHz": 1 / CUTOFF_S}},
    ),
    Case(
        name="hrf",
        label="HRF for Convolve",
        instructions=(FACTOR,),
        run_model={"HRF": {"Variables": list(COLUMNS), "Model": "spm"}},
    ),
    Case(
        name="fir",
        label="Convolve by fir",
        columns=tuple(f"{column}_2" for column in COLUMNS),
        names=("trial_type.*_*",),
        instructions=(FACTOR, FIR),
        tests_truth=False,
    ),
    Case(
        name="gap",
        label="no house in run 2, `trial_type.*` in X",
        timing=GAP,
        names=(EVERY_LEVEL,),
        instructions=(FACTOR, SPM_OF_ALL),
    ),
    Case(name="named", label="no house in run 2, levels by name", timing=GAP),
)
