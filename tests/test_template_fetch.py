"""How templates come into the image: whole ones, or none and a word about it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fetch_templates import TEMPLATES

IMAGE = gzip.compress(b"an image of a brain" * 1000)
KINDS = [
    f"res-0{resolution}_{kind}.nii.gz"
    for resolution in (1, 2)
    for kind in ("T1w", "desc-brain_mask")
]
SETTINGS = {"TEMPLATEFLOW_AUTOUPDATE": "off", "no_proxy": "*"}
# TemplateFlow reads its environment when it is imported: in a process of its own.
CODE = """
import sys
from pathlib import Path
from templateflow.client import TemplateFlowClient
from fetch_templates import fetch
for image in fetch(TemplateFlowClient(root=sys.argv[1], s3_root=sys.argv[2]), Path(sys.argv[3])):
    print(image.name)
"""


@contextmanager
def served(answer: Callable[[str], bytes | None]) -> Iterator[str]:
    """Serve the contents that paths are answered with; None is 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = answer(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def list_images(archive: Path) -> None:
    """Write the empty files that are needed here; the client's own list has thousands."""
    for template in TEMPLATES:
        folder = archive / f"tpl-{template}"
        folder.mkdir(parents=True)
        (folder / "template_description.json").write_text("{}")
        for name in KINDS:
            (folder / f"tpl-{template}_{name}").touch()


def fetched(folder: Path, source: str) -> tuple[list[str], str]:
    """Fetch into ``target`` of a folder; return the names of the images, and what was told."""
    archive = folder / "archive"
    done = subprocess.run(
        [sys.executable, "-c", CODE, archive, source, folder / "target"],
        env={**os.environ, **SETTINGS, "TEMPLATEFLOW_HOME": str(archive)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split(), done.stderr


def files(folder: Path) -> dict[str, Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def test_head_and_mask_of_each_template_come_in_two_resolutions(tmp_path: Path) -> None:
    with served(lambda _: IMAGE) as source:
        names, _ = fetched(tmp_path, source)
    images = {f"tpl-{template}/tpl-{template}_{kind}" for template in TEMPLATES for kind in KINDS}
    descriptions = {f"tpl-{template}/template_description.json" for template in TEMPLATES}
    there = files(tmp_path / "target")
    assert set(there) == images | descriptions
    assert sorted(names) == sorted(Path(image).name for image in images)
    assert all(there[image].read_bytes() == IMAGE for image in images)


@pytest.mark.parametrize(
    "answer",
    [None, b"<html>Please log in</html>", IMAGE[:-20]],
    ids=["nothing", "a portal's page", "a part"],
)
def test_what_is_no_template_is_left_out_and_told(tmp_path: Path, answer: bytes | None) -> None:
    list_images(tmp_path / "archive")
    with served(lambda path: answer if "NLin6Asym_res-02_T1w" in path else IMAGE) as source:
        names, told = fetched(tmp_path, source)
    assert [name for name in names if "NLin6Asym" in name] == [
        "tpl-MNI152NLin6Asym_res-01_T1w.nii.gz",
        "tpl-MNI152NLin6Asym_res-01_desc-brain_mask.nii.gz",
    ]
    assert "MNI152NLin6Asym cannot be had" in told
    assert all(path.stat().st_size for path in files(tmp_path / "target").values())


def test_without_a_network_there_are_none(tmp_path: Path) -> None:
    list_images(tmp_path / "archive")
    names, told = fetched(tmp_path, "http://127.0.0.1:9")
    assert names == []
    assert not (tmp_path / "target").exists()
    assert told.count("cannot be had") == 1
