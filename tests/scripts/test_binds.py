"""What a container has to see of the file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from bids_fx.cluster.binds import MAX_LINKED, Bind, find_binds


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "data"
    (folder / "derivatives").mkdir(parents=True)
    return folder


def told(binds: tuple[Bind, ...], root: Path) -> list[str]:
    """Return the arguments of binds, with / for the tests' folder."""
    return [bind.argument.replace(str(root), "") for bind in binds]


def test_folders_are_bound_at_their_own_paths(tmp_path: Path, data: Path) -> None:
    (tmp_path / "out").mkdir()
    assert told(find_binds([data], [tmp_path / "out"], []), tmp_path) == [
        *("/home/data:/home/data:ro", "/out:/out")
    ]


def test_folder_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert find_binds([tmp_path / "none"], [], []) == ()


def test_folder_in_another_is_not_bound_twice(tmp_path: Path, data: Path) -> None:
    found = find_binds([data, data / "derivatives"], [], [])
    assert told(found, tmp_path) == ["/home/data:/home/data:ro"]


def test_output_in_the_dataset_is_bound_after_it_to_be_written(tmp_path: Path, data: Path) -> None:
    out = data / "derivatives" / "fx"
    out.mkdir()
    assert told(find_binds([data], [out], []), tmp_path) == [
        "/home/data:/home/data:ro",
        "/home/data/derivatives/fx:/home/data/derivatives/fx",
    ]


def test_dataset_in_the_output_is_not_bound_again(tmp_path: Path, data: Path) -> None:
    assert told(find_binds([data], [tmp_path], []), tmp_path) == [":"]


def test_derivatives_that_are_a_link_are_seen_where_it_leads(tmp_path: Path, data: Path) -> None:
    (tmp_path / "disk" / "2024" / "prep").mkdir(parents=True)
    (tmp_path / "disk" / "now").symlink_to("2024")
    (data / "derivatives" / "prep").symlink_to("../../../disk/now/prep")
    found = find_binds([data, data / "derivatives" / "prep"], [], [])
    assert told(found, tmp_path) == [
        "/disk/2024/prep:/disk/now/prep:ro",
        "/home/data:/home/data:ro",
    ]


def test_dataset_that_is_a_link_is_seen_by_the_name_that_was_given(
    tmp_path: Path, data: Path
) -> None:
    (tmp_path / "mine").symlink_to(data)
    assert told(find_binds([tmp_path / "mine"], [], []), tmp_path) == ["/mine:/mine:ro"]


def test_relative_link_leads_elsewhere_from_inside(tmp_path: Path, data: Path) -> None:
    # /mine is a link to /home/data: of the machine ../other is in /home, of the container in /
    (tmp_path / "mine").symlink_to(data)
    (tmp_path / "home" / "other").mkdir()
    (data / "prep").symlink_to("../other")
    found = find_binds([tmp_path / "mine", tmp_path / "mine" / "prep"], [], [])
    assert told(found, tmp_path) == ["/mine:/mine:ro", "/home/other:/other:ro"]


def test_annex_in_the_dataset_needs_no_bind(tmp_path: Path, data: Path) -> None:
    (data / ".git" / "annex").mkdir(parents=True)
    (data / ".git" / "annex" / "key").touch()
    (data / "bold.nii.gz").symlink_to(".git/annex/key")
    found = find_binds([data], [], [data / "bold.nii.gz"])
    assert told(found, tmp_path) == ["/home/data:/home/data:ro"]


def test_folder_of_a_file_that_is_a_link_is_bound(tmp_path: Path, data: Path) -> None:
    (tmp_path / "annex" / "aa").mkdir(parents=True)
    (tmp_path / "annex" / "aa" / "key").touch()
    (data / "bold.nii.gz").symlink_to(tmp_path / "annex" / "aa" / "key")
    found = find_binds([data], [], [data / "bold.nii.gz"])
    assert told(found, tmp_path) == ["/annex/aa:/annex/aa:ro", "/home/data:/home/data:ro"]


def test_many_such_folders_are_bound_as_one(tmp_path: Path, data: Path) -> None:
    files = []
    for number in range(MAX_LINKED + 1):
        key = tmp_path / "annex" / f"{number}" / "key"
        key.parent.mkdir(parents=True)
        key.touch()
        files.append(data / f"{number}.nii.gz")
        files[-1].symlink_to(key)
    found = find_binds([data], [], files)
    assert told(found, tmp_path) == ["/annex:/annex:ro", "/home/data:/home/data:ro"]


def test_link_that_leads_nowhere_needs_no_bind(tmp_path: Path, data: Path) -> None:
    (data / "bold.nii.gz").symlink_to("/nowhere/key")
    found = find_binds([data], [], [data / "bold.nii.gz"])
    assert told(found, tmp_path) == ["/home/data:/home/data:ro"]


def test_output_behind_a_link_is_written_where_the_link_leads(tmp_path: Path, data: Path) -> None:
    (tmp_path / "disk").mkdir()
    (data / "derivatives" / "fx").symlink_to(tmp_path / "disk")
    found = find_binds([data], [data / "derivatives" / "fx"], [])
    assert told(found, tmp_path) == ["/disk:/disk", "/home/data:/home/data:ro"]
