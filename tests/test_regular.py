"""Files of ours are read if they are files, and nothing else is waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bids_fx import regular
from bids_fx.derivatives.write import sha256
from bids_fx.json_files import object_or_nothing
from bids_fx.regular import open_regular, read_bytes, read_text
from tests.fuzzing import in_time


def test_file_and_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Gesichter, 脸")
    (tmp_path / "b").symlink_to("a")
    assert read_text(tmp_path / "b") == "Gesichter, 脸"


@pytest.mark.parametrize("kind", ["folder", "named pipe", "socket", "device"])
def test_what_is_no_file_is_refused_by_what_it_is(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "folder":
            path.mkdir()
        elif kind == "named pipe":
            os.mkfifo(path)
        elif kind == "socket":
            server.bind(str(path))
        else:
            path.symlink_to("/dev/zero")
        for read in (read_bytes, sha256):
            with (
                in_time(60),
                pytest.raises(OSError, match=f"a {kind} in place of a file"),
            ):
                read(path)
    assert object_or_nothing(path) == {}


def test_file_that_becomes_a_pipe_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    was_file = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda _: was_file)
    with in_time(60), pytest.raises(OSError, match="a named pipe in place of a file"):
        open_regular(tmp_path / "pipe")


def test_file_of_holes_larger_than_any_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(OSError, match="more than 256 MiB"):
        read_bytes(path)
    assert object_or_nothing(path) == {}
    assert regular.MOST_OF_IMAGE < 1 << 40
