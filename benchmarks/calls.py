"""How each program is called: ours, parts of ours, nilearn and FitLins."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bigdata import SPACE, TASK, BigDataset, DataSpec, make_big_dataset
from processes import Measurement, Program, alternate, measure

HERE = Path(__file__).parent
ROOT = HERE.parent
FWHM_MM = 5
CONTRASTS = ("face - house", "face", "house")
#: What the libraries for linear algebra read when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where and how it is measured.

    Parameters
    ----------
    folder : Path
        Datasets, which are kept, and outputs, which are not.
    repeats : int
        Calls of each program.
    n_procs : int
        Processors that all programs may use.
    fitlins : Path or None
        The peer's executable; None where it was not given.
    always_watched : bool
        Whether no call is left alone, so that each program is called once less.
    """

    folder: Path
    repeats: int
    n_procs: int
    fitlins: Path | None = None
    always_watched: bool = False

    def alternate(
        self, programs: Mapping[str, Program], *, always_watched: bool = False
    ) -> dict[str, list[Measurement]]:
        """Call programs in turn (`processes.alternate`)."""
        watched = self.always_watched or always_watched
        return alternate(programs, self.repeats, always_watched=watched)

    def dataset(self, spec: DataSpec) -> BigDataset:
        """Return a dataset, made if need be and read once."""
        dataset = make_big_dataset(self.folder / "data", spec)
        dataset.read_all()
        return dataset

    def fresh(self, name: str) -> Path:
        """Return a folder for outputs, empty."""
        path = self.folder / "work" / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def app(
        self, name: str, dataset: BigDataset, *options: str, may_fail: bool = False
    ) -> Program:
        """Return a call of the whole program on a dataset into a new output folder."""

        def call(*, watched: bool) -> Measurement:
            folder = self.fresh(name)
            arguments = [*_selection(dataset, folder / "out"), *options]
            return measure(
                [*_PROGRAM, *arguments],
                folder=folder,
                environment=environment(own=True),
                may_fail=may_fail,
                watched=watched,
            )

        return call

    def fit(self, name: str, dataset: BigDataset, *options: str, combine: bool = False) -> Program:
        """Return a call of our nodes alone on the runs of a dataset, which are planned now."""
        folder = self.fresh(name)
        file = folder / "plan.pickle"
        ours: tuple[str | Path, ...] = (sys.executable, HERE / "ours.py")
        measure(
            [*ours, "plan", file, *_selection(dataset, folder / "planned"), *options],
            folder=folder,
            environment=environment(own=True),
        )
        command = [*ours, "fit", file, folder / "out", "--threads", str(self.n_procs)]
        command += ["--combine"] if combine else []

        def call(*, watched: bool) -> Measurement:
            shutil.rmtree(folder / "out", ignore_errors=True)
            return measure(command, folder=folder, environment=self._threaded(), watched=watched)

        return call

    def nilearn(
        self, name: str, dataset: BigDataset, contrasts: Sequence[str], *, designs: bool = False
    ) -> Program:
        """Return a call of nilearn; with `designs` by design matrices, and combined."""
        folder = self.fresh(name)
        tables = ("design",) if designs else ("events", "confounds")
        runs = [
            {
                **{kind: str(getattr(run, kind)) for kind in ("bold", "mask", *tables)},
                "repetition_time": dataset.spec.repetition_time,
                "contrasts": list(contrasts),
            }
            for run in dataset.runs
        ]
        file = folder / "runs.json"
        file.write_text(json.dumps(runs))
        combine = ("--combine",) if designs else ()
        command = (sys.executable, HERE / "nilearns.py", file, folder / "out", *combine)

        def call(*, watched: bool) -> Measurement:
            shutil.rmtree(folder / "out", ignore_errors=True)
            return measure(command, folder=folder, environment=self._threaded(), watched=watched)

        return call

    def floor(self, dataset: BigDataset) -> Program:
        """Return a call that inflates and smooths a run and does nothing else."""
        run = dataset.run(1)
        numbers = (str(FWHM_MM), str(self.n_procs))
        command = (sys.executable, HERE / "floor.py", run.bold, run.mask, *numbers)
        folder = self.fresh("floor")
        environment = self._threaded()
        return lambda *, watched: measure(
            command, folder=folder, environment=environment, watched=watched
        )

    def peer_app(self, name: str, dataset: BigDataset) -> Program | None:
        """Return a call of FitLins on the same data, or None where it was not given."""
        if self.fitlins is None:
            return None
        executable = self.fitlins.resolve()

        def call(*, watched: bool) -> Measurement:
            folder = self.fresh(name).resolve()
            model = folder / "model.json"
            model.write_text(json.dumps(_fitlins_model()))
            command: list[str | Path] = [executable, dataset.raw.resolve(), folder / "out"]
            command += ["participant", "-d", dataset.derivatives.resolve(), "-m", model]
            command += ["--space", SPACE, "--desc-label", "preproc", "-w", folder / "scratch"]
            command += ["-s", f"{FWHM_MM}:run:iso", "--drift-model", "cosine"]
            command += ["--n-cpus", str(self.n_procs), "--mem-gb", "20"]
            own = environment(own=False)
            return measure(command, folder=folder, environment=own, watched=watched)

        return call

    def _threaded(self) -> dict[str, str]:
        return environment(own=True) | dict.fromkeys(_THREADS, str(self.n_procs))


