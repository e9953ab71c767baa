"""What fetches templates: whole ones, or none and a word about it."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bids_fx.cli.fetch_templates import DEFAULT_SPACES, main

ROOT = Path(__file__).parents[2]
IMAGE = gzip.compress(b"an image of a brain" * 1000, mtime=0)
KINDS = [
    f"res-0{resolution}_{kind}.nii.gz"
    for resolution in (1, 2)
    for kind in ("T1w", "desc-brain_mask")
]
IMAGES = [f"tpl-{space}/tpl-{space}_{kind}" for space in DEFAULT_SPACES for kind in KINDS]
DESCRIPTIONS = [f"tpl-{space}/template_description.json" for space in DEFAULT_SPACES]
SPACE = "MNI152NLin6Asym"
#: Nobody listens there.
NOWHERE = "http://127.0.0.1:9"
# TemplateFlow reads its environment when it is imported: in a process of its own.
CODE = """
import sys, zipfile
from bids_fx.cli import fetch_templates
# TemplateFlow has a list of thousands of files, of which it makes empty ones: these are enough.
names = zipfile.ZipFile.namelist
wanted = ("_T1w.nii.gz", "_desc-brain_mask.nii.gz", "_T2w.nii.gz", "template_description.json")
zipfile.ZipFile.namelist = lambda listed: [name for name in names(listed) if name.endswith(wanted)]
opened = fetch_templates._open_client
def open_client(archive):
    client = opened(archive)
    client.cache.config.s3_root = sys.argv[1]
    return client
fetch_templates._open_client = open_client
sys.exit(fetch_templates.main(sys.argv[2:]))
"""


class Server:
    """Answers paths with contents, None with 404, and notes them."""

    def __init__(self, answer: Callable[[str], bytes | None]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.address = ""


@contextmanager
def served(answer: Callable[[str], bytes | None] = lambda _: IMAGE) -> Iterator[Server]:
    """Serve what paths are answered with."""
    told = Server(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path.rpartition("/")[2])
            content = told.answer(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        told.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


def fetch(source: str, *arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """Call the program, with a server in place of TemplateFlow's."""
    variables = {name: str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-c", CODE, source, *map(str, arguments)],
        env={**os.environ, "no_proxy": "*", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def files(folder: Path) -> dict[str, Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def test_head_and_mask_of_each_template_come_in_two_resolutions(tmp_path: Path) -> None:
    with served() as server:
        done = fetch(server.address, tmp_path / "new" / "target")
    assert done.returncode == 0, done.stderr
    there = files(tmp_path / "new" / "target")
    assert set(there) == {*IMAGES, *DESCRIPTIONS}
    assert done.stdout.split() == [str(tmp_path / "new" / "target" / image) for image in IMAGES]
    assert all(there[image].read_bytes() == IMAGE for image in IMAGES)
    assert all(path.stat().st_size for path in there.values())


def test_spaces_are_those_that_are_asked_for(tmp_path: Path) -> None:
    with served() as server:
        spaces = ("--space", "MNI152NLin6Sym", "MNIInfant:cohort-2", "--space", "fsaverage")
        done = fetch(server.address, tmp_path, *spaces)
    assert done.returncode == 0, done.stderr
    assert [line.removeprefix(f"{tmp_path}/") for line in done.stdout.split()] == [
        "tpl-MNI152NLin6Sym/tpl-MNI152NLin6Sym_res-01_T1w.nii.gz",
        "tpl-MNI152NLin6Sym/tpl-MNI152NLin6Sym_res-01_desc-brain_mask.nii.gz",
        "tpl-MNIInfant/cohort-2/tpl-MNIInfant_cohort-2_res-1_T1w.nii.gz",
        "tpl-MNIInfant/cohort-2/tpl-MNIInfant_cohort-2_res-1_desc-brain_mask.nii.gz",
        "tpl-MNIInfant/cohort-2/tpl-MNIInfant_cohort-2_res-2_T1w.nii.gz",
        "tpl-MNIInfant/cohort-2/tpl-MNIInfant_cohort-2_res-2_desc-brain_mask.nii.gz",
        "tpl-fsaverage/tpl-fsaverage_res-01_T1w.nii.gz",
        "tpl-fsaverage/tpl-fsaverage_res-01_desc-brain_mask.nii.gz",
    ]
    assert "tpl-MNIInfant/template_description.json" in files(tmp_path)


def test_what_is_there_and_whole_is_kept_and_the_rest_fetched(tmp_path: Path) -> None:
    whole, empty, half, absent = (tmp_path / image for image in IMAGES[4:])
    whole.parent.mkdir()
    own = gzip.compress(b"the user's own")
    whole.write_bytes(own)
    empty.touch()
    half.write_bytes(IMAGE[:-20])
    (whole.parent / "other.txt").write_text("kept")
    with served() as server:
        done = fetch(server.address, tmp_path, "--space", SPACE)
    assert done.returncode == 0, done.stderr
    assert server.asked == [path.name for path in (empty, half, absent)]
    assert whole.read_bytes() == own
    assert {path.read_bytes() for path in (empty, half, absent)} == {IMAGE}
    assert (whole.parent / "other.txt").read_text() == "kept"


def test_what_is_all_there_needs_no_network(tmp_path: Path) -> None:
    for image in IMAGES:
        (tmp_path / image).parent.mkdir(exist_ok=True)
        (tmp_path / image).write_bytes(IMAGE)
    done = fetch(NOWHERE, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == len(IMAGES)


@pytest.mark.parametrize(
    "answer",
    [None, b"", b"<html>Please log in</html>", IMAGE[:-20]],
    ids=["404", "empty", "portal", "half"],
)
def test_what_is_no_template_is_left_out_and_told(tmp_path: Path, answer: bytes | None) -> None:
    with served(lambda path: answer if "res-02_T1w" in path else IMAGE) as server:
        done = fetch(server.address, tmp_path, "--space", SPACE)
    assert done.returncode == 1
    lost = tmp_path / f"tpl-{SPACE}" / f"tpl-{SPACE}_res-02_T1w.nii.gz"
    assert f"bids_fx-templates: 1 problem:\n  - {lost}: it cannot be had" in done.stderr
    expected = [str(tmp_path / image) for image in IMAGES[4:] if "res-02_T1w" not in image]
    assert done.stdout.split() == expected
    assert str(lost) not in map(str, files(tmp_path).values())


def test_without_a_network_there_are_none(tmp_path: Path) -> None:
    done = fetch(NOWHERE, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert list(tmp_path.iterdir()) == []
    assert done.stderr.count("Downloading") == 1
    assert ", and 7 more were not tried" in done.stderr


def test_without_a_network_what_is_there_is_still_told(tmp_path: Path) -> None:
    last = tmp_path / IMAGES[-1]
    last.parent.mkdir()
    last.write_bytes(IMAGE)
    done = fetch(NOWHERE, tmp_path)
    assert (done.returncode, done.stdout) == (1, f"{last}\n")


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"HOME": "home"}, "home/.cache/templateflow"),
        ({"HOME": "home", "TEMPLATEFLOW_HOME": "named"}, "named"),
    ],
)
def test_without_a_folder_the_archive_is_filled_that_reports_look_into(
    tmp_path: Path, settings: dict[str, str], place: str
) -> None:
    with served() as server:
        paths = {name: tmp_path / value for name, value in settings.items()}
        done = fetch(server.address, "--space", SPACE, **paths)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / place / image) for image in IMAGES[4:]]


