"""What counts as finished: outputs that are there, of the same inputs and settings."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bids_fx.cli import session
from bids_fx.cli.run import main
from bids_fx.dataset.confounds import load_strategies
from bids_fx.dataset.index import find_runs
from bids_fx.derivatives import paths
from bids_fx.derivatives.status import (
    HashCache,
    contradicted,
    is_whole,
    stamp_of,
    unfinished,
)
from bids_fx.derivatives.write import sha256, write_image
from bids_fx.plan import make_plan
from bids_fx.records import Todo
from bids_fx.settings import AnalysisSettings, DataSelection
from tests.small_plans import GRID
from tests.synthetic import DatasetSpec, make_dataset

SETTINGS = AnalysisSettings(contrasts=("face",))


@pytest.fixture
def done(tmp_path):
    """Return a dataset, its output folder and the plan of a call that has ended well."""
    truth = make_dataset(tmp_path / "data", DatasetSpec(n_volumes=40))
    out = tmp_path / "out"
    command = [str(truth.bids_dir), str(out), "participant", "--contrast", "face"]
    assert main([*command, "--nprocs", "1", "--skip-bids-validation"]) == 0
    return truth, out


def plan_of(truth, settings=SETTINGS):
    data = DataSelection(
        bids_dir=truth.bids_dir, derivatives=(("fmriprep", truth.derivatives_dir),)
    )
    found = find_runs(data, "01", analysis=settings)
    return make_plan(found, settings, load_strategies(), known_conditions={})


def todo(truth, out, settings=SETTINGS, **options):
    cache = HashCache.of_participant(out, "01")
    wishes = {"force": False, "only_figures": False} | options
    return unfinished(plan_of(truth, settings), out, cache, **wishes)


def test_nothing_is_left_after_a_call_that_ended_well(done):
    assert not todo(*done)


def test_each_input_is_looked_at_once_however_many_images_are_made_from_it(done, monkeypatch):
    looked_at = Counter()
    original = HashCache.digest

    def digest(cache, file):
        looked_at[file] += 1
        return original(cache, file)

    monkeypatch.setattr(HashCache, "digest", digest)
    assert not todo(*done)
    # two runs' series and masks, and their effects and variances and degrees of freedom
    assert len(looked_at) >= 2 * (2 + 2)
    assert set(looked_at.values()) == {1}


def test_a_call_that_finds_nothing_to_do_looks_once(done, monkeypatch):
    looks = []

    def look(*arguments, **options):
        looks.append(unfinished(*arguments, **options))
        return looks[-1]

    monkeypatch.setattr(session, "unfinished", look)
    truth, out = done
    command = [str(truth.bids_dir), str(out), "participant", "--contrast", "face"]
    assert main([*command, "--skip-bids-validation"]) == 0
    assert looks == [Todo()]


def test_everything_is_done_again_on_demand(done):
    left = todo(*done, force=True)
    assert (len(left.runs), len(left.groups)) == (2, 1)
    assert (len(left.run_figures), len(left.group_figures)) == (2, 1)


def test_only_figures_are_drawn_again_on_demand(done):
    left = todo(*done, only_figures=True)
    assert not left.runs | left.groups
    assert (len(left.run_figures), len(left.group_figures)) == (2, 1)


def test_only_figures_whose_maps_are_there_are_drawn(done):
    truth, out = done
    next(out.rglob("*run-1*contrast-face_stat-z_statmap.nii.gz")).unlink()
    assert not todo(truth, out, only_figures=True).group_figures


@pytest.mark.parametrize("ending", ["stat-z_statmap.nii.gz", "stat-z_statmap.json", "design.tsv"])
def test_a_missing_output_of_a_run_fits_it_again(done, ending):
    truth, out = done
    next(out.rglob(f"*run-1*{ending}")).unlink()
    left = todo(truth, out)
    assert [key for key in left.runs if "run-1" in key] == list(left.runs)
    assert len(left.runs) == len(left.groups) == 1


def test_a_missing_combined_map_combines_again_and_fits_nothing(done):
    truth, out = done
    (out / paths.statmap(plan_of(truth).groups[0].entities, "face", "q")).unlink()
    left = todo(truth, out)
    assert (len(left.runs), len(left.groups)) == (0, 1)


@pytest.mark.parametrize(
    "table", ["_influence.tsv", "_influence.json", "_space-MNI152NLin2009cAsym_contrasts.tsv"]
)
def test_a_missing_table_of_a_group_combines_again(done, table):
    truth, out = done
    next(out.rglob(f"*{table}")).unlink()
    left = todo(truth, out)
    assert (len(left.runs), len(left.groups)) == (0, 1)


@pytest.mark.parametrize("shape", [(5,), (3, 5)], ids=["one volume", "three volumes"])
def test_an_image_is_whole_to_its_last_byte(tmp_path, shape):
    path = tmp_path / "a.nii.gz"
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[1, 1] = True
    values = np.random.default_rng(1).random(shape)
    write_image(path, values, mask, GRID, standard_space=True)
    assert is_whole(path)
    content = path.read_bytes()
    for n_bytes in (len(content) - 1, len(content) // 2, 30, 0):
        path.write_bytes(content[:n_bytes])
        assert not is_whole(path)
    path.unlink()
    assert not is_whole(path)


def test_an_image_that_lacks_a_volume_of_its_header_is_not_whole(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_image(path, np.ones((3, 210)), np.ones(GRID.shape, bool), GRID, standard_space=True)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[: -210 * 8]))
    assert not is_whole(path)


def test_a_missing_figure_is_drawn_again_and_nothing_is_computed(done):
    truth, out = done
    next(out.glob("sub-01/figures/*run-2*_design.svg")).unlink()
    left = todo(truth, out)
    assert not left.runs | left.groups | left.group_figures
    assert len(left.run_figures) == 1


def test_a_changed_input_fits_its_run_again_whatever_its_name_and_size(done):
    truth, out = done
    bold = truth.runs[0].bold
    content = bytearray(bold.read_bytes())
    content[4] ^= 1  # the date in the header of the gzip file
    bold.write_bytes(bytes(content))
    left = todo(truth, out)
    assert len(left.runs) == 1
    assert "run-1" in next(iter(left.runs))


def test_a_touched_input_that_is_the_same_fits_nothing(done):
    truth, out = done
    os.utime(truth.runs[0].bold, ns=(1, 1))
    assert not todo(truth, out)


def test_a_changed_run_map_combines_again(done):
    truth, out = done
    path = next(out.rglob("*run-1*contrast-face_stat-effect_statmap.nii.gz"))
    content = bytearray(path.read_bytes())
    content[4] ^= 1
    path.write_bytes(bytes(content))
    left = todo(truth, out)
    assert (len(left.runs), len(left.groups)) == (0, 1)


def test_a_changed_combination_fits_nothing(done):
    left = todo(*done, replace(SETTINGS, combination="unweighted"))
    assert (len(left.runs), len(left.groups)) == (0, 1)


def test_a_sidecar_that_is_no_json_vouches_for_nothing(done):
    truth, out = done
    next(out.rglob("*run-1*stat-tsnr_statmap.json")).write_text("{")
    assert len(todo(truth, out).runs) == 1


def test_hashes_are_kept_between_calls_and_taken_again_after_a_change(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"one")
    cache = HashCache(tmp_path / "hashes.json")
    assert cache.digest(file) == sha256(file)
    cache.save()
    (stored,) = json.loads((tmp_path / "hashes.json").read_text()).values()
    assert stored[2] == sha256(file)
    file.write_bytes(b"four")
    assert HashCache(tmp_path / "hashes.json").digest(file) == sha256(file)


def test_a_hash_learned_from_a_file_that_changed_meanwhile_is_not_believed(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    stamp = stamp_of(file)
    old = sha256(file)
    file.write_bytes(b"newer")
    cache = HashCache(tmp_path / "hashes.json")
    cache.learn(file, old, stamp)
    assert cache.digest(file) == sha256(file) != old


def test_a_damaged_cache_is_no_cache(tmp_path):
    (tmp_path / "hashes.json").write_text("[1, 2")
    file = tmp_path / "a"
    file.write_bytes(b"x")
    assert HashCache(tmp_path / "hashes.json").digest(file) == sha256(file)


def test_maps_that_a_new_fit_replaces_by_others_are_named_before(done):
    truth, out = done
    assert contradicted(plan_of(truth), todo(truth, out, force=True), out) == []
    joint = replace(SETTINGS, contrasts=("face = F(face)",), noise_model="ols")
    left = todo(truth, out, joint)
    names = {path.name for path in contradicted(plan_of(truth, joint), left, out)}
    stats = {name.split("_stat-")[1].removesuffix("_statmap.nii.gz") for name in names}
    assert stats == {"variance", "t", "q", "qp", "isq", "tau2", "ar1"}
    assert sum("run-" not in name for name in names) == 6