_PROGRAM = (sys.executable, "-m", "bids_fx")


def small_call(folder: Path, *arguments: str, watched: bool) -> Measurement:
    """Call our program with arguments of any kind."""
    return measure(
        [*_PROGRAM, *arguments],
        folder=folder,
        environment=environment(own=True),
        watched=watched,
    )


def environment(*, own: bool) -> dict[str, str]:
    """Return the variables for our program, from this source tree, or for another's."""
    kept = {name: value for name, value in os.environ.items() if name not in _THREADS}
    kept.pop("PYTHONPATH", None)
    # nipype, of either program, would ask a server for its newest version.
    kept |= {"NO_ET": "1", "NIPYPE_NO_ET": "1"}
    return kept | ({"PYTHONPATH": str(ROOT)} if own else {})


def contrast_options(contrasts: Sequence[str] = CONTRASTS) -> list[str]:
    """Return the options that ask for contrasts."""
    return [word for contrast in contrasts for word in ("--contrast", contrast)]


def _selection(dataset: BigDataset, out_dir: Path) -> list[str]:
    """Return the arguments that all calls of our program begin with."""
    folders = [str(dataset.raw.resolve()), str(out_dir.resolve())]
    arguments = [*folders, "participant", "-d", str(dataset.derivatives.resolve())]
    # FitLins does not validate either.
    return [*arguments, "--smoothing-fwhm", str(FWHM_MM), "--skip-bids-validation"]


def _fitlins_model() -> dict[str, object]:
    """Return a BIDS Stats Model of the same analysis: three contrasts and fixed effects."""
    conditions = ["trial_type.face", "trial_type.house"]
    steps = [
        {"Name": "Factor", "Input": ["trial_type"]},
        {"Name": "Convolve", "Model": "spm", "Input": ["trial_type.*"]},
    ]
    run = {
        "Level": "Run",
        "Name": "run",
        "GroupBy": ["run", "subject"],
        "Transformations": {"Transformer": "pybids-transforms-v1", "Instructions": steps},
        "Model": {
            "Type": "glm",
            "X": ["trial_type.*", "trans_*", "rot_*", 1],
            "HRF": {"Variables": ["trial_type.*"], "Model": "spm"},
        },
        "Contrasts": [
            {
                "Name": "faceGtHouse",
                "ConditionList": conditions,
                "Weights": [1, -1],
                "Test": "t",
            }
        ],
        "DummyContrasts": {"Test": "t", "Contrasts": conditions},
    }
    subject = {
        "Level": "Subject",
        "Name": "subject",
        "GroupBy": ["subject", "contrast"],
        "Model": {"Type": "meta", "X": [1]},
        "DummyContrasts": {"Test": "t"},
    }
    return {
        "Name": "benchmark",
        "BIDSModelVersion": "1.0.0",
        "Input": {"task": [TASK]},
        "Nodes": [run, subject],
    }
