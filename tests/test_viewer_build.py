"""How the viewer's library comes into the package: the right one, or none and a word about it."""

from __future__ import annotations

import base64
import errno
import hashlib
import importlib.util
import io
import os
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = b"globalThis.niivue = {};\n"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the hook, which takes `LIBRARY` for the right one."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    right = module.NIIVUE._replace(sha256=hashlib.sha256(LIBRARY).hexdigest())
    monkeypatch.setattr(module, "NIIVUE", right)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a source tree without the library."""
    (tmp_path / "tree" / "bids_fx" / "data").mkdir(parents=True)
    return tmp_path / "tree"


def pack(path: Path, members: dict[str, bytes]) -> str:
    """Write a tarball and return its SHA-512 as npm writes it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def install_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, *, command: str = "exit 3") -> None:
    """Put a program by the name of npm, and nothing else, on the path."""
    folder.mkdir(exist_ok=True)
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{command}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def serve(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes]
) -> None:
    """Make npm give a tarball of these members, which is the known one."""
    tarball = tmp_path / "served.tgz"
    known = hook.NIIVUE._replace(sha512=pack(tarball, members))
    monkeypatch.setattr(hook, "NIIVUE", known)
    # npm is called as `npm pack PACKAGE --pack-destination FOLDER ...`
    copy = f'/bin/cp "{tarball}" "$4/niivue.tgz"'
    install_npm(tmp_path / "bin", monkeypatch, command=copy)


def test_library_of_the_right_hash_is_taken(
    hook: ModuleType, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(hook, tmp_path, monkeypatch, {hook.NIIVUE.member: LIBRARY})
    assert hook.provide(root, "auto")
    assert (root / hook.LIBRARY).read_bytes() == LIBRARY
    assert [path.name for path in (root / hook.LIBRARY).parent.iterdir()] == ["niivue.umd.js"]


def test_no_other_member_of_the_tarball_is_written(
    hook: ModuleType, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    others = {"../outside": b"x", str(outside): b"x", "package/package.json": b"{}"}
    serve(hook, tmp_path, monkeypatch, {**others, hook.NIIVUE.member: LIBRARY})
    assert hook.provide(root, "require")
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files == [root / hook.LIBRARY]
    assert not outside.exists()


@pytest.mark.parametrize("wrong", ["tarball", "library", "no library"])
def test_library_of_another_hash_is_refused(
    hook: ModuleType,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    wrong: str,
) -> None:
    members = {"no library": {"a": b""}, "library": {hook.NIIVUE.member: LIBRARY + b" "}}
    serve(hook, tmp_path, monkeypatch, members.get(wrong, {hook.NIIVUE.member: LIBRARY}))
    if wrong == "tarball":
        monkeypatch.setattr(hook, "NIIVUE", hook.NIIVUE._replace(sha512="another"))
    assert not hook.provide(root, "auto")
    assert not (root / hook.LIBRARY).exists()
    said = capfd.readouterr().err
    assert "hash" in said
    assert "Reports will have no viewer" in said
    with pytest.raises(hook.ViewerError, match="hash"):
        hook.provide(root, "require")


def test_build_goes_on_without_npm_and_says_so(
    hook: ModuleType,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not hook.provide(root, "auto")
    assert "npm is not installed" in capfd.readouterr().err
    with pytest.raises(hook.ViewerError, match="npm is not installed"):
        hook.provide(root, "require")


def test_build_goes_on_without_a_network_and_tells_what_npm_said(
    hook: ModuleType,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    install_npm(tmp_path / "bin", monkeypatch, command="echo no route >&2; exit 1")
    assert not hook.provide(root, "auto")
    assert "no route" in capfd.readouterr().err


def test_library_that_is_there_is_not_fetched_again(
    hook: ModuleType, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_npm(tmp_path / "bin", monkeypatch)
    (root / hook.LIBRARY).parent.mkdir()
    (root / hook.LIBRARY).write_bytes(LIBRARY)
    assert hook.provide(root, "require")


def test_old_library_goes_where_the_new_one_cannot_be_had(
    hook: ModuleType, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_npm(tmp_path / "bin", monkeypatch)
    (root / hook.LIBRARY).parent.mkdir()
    (root / hook.LIBRARY).write_bytes(b"old")
    assert not hook.provide(root, "auto")
    assert not (root / hook.LIBRARY).exists()


def test_build_goes_on_where_nothing_can_be_written_and_says_so(
    hook: ModuleType,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    serve(hook, tmp_path, monkeypatch, {hook.NIIVUE.member: LIBRARY})
    (root / hook.LIBRARY).parent.write_text("a file, where no folder can be made")
    assert not hook.provide(root, "auto")
    assert "niivue.umd.js cannot be written" in capfd.readouterr().err
    with pytest.raises(hook.ViewerError, match="cannot be written"):
        hook.provide(root, "require")


def test_old_library_that_cannot_go_ends_the_build(
    hook: ModuleType, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    install_npm(tmp_path / "bin", monkeypatch)
    (root / hook.LIBRARY).parent.mkdir()
    (root / hook.LIBRARY).write_bytes(b"old")
    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(hook.ViewerError, match="cannot be removed"):
        hook.provide(root, "auto")


def test_library_is_left_out_where_that_is_asked_for(
    hook: ModuleType,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    serve(hook, tmp_path, monkeypatch, {hook.NIIVUE.member: LIBRARY})
    assert not hook.provide(root, "skip")
    assert not (root / hook.LIBRARY).exists()
    assert "BIDS_FX_VIEWER=skip" in capfd.readouterr().err


def test_what_is_asked_for_comes_from_the_environment(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BIDS_FX_VIEWER", raising=False)
    assert hook.choice() == "auto"
    monkeypatch.setenv("BIDS_FX_VIEWER", "require")
    assert hook.choice() == "require"
    monkeypatch.setenv("BIDS_FX_VIEWER", "never")
    with pytest.raises(hook.ViewerError, match="BIDS_FX_VIEWER=never"):
        hook.choice()


def test_pinned_package_is_the_one_that_the_licence_names(hook: ModuleType) -> None:
    notice = (ROOT / "bids_fx" / "data" / "niivue-licence.txt").read_text()
    assert notice.startswith(f"NiiVue {hook.NIIVUE.package.rpartition('@')[2]},")