def test_other_programs_find_their_templates_in_a_new_archive(tmp_path: Path) -> None:
    home = tmp_path / "templateflow"
    fetch(NOWHERE, "--space", SPACE, TEMPLATEFLOW_HOME=home)
    other = home / "tpl-OASIS30ANTs" / "tpl-OASIS30ANTs_res-01_T1w.nii.gz"
    assert other.stat().st_size == 0
    assert [path.name for path in home.iterdir() if path.name.startswith(".bids_fx")] == []


def test_an_archive_that_is_there_is_not_added_to(tmp_path: Path) -> None:
    (tmp_path / ".datalad").mkdir()
    fetch(NOWHERE, "--space", SPACE, TEMPLATEFLOW_HOME=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".datalad"]


def test_unknown_spaces_are_refused_with_those_that_there_are(tmp_path: Path) -> None:
    done = fetch(NOWHERE, tmp_path, "--space", "MNI152NLin6asym", "fsLR", "MNIInfant:cohort-99")
    assert done.returncode == 2
    assert done.stderr.startswith("bids_fx-templates: 3 problems:\n  - --space MNI152NLin6asym: ")
    assert "(did you mean 'MNI152NLin6Asym'?); choose of MNI152Lin, " in done.stderr
    assert "MNIInfant:cohort-N, MNIPediatricAsym:cohort-N, NKI" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_with_73(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = fetch(NOWHERE, tmp_path / "file" / "folder")
    assert done.returncode == 73
    assert f"{tmp_path}/file/folder: cannot be written (Not a directory)" in done.stderr


def test_a_place_that_cannot_be_written_is_told_with_73(tmp_path: Path) -> None:
    (tmp_path / f"tpl-{SPACE}").touch()
    with served() as server:
        done = fetch(server.address, tmp_path, "--space", SPACE)
    assert done.returncode == 73
    assert [path.name for path in tmp_path.iterdir()] == [f"tpl-{SPACE}"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 0, "usage: bids_fx-templates [-h] [--space SPACE [SPACE ...]]"),
        (["--version"], 0, "bids_fx "),
        ([""], 2, "argument DIR: the path is empty; give the path of a folder"),
        (["--spaces", "x"], 2, "unrecognized arguments"),
    ],
)
def test_the_command_line_is_explained(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == code
    assert text in "".join(capsys.readouterr())


def test_help_does_not_wait_for_libraries() -> None:
    code = """
import sys
from bids_fx.cli.fetch_templates import main
try:
    main(["--help"])
except SystemExit:
    sys.exit(bool({"templateflow", "bids", "numpy", "requests"} & set(sys.modules)))
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_image_copies_what_fetching_needs_and_goes_on_without_a_network(
    tmp_path: Path,
) -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    stage = text.partition("AS templates\n")[2].partition("\nFROM")[0]
    for line in re.findall(r"^COPY (.*)$", stage, re.MULTILINE):
        *sources, folder = line.split()
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(ROOT / source, tmp_path / folder)
    (command,) = re.findall(r"^RUN (.*)$", stage, re.MULTILINE)
    command = command.replace("/opt/bids_fx/bin/python", sys.executable)
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace("/opt/templateflow", "templates")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""}
        | dict.fromkeys(("HTTPS_PROXY", "https_proxy"), NOWHERE),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bids_fx-templates: 1 problem:" in done.stderr
    assert list((tmp_path / "templates").iterdir()) == []
