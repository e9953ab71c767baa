"""The program that writes a cluster's jobs: what it takes, plans, writes and says."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bids_fx.cli.cluster import main
from bids_fx.cli.cluster_options import split
from bids_fx.cli.parser import parse
from tests.dataset.trees import Tree, write_json

PLAIN = ("--contrast", "face - house", "--noise-model", "ols", "--skip-bids-validation")


@pytest.fixture(autouse=True)
def _outside_any_container(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "BIDS_FX_TEMPLATES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path, n_scans=40)
    for participant in ("01", "02", "03"):
        tree.run(f"sub-{participant}_task-nback_run-1")
    return tree


def call(tree: Tree, *options: str, scheduler: str = "slurm") -> int:
    folders = (str(tree.raw), str(tree.root / "out"))
    return main([scheduler, *folders, "-d", str(tree.preproc), *PLAIN, *options])


def job(tree: Tree) -> dict:
    return json.loads((tree.root / "out" / "jobs" / "job-1" / "job.json").read_text())


def config(tree: Tree) -> dict:
    return tomllib.loads((tree.root / "out" / "jobs" / "job-1" / "config.toml").read_text())


def spoil(tree: Tree, participant: str) -> None:
    (events,) = tree.raw.glob(f"sub-{participant}/**/*_events.tsv")
    events.write_text("onset\tduration\ttrial_type\nsoon\t1\tface\n")


def test_each_participant_has_a_task(tree: Tree) -> None:
    assert call(tree) == 0
    assert [task["participant"] for task in job(tree)["tasks"]] == ["01", "02", "03"]


def test_participants_that_were_asked_for_alone_have_a_task(tree: Tree) -> None:
    assert call(tree, "--participant-label", "03", "01") == 0
    assert [task["participant"] for task in job(tree)["tasks"]] == ["01", "03"]
    assert "participant-label" not in config(tree)


def test_nothing_but_the_job_is_written(tree: Tree) -> None:
    call(tree)
    assert {path.name for path in (tree.root / "out").iterdir()} == {
        *(".bids_fx_work", ".bidsignore", "dataset_description.json", "jobs")
    }


def test_options_of_the_call_are_those_of_each_task(tree: Tree) -> None:
    assert call(tree, "--cpus", "4", "--mem-mb", "2G", "--throttle=7") == 0
    assert config(tree) == {
        "derivatives": [f"{tree.preproc.name}={tree.preproc}"],
        "skip-bids-validation": True,
        "contrast": ["face - house"],
        "noise-model": "ols",
    }
    kept = job(tree)
    assert (kept["cpus"], kept["mem_mb"], kept["throttle"]) == (4, 2000, 7)


def test_option_that_was_asked_for_at_its_default_stays_asked_for(tree: Tree) -> None:
    # or a model file would change it
    assert call(tree, "--hrf-model", "spm") == 0
    assert config(tree)["hrf-model"] == "spm"


def test_filters_are_kept_with_the_job(tree: Tree, tmp_path: Path) -> None:
    path = write_json(tmp_path / "mine.json", bold={"run": "1"}, t1w={})
    assert call(tree, "--bids-filter-file", str(path)) == 0
    path.unlink()
    kept = Path(config(tree)["bids-filter-file"])
    assert kept.parent == tree.root / "out" / "jobs" / "job-1"
    arguments = [str(tree.raw), str(tree.root / "out"), "participant"]
    again = parse([*arguments, "--config-file", str(kept.with_name("config.toml"))])
    assert again.data.filters == {"run": "1"}


def test_model_is_kept_with_the_job(tree: Tree, tmp_path: Path) -> None:
    contrast = {"Name": "c", "ConditionList": ["face"], "Weights": [1], "Test": "t"}
    node = {"Level": "Run", "Name": "run", "GroupBy": ["run", "subject"], "Contrasts": [contrast]}
    node["Model"] = {"X": ["trial_type.face", 1], "Type": "glm"}
    node["Transformations"] = {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [
            {"Name": "Factor", "Input": ["trial_type"]},
            {"Name": "Convolve", "Input": ["trial_type.face"], "Model": "spm"},
        ],
    }
    path = tmp_path / "model-m_smdl.json"
    write_json(path, Name="m", BIDSModelVersion="1.0.0", Input={}, Nodes=[node])
    folders = (str(tree.raw), str(tree.root / "out"), "-d", str(tree.preproc))
    assert main(["slurm", *folders, "-m", str(path), "--skip-bids-validation"]) == 0
    text = path.read_text()
    path.unlink()
    kept = Path(config(tree)["model"])
    assert kept.name == path.name
    assert kept.read_text() == text


def test_participant_with_bad_input_is_told_and_has_no_task(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(tree, "02")
    assert call(tree) == 1
    assert [task["participant"] for task in job(tree)["tasks"]] == ["01", "03"]
    assert list(job(tree)["refused"]) == ["02"]
    assert "sub-02: " in capsys.readouterr().err


def test_group_level_knows_the_participant_with_bad_input(tree: Tree) -> None:
    from bids_fx.cli.run import main as program

    spoil(tree, "02")
    call(tree)
    out = tree.root / "out"
    assert program([str(tree.raw), str(out), "group"]) == 1
    summary = json.loads((out / "summary.json").read_text())
    assert "onset" in json.dumps(summary)


def test_nothing_is_written_if_all_input_is_bad(tree: Tree) -> None:
    for participant in ("01", "02", "03"):
        spoil(tree, participant)
    assert call(tree) == 65
    assert not (tree.root / "out").exists()


def test_one_bad_input_is_enough_for_all_or_nothing(tree: Tree) -> None:
    spoil(tree, "02")
    assert call(tree, "--stop-on-first-crash") == 65
    assert not (tree.root / "out").exists()


def test_memory_that_is_too_small_is_refused_with_what_suffices(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tree, "--mem-mb", "300") == 2
    enough = int(capsys.readouterr().err.split("allow ")[1].split(" MB")[0])
    assert call(tree, "--mem-mb", str(enough - 1)) == 2
    assert call(tree, "--mem-mb", str(enough)) == 0


def test_memory_and_time_are_those_of_the_plan(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tree) == 0
    assert job(tree)["minutes"] == 10  # the floor
    # of the largest nodes that two processors work on, the program's own and the margin
    assert 600 <= job(tree)["mem_mb"] <= 1000
    assert f"memory: {job(tree)['mem_mb']} MB" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["95", "1:35:00", "1:34:01"])
def test_time_may_be_given_in_two_ways(tree: Tree, text: str) -> None:
    assert call(tree, "--time", text) == 0
    assert job(tree)["minutes"] == 95


def test_all_that_is_wrong_with_the_command_line_is_told_at_once(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ("--cpus", "0", "--time", "soon", "--container", "docker://x", "--cntrast", "a")
    assert call(tree, *wrong, "--hrf-model", "none") == 2
    told = capsys.readouterr().err
    assert "bids_fx-cluster: 5 problems:" in told
    for name in ("--cpus", "--time", "--container", "--cntrast", "--hrf-model"):
        assert f"  - {name}: " in told


def test_what_is_left_out_of_all_is_told_once_with_their_number(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    for participant in ("01", "02"):
        tree.run(f"sub-{participant}_task-rest", events=False)
    assert call(tree) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "task-rest" in line]
    assert line.endswith("(2 participants)")


def told_in_json(tree: Tree, *options: str) -> tuple[int, list[dict]]:
    """Return the exit code of a call of its own, and the lines of its log."""
    code = "import sys; from bids_fx.cli.cluster import main; sys.exit(main())"
    folders = ["slurm", str(tree.raw), str(tree.root / "out"), "-d", str(tree.preproc)]
    command = [sys.executable, "-c", code, *folders, *PLAIN, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_problems_and_the_end_are_told_in_json(tree: Tree) -> None:
    code, lines = told_in_json(tree, "--log-json", "--cpus", "0")
    assert code == 2
    assert [(line.get("where"), line.get("exit_code")) for line in lines] == [
        *(("--cpus", None), (None, 2))
    ]


def test_success_is_told_in_json(tree: Tree) -> None:
    code, lines = told_in_json(tree, "--log_json")
    assert (code, lines[-1]["exit_code"]) == (0, 0)


def test_config_file_can_ask_for_json(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "presets.toml").write_text("log-json = true\n")
    code, lines = told_in_json(tree, "--config-file", str(tmp_path / "presets.toml"), "--time=x")
    assert (code, lines[0]["where"], lines[-1]["exit_code"]) == (2, "--time", 2)


@pytest.mark.parametrize(
    "options",
    [
        ("--dry-run",),
        ("--reports-only",),
        ("--boilerplate-only",),
        ("--use-plugin", "x.yml"),
        ("--work-dir", "w"),
        ("--write-model",),
        ("--nprocs", "2", "--cpus", "2"),
        ("--submit=yes",),
        ("--cpus",),
    ],
)
def test_option_that_means_nothing_for_a_job_is_refused(
    tree: Tree, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tree, *options) == 2
    assert f"  - {options[0].partition('=')[0]}" in capsys.readouterr().err.replace(
        "--cpus and ", ""
    )
    assert not (tree.root / "out").exists()


@pytest.mark.parametrize(
    ("scheduler", "option", "remedy"),
    [
        ("slurm", "--mem=1500M", "--mem-mb"),
        ("slurm", "--mem-per-cpu=1G", "--mem-mb"),
        ("slurm", "-t10", "--time"),
        ("slurm", "--time 10", "--time"),
        ("slurm", "-c 4", "--cpus"),
        ("slurm", "-a1-3", "--throttle"),
        ("slurm", "--dependency=afterok:1", "leave it out"),
        ("slurm", "-o/dev/null", "leave it out"),
        ("pbs", "-l walltime=1:00:00", "--time"),
        ("pbs", "-lselect=1:mem=4gb", "--mem-mb"),
        ("pbs", "-W depend=afterok:1", "leave it out"),
        ("pbs", "-v A=1", "template"),
        ("sge", "-l mem_free=2G", "--mem-mb"),
        ("sge", "-tc 5", "--throttle"),
        ("sge", "-pe mpi 4", "--cpus"),
        ("lsf", "-M 2GB", "--mem-mb"),
        ("lsf", "-R rusage[mem=2GB]", "--mem-mb"),
        ("lsf", "-W 10", "--time"),
    ],
)
def test_option_that_the_job_sets_itself_is_refused(
    tree: Tree, scheduler: str, option: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tree, f"--option={option}", scheduler=scheduler) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("  - ")]
    assert f"--option={option}: the job sets " in line
    assert remedy in line.partition(" itself; ")[2]
    assert not (tree.root / "out").exists()


@pytest.mark.parametrize(
    ("scheduler", "option"),
    [
        ("slurm", "--partition=long"),
        ("slurm", "--time-min=10"),
        ("slurm", "-A me"),
        ("pbs", "-l place=scatter"),
        ("pbs", "-W group_list=me"),
        ("sge", "-l h_vmem=2G"),
        ("sge", "-P mem_free"),
        ("lsf", "-R select[type==any]"),
    ],
)
def test_option_that_the_job_does_not_set_is_taken(
    tree: Tree, scheduler: str, option: str
) -> None:
    assert call(tree, f"--option={option}", scheduler=scheduler) == 0
    assert job(tree)["options"] == [option]


def test_output_folder_with_a_backslash_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["slurm", str(tree.raw), str(tree.root / "o\\b"), "-d", str(tree.preproc)]) == 2
    assert "  - OUTPUT_DIR: its name holds characters that" in capsys.readouterr().err


def test_misspelt_option_of_the_job_is_known(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tree, "--submti") == 2
    told = "  - --submti: there is no such option (did you mean '--submit'?)"
    assert told in capsys.readouterr().err


def test_misspelt_option_of_the_program_is_known_too(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tree, "--smothing") == 2
    assert "did you mean '--smoothing'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "where", "missing"),
    [
        ([], "the command line", "BIDS_DIR, OUTPUT_DIR missing"),
        (["in"], "the command line", "OUTPUT_DIR missing"),
        (
            ["--task-id", "x", "in", "out"],
            "--task-id",
            "BIDS_DIR, OUTPUT_DIR missing, and it took x, in, out as its values",
        ),
    ],
)
def test_missing_folders_are_asked_for_without_the_level(
    words: list[str], where: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["slurm", *words]) == 2
    told = capsys.readouterr().err
    assert f"{where}: {missing}; put BIDS_DIR OUTPUT_DIR first, or -- before them" in told


def test_folders_may_stand_behind_two_hyphens(tree: Tree) -> None:
    options = ["-d", str(tree.preproc), *PLAIN]
    assert main(["slurm", *options, "--", str(tree.raw), str(tree.root / "out")]) == 0
    assert len(job(tree)["tasks"]) == 3


def test_level_participant_may_be_named(tree: Tree) -> None:
    folders = [str(tree.raw), str(tree.root / "out")]
    assert main(["slurm", *folders, "participant", "-d", str(tree.preproc), *PLAIN]) == 0
    assert len(job(tree)["tasks"]) == 3


def test_level_group_is_not_a_job(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slurm", str(tree.raw), str(tree.root / "out"), "group"]) == 2
    assert "LEVEL" in capsys.readouterr().err


def test_jobs_of_other_schedulers_are_not_submitted(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tree, "--submit", scheduler="pbs") == 2
    assert "--submit" in capsys.readouterr().err
    assert call(tree, scheduler="pbs") == 0
    assert "qsub -J 1-3 " in capsys.readouterr().out


def test_image_that_is_not_there_is_refused(tree: Tree) -> None:
    assert call(tree, "--container", str(tree.root / "none.sif")) == 66


def test_image_that_this_process_runs_in_is_that_of_the_tasks(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPTAINER_CONTAINER", "/images/fx.sif")
    assert call(tree) == 0
    assert job(tree)["container"] == "/images/fx.sif"


def test_other_container_needs_an_image(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIDS_FX_DOCKER_TAG", "bids_fx:1")
    assert call(tree) == 2


def test_container_sees_the_data_and_the_output(tree: Tree) -> None:
    (tree.root / "fx.sif").touch()
    (tree.root / "more").mkdir()
    assert call(tree, "--container", f"{tree.root}/fx.sif", "--bind", f"{tree.root}/more") == 0
    task = (tree.root / "out" / "jobs" / "job-1" / "task.sh").read_text()
    for path, ending in ((tree.raw, ":ro"), (tree.root / "more", ":ro"), (tree.root / "out", "")):
        assert f"--bind {path}:{path}{ending} " in task


def test_path_to_bind_that_is_not_there_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree.root / "fx.sif").touch()
    assert call(tree, "--container", f"{tree.root}/fx.sif", "--bind", f"{tree.root}/none") == 66
    assert f"--bind {tree.root}/none: " in capsys.readouterr().err
    assert not (tree.root / "out").exists()


def test_path_to_bind_needs_a_container(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tree, "--bind", str(tree.raw)) == 2
    assert "--bind: it means nothing without a container" in capsys.readouterr().err
    assert not (tree.root / "out").exists()


def test_path_that_no_container_can_see_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = Tree(tmp_path / "a,b", n_scans=40)
    tree.run("sub-01_task-nback_run-1")
    (tree.root / "fx.sif").touch()
    assert call(tree, "--container", str(tree.root / "fx.sif")) == 2
    assert "cannot be bound" in capsys.readouterr().err
    assert list((tree.root / "out" / "jobs").iterdir()) == []


def test_sites_templates_are_taken(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIDS_FX_TEMPLATES", str(tree.root))
    (tree.root / "slurm-array.sh").write_text("#!/bin/sh\n# ours\n")
    assert call(tree) == 0
    array = tree.root / "out" / "jobs" / "job-1" / "array.sh"
    assert array.read_text() == "#!/bin/sh\n# ours\n"


def test_sites_templates_that_are_not_there_are_refused(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BIDS_FX_TEMPLATES", str(tree.root / "none"))
    assert call(tree) == 66
    assert f"BIDS_FX_TEMPLATES={tree.root / 'none'}: " in capsys.readouterr().err
    assert not (tree.root / "out").exists()


def test_job_whose_template_is_wrong_leaves_nothing(tree: Tree) -> None:
    (tree.root / "mine.sh").write_text("@WRONG@\n")
    assert call(tree, "--template", str(tree.root / "mine.sh")) == 2
    assert list((tree.root / "out" / "jobs").iterdir()) == []


def test_templates_are_written_for_a_site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["templates", str(tmp_path)]) == 0
    assert str(tmp_path / "sge-array.sh") in capsys.readouterr().out.splitlines()
    assert main(["templates", str(tmp_path)]) == 73


@pytest.mark.parametrize("arguments", [[], ["slrum", "in", "out"], ["templates"]])
def test_unknown_command_is_refused(arguments: list[str]) -> None:
    assert main(arguments) == 2


def test_jobs_are_watched_by_the_file_that_is_in_their_folders(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    call(tree)
    capsys.readouterr()
    assert main(["status", str(tree.root / "out")]) == 1
    assert "sub-02  unsent" in capsys.readouterr().out
    copy = tree.root / "out" / "jobs" / "job-1" / "cluster_jobs.py"
    command = [sys.executable, str(copy), "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "sub-02  unsent" in done.stdout


def test_what_stands_behind_two_hyphens_is_the_programs() -> None:
    found = split(["--cpus=3", "--", "--cpus", "out"])
    assert found.rest == ["--", "--cpus", "out"]
    assert found.values == {"--cpus": 3}


def test_help_names_every_option_and_imports_no_library() -> None:
    code = (
        "import sys\nfrom bids_fx.cli.cluster import main\n"
        "try: main(['slurm', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'nibabel', 'nipype', 'matplotlib', 'bids'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    for name in ("--container", "--submit", "--throttle", "--template", "--scratch"):
        assert name in done.stdout
