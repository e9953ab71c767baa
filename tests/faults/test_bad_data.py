"""Bad data are named with their file and a remedy, before any work wherever they can be seen then.

Each case is a participant of its own in one dataset, so that one call tells of many.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
import pytest

from bids_fx.cli.run import main
from bids_fx.cli.session import Session
from tests.soak import many
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = pytest.mark.e2e

#: Seconds after which the program counts as hanging.
PATIENCE = 300
#: Bytes of address space of the child; what is allocated beyond, even if never touched, fails.
ROOM = 3 << 30
OPTIONS = ("--nprocs", "1", "--skip-bids-validation", "--contrast", "face")
RESTORE = "restore the file from its source"
SENSELESS = "{bold}: a NIfTI header that makes no sense"


@dataclasses.dataclass(frozen=True)
class Files:
    """What belongs to one participant's run."""

    root: Path
    bold: Path
    mask: Path
    events: Path
    confounds: Path
    sidecar: Path

    @property
    def described(self) -> Path:
        return self.confounds.with_suffix(".json")

    def paths(self) -> dict[str, str]:
        names = (*[field.name for field in dataclasses.fields(self)], "described")
        return {name: str(getattr(self, name)) for name in names}


Damage = Callable[[Files], object]


def put(which: str, change: Callable[[bytes], bytes]) -> Damage:
    """Change the bytes of a file."""

    def damage(files: Files) -> None:
        path: Path = getattr(files, which)
        path.write_bytes(change(path.read_bytes()))

    return damage


def text(which: str, content: str | bytes) -> Damage:
    """Write other bytes into a file."""
    return put(which, lambda _: content.encode() if isinstance(content, str) else content)


def flip(which: str, place: Callable[[int], int], bits: int = 0x10) -> Damage:
    """Flip bits at a place that is told by the file's length."""

    def flipped(content: bytes) -> bytes:
        damaged = bytearray(content)
        damaged[place(len(content))] ^= bits
        return bytes(damaged)

    return put(which, flipped)


def header(which: str, **values: Any) -> Damage:
    """Write other fields into the header of a compressed image."""

    def changed(content: bytes) -> bytes:
        raw = bytearray(gzip.decompress(content))
        fields = nb.Nifti1Header.from_fileobj(io.BytesIO(bytes(raw)), check=False)
        for name, value in values.items():
            fields[name] = value
        raw[:348] = fields.binaryblock
        return gzip.compress(bytes(raw), mtime=0)

    return put(which, changed)


def image(which: str, change: Callable[[np.ndarray], np.ndarray], shift: float = 0.0) -> Damage:
    """Change the voxels of an image, and its place by some millimetres."""

    def damage(files: Files) -> None:
        path: Path = getattr(files, which)
        old = nb.load(path)
        values = change(old.get_fdata(dtype=np.float32))
        affine = old.affine.copy()
        affine[0, 3] += shift
        new = nb.Nifti1Image(values, affine)
        new.header.set_xyzt_units("mm", "sec")
        nb.save(new, path)

    return damage


def filled(value: float, *scans: int) -> Damage:
    """Fill some scans of the series, or all."""

    def change(values: np.ndarray) -> np.ndarray:
        values[..., list(scans) or slice(None)] = value
        return values

    return image("bold", change)


def uncompressed(which: str, change: Callable[[bytes], bytes] = lambda raw: raw) -> Damage:
    """Store an image uncompressed."""

    def damage(files: Files) -> None:
        path: Path = getattr(files, which)
        path.with_suffix("").write_bytes(change(gzip.decompress(path.read_bytes())))
        path.unlink()

    return damage


def events(*rows: str, columns: str = "onset duration trial_type") -> Damage:
    """Write an events table; cells are separated by blanks here."""
    return text("events", "".join("\t".join(row.split(" ")) + "\n" for row in (columns, *rows)))


def says(**values: Any) -> Damage:
    """Write other values into the sidecar; None takes one out."""

    def changed(content: bytes) -> bytes:
        kept = json.loads(content) | values
        return json.dumps({key: value for key, value in kept.items() if value is not ...}).encode()

    return put("sidecar", changed)


def shorter(n_scans: int) -> Damage:
    """Leave the first scans of a run, in its series and its confounds."""
    return both(
        image("bold", lambda values: values[..., :n_scans]),
        put("confounds", lambda content: b"".join(content.splitlines(True)[: n_scans + 1])),
    )


def both(*damages: Damage) -> Damage:
    """Do several things."""
    return lambda files: [damage(files) for damage in damages]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def instead(which: str, make: Callable[[Path], object]) -> Damage:
    """Put something else in place of a file."""

    def damage(files: Files) -> None:
        path: Path = getattr(files, which)
        path.unlink()
        make(path)

    return damage


def zeros(n_mib: int) -> bytes:
    """Return a gzip member of so many MiB of zeros, a thousandth as large."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(n_mib)) + packer.flush()


def bomb(which: str) -> Damage:
    """Let an image go on far beyond its end."""
    return put(which, lambda content: content + zeros(150))


def hidden_bomb(files: Files) -> None:
    """Let a series go on so far that the size in its trailer, modulo 2^32, is the right one."""
    raw = gzip.decompress(files.bold.read_bytes())
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    member = bytearray(packer.compress(raw + bytes(80 << 20)) + packer.flush())
    member[-4:] = len(raw).to_bytes(4, "little")
    files.bold.write_bytes(bytes(member))


def second_run(damage: Damage) -> Damage:
    """Give the participant a second run, which alone is damaged."""

    def made(files: Files) -> None:
        run = {
            name: Path(path.replace("run-1", "run-2"))
            for name, path in files.paths().items()
            if name != "described"
        }
        for name in ("bold", "mask", "events", "confounds", "sidecar"):
            shutil.copy(getattr(files, name), run[name])
        damage(Files(**run))

    return made


NOT_A_FILE = "put the file there"
AFFINE = {"qform_code": 0, "sform_code": 1}

#: What is refused with the exit code 65 before any work, and the lines that say so.
REFUSED: dict[str, tuple[Damage, *tuple[str, ...]]] = {
    # --- compressed images
    "halfGzip": (
        put("bold", lambda content: content[: len(content) // 2]),
        "{bold}: truncated: the compressed data end early; {restore}.",
    ),
    "halfMask": (
        put("mask", lambda content: content[: len(content) // 2]),
        "{mask}: truncated: the compressed data end early; {restore}.",
    ),
    "tenBytes": (
        put("bold", lambda content: content[:10]),
        "{bold}: truncated: the compressed data end early; {restore}.",
    ),
    "noBytes": (text("bold", b""), "{bold}: an empty file; {restore}."),
    "garbageBehind": (
        put("bold", lambda content: content + b"garbage" * 9),
        "{bold}: something else follows its compressed data; {restore}.",
    ),
    "flipInHeader": (
        flip("bold", lambda _: 30),
        "{bold}: cannot be read (Error *); {restore}.",
    ),
    "flipInSize": (
        flip("bold", lambda size: size - 2),
        "{bold}: cannot be read (Incorrect length of data produced); {restore}.",
    ),
    "flipInMask": (
        flip("mask", lambda size: size - 6),
        "{mask}: cannot be read (CRC check failed *); {restore}.",
    ),
    "bombSeries": (
        bomb("bold"),
        "{bold}: it goes on far beyond what its header promises; {restore}.",
    ),
    "bombMask": (
        bomb("mask"),
        "{mask}: it goes on far beyond what its header promises; {restore}.",
    ),
    # --- dimensions
    "threeAxes": (
        image("bold", lambda values: values[..., 0]),
        "{bold}: an image of 5 x 6 x 5 voxels; give a series of volumes (4D).",
    ),
    "oneVolume": (
        shorter(1),
        "{bold}: an image of 5 x 6 x 5 voxels; give a series of volumes (4D).",
    ),
    "fiveAxes": (
        image("bold", lambda values: values.reshape(5, 6, 5, 10, 4)),
        "{bold}: an image of 5 x 6 x 5 x 10 x 4 voxels; give a series of volumes (4D).",
    ),
    "twoVolumes": (
        shorter(2),
        (
            "{run}: 2 scans for a design of rank 2; "
            "use fewer confounds or conditions, or leave the run out."
        ),
    ),
    "fewVolumes": (
        shorter(10),
        (
            "{run}: 10 scans for a design of rank "
            "9; the noise model ar1 needs 8 more than the rank; choose --noise-model ols, use "
            "fewer confounds or conditions, or leave the run out."
        ),
    ),
    "otherConfounds": (
        image("bold", lambda values: values[..., :30]),
        (
            "{confounds}: 40 rows, but the BOLD series has 30 volumes; give the confounds of this "
            "run, one row per volume."
        ),
    ),
    "otherGrid": (
        image("mask", lambda values: values[:-1]),
        (
            "{mask}: its grid is (4, 6, 5), that of {bold.name} is (5, 6, 5); give images on one "
            "grid."
        ),
    ),
    "otherPlace": (
        image("mask", lambda values: values, shift=1.0),
        "{mask}: its affine differs from that of {bold.name} by up to 1; give images on one grid.",
    ),
    "runsOnTwoGrids": (
        second_run(
            both(
                image("bold", lambda values: values[:-1]),
                image("mask", lambda values: values[:-1]),
            )
        ),
        (
            "sub-runsOnTwoGrids_task-main_run-2_space-MNI152NLin2009cAsym: its voxel grid differs "
            "from that of {run} in the same "
            "space; resample the runs to one grid, or take one of them out with --run-id."
        ),
    ),
    # --- masks
    "manyMasks": (
        image("mask", lambda values: np.stack([values, values], axis=-1)),
        "{mask}: an image of shape (5, 6, 5, 2); give one with three axes.",
    ),
    "emptyMask": (
        image("mask", lambda values: 0 * values),
        "{mask}: a mask without any voxel; give the mask of this run.",
    ),
    "maskOfNan": (
        image("mask", lambda values: values * np.nan),
        "{mask}: a mask without any voxel; give the mask of this run.",
    ),
    "probabilities": (
        image("mask", lambda values: np.where(values > 0, values * np.float32(0.75), 0.01)),
        (
            "{mask}: no mask, but an image of values such as 0.01; give a mask of 0 and 1, or "
            "put a threshold to this image."
        ),
    ),
    "negativeMask": (
        image("mask", lambda values: 2 * values - 1),
        (
            "{mask}: no mask, but an image of values such as -1; give a mask of 0 and 1, or put a "
            "threshold to this image."
        ),
    ),
    # --- headers
    "absurdSeries": (
        header("bold", dim=[4, 32767, 32767, 32767, 32767, 1, 1, 1]),
        "{bold}: truncated: * compressed bytes cannot hold 4611123094243246436 bytes; {restore}.",
    ),
    "absurdMask": (
        header("mask", dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]),
        "{mask}: truncated: * compressed bytes cannot hold 35181150962015 bytes; {restore}.",
    ),
    "sparseMask": (
        both(
            header("mask", dim=[3, 9999, 9999, 9999, 1, 1, 1, 1]),
            uncompressed("mask"),
            lambda files: os.truncate(files.mask.with_suffix(""), 1 << 40),
        ),
        (
            "{mask_nii}: its grid is (9999, 9999, 9999), that of {bold.name} is (5, 6, 5); give "
            "images on one grid."
        ),
    ),
    "sparseSeries": (
        both(uncompressed("bold"), lambda files: os.truncate(files.bold.with_suffix(""), 1 << 40)),
        "{bold_nii}: it goes on far beyond what its header promises; {restore}.",
    ),
    "shortSeries": (
        uncompressed("bold", lambda raw: raw[:-1]),
        "{bold_nii}: truncated: 24351 of 24352 bytes; {restore}.",
    ),
    "sevenAxes": (
        header("bold", dim=[7, 5, 6, 5, 10, 2, 1, 2]),
        "{bold}: an image of 5 x 6 x 5 x 10 x 2 x 1 x 2 voxels; give a series of volumes (4D).",
    ),
    "manyAxes": (
        header("bold", dim=[300, 5, 6, 5, 40, 1, 1, 1]),
        SENSELESS + " (300 axes); {restore}.",
    ),
    "noAxes": (header("bold", dim=[0, 5, 6, 5, 40, 1, 1, 1]), SENSELESS + " (0 axes); {restore}."),
    "minusAxes": (
        header("bold", dim=[-4, 5, 6, 5, 40, 1, 1, 1]),
        SENSELESS + " (-4 axes); {restore}.",
    ),
    "negativeSize": (
        header("bold", dim=[4, -5, 6, 5, 40, 1, 1, 1]),
        "{bold}: an image of shape (-5, 6, 5, 40); store at least one volume.",
    ),
    "noSize": (
        header("bold", dim=[4, 5, 6, 0, 40, 1, 1, 1]),
        "{bold}: an image of shape (5, 6, 0, 40); store at least one volume.",
    ),
    "offsetBeyond": (
        header("bold", vox_offset=1e12),
        "{bold}: truncated: * compressed bytes cannot hold 1000000019904 bytes; {restore}.",
    ),
    "offsetNan": (header("bold", vox_offset=np.nan), SENSELESS + " (data offset nan); {restore}."),
    "offsetInf": (header("bold", vox_offset=np.inf), SENSELESS + " (data offset inf); {restore}."),
    "offsetInHeader": (
        header("bold", vox_offset=100),
        SENSELESS + " (vox offset 100 too low for single file nifti1); {restore}.",
    ),
    "slopeInf": (header("bold", scl_slope=np.inf), SENSELESS + " (slope inf); {restore}."),
    "interceptNan": (
        header("bold", scl_slope=1, scl_inter=np.nan),
        SENSELESS + " (intercept nan); {restore}.",
    ),
    "affineNan": (
        header("bold", **AFFINE, srow_x=[np.nan] * 4),
        SENSELESS + " (an affine that is not finite); {restore}.",
    ),
    "affineFlat": (
        header("bold", **AFFINE, srow_x=[1, 0, 0, 0], srow_y=[2, 0, 0, 0]),
        SENSELESS + " (an affine that makes voxels flat); {restore}.",
    ),
    "affineOfZeros": (
        header("bold", **AFFINE, srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4),
        SENSELESS + " (an affine that makes voxels flat); {restore}.",
    ),
    "noVoxelSize": (
        header("bold", qform_code=1, sform_code=0, pixdim=[1, 0, 3, 3, 2, 0, 0, 0]),
        SENSELESS + " (voxels of 0 x 3 x 3 mm); {restore}.",
    ),
    "voxelSizeNan": (
        header("bold", qform_code=0, sform_code=0, pixdim=[1, 3, np.nan, 3, 2, 0, 0, 0]),
        SENSELESS + " (voxels of 3 x nan x 3 mm); {restore}.",
    ),
    "negativeVoxelSize": (
        header("bold", qform_code=0, sform_code=0, pixdim=[1, 3, 3, -3, 2, 0, 0, 0]),
        SENSELESS + " (voxels of 3 x 3 x -3 mm); {restore}.",
    ),
    "typeUnknown": (
        header("bold", datatype=77),
        SENSELESS + " (data code 77 not recognized); {restore}.",
    ),
    "typeComplex": (
        header("bold", datatype=32, bitpix=64),
        "{bold}: voxels of type complex64; store real numbers.",
    ),
    "noNifti": (header("bold", sizeof_hdr=349), "{bold}: not a NIfTI image; {restore}."),
    # --- repetition times
    "noTime": (
        both(says(RepetitionTime=...), header("bold", pixdim=[1, 3, 3, 3, 0, 0, 0, 0])),
        (
            "{bold}: no RepetitionTime in a sidecar and none in the header; write RepetitionTime "
            "(in seconds) into a sidecar of the run."
        ),
    ),
    "timeOfZero": (
        says(RepetitionTime=0),
        "{bold}: a RepetitionTime of 0 s; write it in seconds, between 0.01 and 100.",
    ),
    "negativeTime": (
        says(RepetitionTime=-2),
        "{bold}: a RepetitionTime of -2 s; write it in seconds, between 0.01 and 100.",
    ),
    "milliseconds": (
        says(RepetitionTime=2000),
        "{bold}: a RepetitionTime of 2000 s; write it in seconds, between 0.01 and 100.",
    ),
    "nanoseconds": (
        says(RepetitionTime=2e-9),
        "{bold}: a RepetitionTime of 2e-09 s; write it in seconds, between 0.01 and 100.",
    ),
    "timeAsText": (
        says(RepetitionTime="2"),
        "{bold}: RepetitionTime '2' in its sidecar; write a number of seconds.",
    ),
    "secondsInHeader": (
        both(says(RepetitionTime=...), header("bold", pixdim=[1, 3, 3, 3, 2000, 0, 0, 0])),
        "{bold}: a RepetitionTime of 2000 s; write it in seconds, between 0.01 and 100.",
    ),
    # --- tables
    "latin": (
        put("events", lambda content: content.replace(b"house", b"ma\xefson", 1)),
        "{events}: not UTF-8 text (byte *); save it again as UTF-8.",
    ),
    "wide": (
        put("events", lambda content: content.decode().encode("utf-16")),
        "{events}: not UTF-8 text but UTF-16; save it again as UTF-8.",
    ),
    "nulBytes": (
        put("events", lambda content: content[:99] + bytes(len(content) - 99)),
        (
            "{events}: not UTF-8 text (byte 99 is 0: damaged, or UTF-16); restore it, or save it "
            "again as UTF-8."
        ),
    ),
    "twoOnsets": (
        events("1 2 face 3", columns="onset duration trial_type onset"),
        "{events}: columns of one name: onset; rename or remove the copies.",
    ),
    "longRow": (
        events("1 2 face 3"),
        (
            "{events}: line 2 has 4 cells and the header has 3; separate the cells by single "
            "tabs and write n/a into empty ones."
        ),
    ),
    "cutConfounds": (
        put("confounds", lambda content: content[: content.rindex(b"\t")]),
        (
            "{confounds}: line 41 has * cells and the header has *; separate the cells by single "
            "tabs and write n/a into empty ones."
        ),
    ),
    "onlyBlanks": (text("events", "  \n\n \n"), "{events}: an empty file; restore the file."),
    "byCommas": (
        put("events", lambda content: content.replace(b"\t", b",")),
        (
            "{events}: no column 'onset' and 'duration' and 'trial_type'; separate columns by "
            "tabs (the header is 'onset,duration,trial_type,response_time')."
        ),
    ),
    "decimalComma": (
        events("1,5 2 face"),
        (
            "{events}: column 'onset' holds '1,5' in line 2; write numbers with a decimal point, "
            "and n/a where there is none."
        ),
    ),
    "otherDigits": (
        events("\u0663 2 face"),
        (
            "{events}: column 'onset' holds '\u0663' in line 2; write numbers with a decimal "
            "point, and n/a where there is none."
        ),
    ),
    "longNonsense": (
        events(f"{'x' * 999} 2 face"),
        "{events}: column 'onset' holds '" + "x" * 57 + "...' in line 2; write numbers with a "
        "decimal point, and n/a where there is none.",
    ),
    "hugeOnset": (
        events("1e400 2 face", "1e300 2 face"),
        (
            "{events}: infinite numbers in lines 2, 3; correct them, or write n/a where a value "
            "is not known."
        ),
    ),
    "endless": (
        events("1 inf face"),
        (
            "{events}: infinite numbers in line 2; correct them, or write n/a where a value is "
            "not known."
        ),
    ),
    "hugeHeight": (
        events("1 2 face 1e308", columns="onset duration trial_type modulation"),
        (
            "{events}: infinite numbers in line 2; correct them, or write n/a where a value is "
            "not known."
        ),
    ),
    "negativeDuration": (
        events("1 -2 face"),
        (
            "{events}: negative durations in line 2; correct them, or write n/a where a value is "
            "not known."
        ),
    ),
    "conditionsOfOneTrial": (
        events(*(f"{row} 1 face{row}" for row in range(many(5_000, soak=100_000)))),
        (
            "{events}: 80 conditions, but the BOLD series has 40 volumes; give trials of one "
            "kind one trial_type."
        ),
    ),
    "longQuote": (
        events(f'1 2 "{"x" * 200_000}"'),
        "{events}: line 2 is no row of cells (field larger than field limit (131072)); {restore}.",
    ),
    "bombTable": (
        both(
            lambda files: files.events.unlink(),
            lambda files: Path(f"{files.events}.gz").write_bytes(zeros(300)),
        ),
        "{events}.gz: more than 256 MiB of text; see that it is the file that belongs there.",
    ),
    # --- sidecars
    "trailingComma": (
        text("sidecar", '{"RepetitionTime": 2.0,}'),
        "{sidecar}: not valid JSON (*line 1 column 24 (char 23)); correct the file.",
    ),
    "comments": (
        text("sidecar", '{"RepetitionTime": 2.0} // seconds'),
        "{sidecar}: not valid JSON (Extra data: line 1 column 25 (char 24)); correct the file.",
    ),
    "twoTimes": (
        text("sidecar", '{"RepetitionTime": 2.0, "RepetitionTime": 3.0}'),
        (
            "{sidecar}: an object with the key 'RepetitionTime' more than once; keep the one "
            "that is right."
        ),
    ),
    "timeOfNan": (
        text("sidecar", '{"RepetitionTime": NaN}'),
        "{bold}: RepetitionTime nan in its sidecar; write a number of seconds.",
    ),
    "timeOfManyDigits": (
        text("sidecar", f'{{"RepetitionTime": {"9" * 5000}}}'),
        "{bold}: RepetitionTime inf in its sidecar; write a number of seconds.",
    ),
    "deep": (
        text("sidecar", f'{{"a": {"[" * 99_999}{"]" * 99_999}}}'),
        "{sidecar}: JSON that is nested too deeply; correct the file.",
    ),
    "deepConfounds": (
        text("described", f'{{"a": {"[" * 99_999}{"]" * 99_999}}}'),
        "{described}: JSON that is nested too deeply; correct the file.",
    ),
    "halfCharacter": (
        text("sidecar", '{"RepetitionTime": 2.0, "TaskName": "\\ud800"}'),
        (
            "{sidecar}: a text with half of a character (a lone surrogate); write the whole "
            "character."
        ),
    ),
    "listOfValues": (
        text("sidecar", "[2.0]"),
        '{sidecar}: JSON, but not an object; write it as {{"key": value, ...}}.',
    ),
    "noText": (text("sidecar", ""), "{sidecar}: an empty file; restore the file."),
    # --- no files at all
    "pipeSeries": (
        instead("bold", pipe),
        f"{{bold}}: a named pipe in place of a file; {NOT_A_FILE}.",
    ),
    "pipeMask": (
        instead("mask", pipe),
        f"{{mask}}: a named pipe in place of a file; {NOT_A_FILE}.",
    ),
    "pipeEvents": (
        instead("events", pipe),
        f"{{events}}: a named pipe in place of a file; {NOT_A_FILE}.",
    ),
    "pipeSidecar": (
        instead("sidecar", pipe),
        f"{{sidecar}}: a named pipe in place of a file; {NOT_A_FILE}.",
    ),
    "endlessSeries": (
        instead("bold", endless),
        f"{{bold}}: a device in place of a file; {NOT_A_FILE}.",
    ),
    "endlessConfounds": (
        instead("confounds", endless),
        f"{{confounds}}: a device in place of a file; {NOT_A_FILE}.",
    ),
    "socketMask": (
        instead("mask", listening),
        f"{{mask}}: a socket in place of a file; {NOT_A_FILE}.",
    ),
    "folderMask": (
        instead("mask", Path.mkdir),
        (
            "{mask}: a folder in place of a file; put the file there, or give the folder another "
            "name."
        ),
    ),
    "folderSidecar": (
        instead("sidecar", Path.mkdir),
        (
            "{sidecar}: a folder in place of a file; put the file there, or give the folder "
            "another name."
        ),
    ),
    "circleSeries": (
        instead("bold", circle),
        "{bold}: cannot be read (Too many levels of symbolic links); *.",
    ),
    "circleDescribed": (
        instead("described", circle),
        "{described}: cannot be read (Too many levels of symbolic links); *.",
    ),
    # --- several at once
    "allAtOnce": (
        both(
            put("bold", lambda content: content[: len(content) // 2]),
            put("mask", lambda content: content[: len(content) // 2]),
            events("1 -2 face"),
            text("sidecar", "["),
        ),
        "{bold}: truncated: the compressed data end early; {restore}.",
        "{sidecar}: not valid JSON (Expecting value: line 1 column 2 (char 1)); correct the file.",
        "{mask}: truncated: the compressed data end early; {restore}.",
        (
            "{events}: negative durations in line 2; correct them, or write n/a where a value is "
            "not known."
        ),
    ),
}

#: What is good enough, and the warnings that come with it.
ACCEPTED: dict[str, tuple[Damage, *tuple[str, ...]]] = {
    "asItIs": (lambda _: None,),
    "bom": (put("events", lambda content: b"\xef\xbb\xbf" + content),),
    "windows": (put("events", lambda content: content.replace(b"\n", b"\r\n")),),
    "oldMac": (put("events", lambda content: content.replace(b"\n", b"\r")),),
    "noLastLineEnd": (put("events", lambda content: content.rstrip(b"\n")),),
    "unsorted": (events("50 2 house", "10 2 face"),),
    "oneEvent": (events("10 2 face"),),
    "beforeTheRun": (events("-9e9 2 face", "10 2 face"),),
    "longerThanAll": (events("10 1e99 face"),),
    "noEvents": (
        events(),
        "{events.name}: no events in the run.",
        "{run}: contrast 'face' is left out: condition 'face' has no event in this run.",
    ),
    "afterTheRun": (
        events("10 2 house", "1e9 2 face"),
        "{events.name}: 1 event after the end of the run (80 s) left out (line 3).",
        "{run}: contrast 'face' is left out: condition 'face' has no event in this run.",
    ),
    "compressedTable": (put("confounds", gzip.compress),),
    "jsonWithBom": (put("sidecar", lambda content: b"\xef\xbb\xbf" + content),),
    "unusedNan": (says(Unused=float("nan")),),
    "zerosBehind": (put("bold", lambda content: content + bytes(999)),),
    "offsetOfZero": (header("bold", vox_offset=0),),
    "slopeNan": (header("bold", scl_slope=np.nan),),
    "bitsContradict": (header("bold", bitpix=8),),
    "sizesUnused": (header("bold", qform_code=0, pixdim=[1, 0, 0, 0, 2, 0, 0, 0]),),
    "maskOf255": (image("mask", lambda values: 255 * values),),
    "holesInMask": (
        image("mask", lambda values: np.where(np.arange(5) == 0, np.nan, values)),
        "{mask.name}: 30 voxels without a number are taken to be outside the mask.",
    ),
}

_FIT = "fitting task-main_run-1_space-MNI152NLin2009cAsym"
_SERIES = "bids:fmriprep:sub-{label}/func/{bold.name}"
#: What only shows once a series is read, and how the run's failure is told.
FAILING: dict[str, tuple[Damage, str]] = {
    "flipInVoxels": (
        flip("bold", lambda size: size // 2),
        _SERIES + ": cannot be read (*); {restore}.",
    ),
    "flipInChecksum": (
        flip("bold", lambda size: size - 6),
        _SERIES + ": cannot be read (CRC check failed *); {restore}.",
    ),
    "hiddenBomb": (
        hidden_bomb,
        _SERIES + ": it goes on far beyond what its header promises; {restore}.",
    ),
    "nanInOneScan": (
        filled(np.nan, 0),
        _SERIES + ": no number in any voxel of the mask in 1 of 40 scans (1, counted from 1); "
        "mend the file, or censor these scans.",
    ),
    "infInManyScans": (
        filled(np.inf, *range(20, 40)),
        _SERIES + ": no number in any voxel of the mask in 20 of 40 scans (21, 22, 23, 24, 25, "
        "26, 27, 28, 29, 30, ..., counted from 1); mend the file, or censor these scans.",
    ),
    "allZero": (
        filled(0.0),
        (
            "--signal-scaling psc: 100% of the mask's voxels have a mean of zero or less; see "
            "that mask and series belong together, or use --signal-scaling none."
        ),
    ),
    "constant": (
        filled(100.0),
        (
            "the BOLD series: no voxel of the mask can be fitted: none varies over the scans "
            "that are kept; {restore}, or leave the run out."
        ),
    ),
}
#: What happens to a good series after it was planned, and before it is read.
MEANWHILE: dict[str, tuple[Damage, str]] = {
    "vanishes": (lambda files: files.bold.unlink(), _SERIES + ": no such file; *."),
    "shrinks": (
        put("bold", lambda content: content[:-100]),
        _SERIES + ": truncated: the compressed data end early; {restore}.",
    ),
    "becomesPipe": (
        instead("bold", pipe),
        _SERIES + f": a named pipe in place of a file; {NOT_A_FILE}.",
    ),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """Return a dataset of one participant; its repetition time is in the series' own sidecar."""
    root = tmp_path_factory.mktemp("good") / "data"
    truth = make_dataset(root, DatasetSpec(runs=("1",), shape=(5, 6, 5), n_volumes=40, t1w=False))
    (truth.bids_dir / "task-main_bold.json").write_text('{"TaskName": "main"}')
    return root


def add(root: Path, good: Path, label: str) -> Files:
    """Give a dataset a participant with good files."""
    for path in [path for path in good.rglob("*") if path.is_file()]:
        place = root / str(path.relative_to(good)).replace("sub-01", f"sub-{label}")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    raw = root / f"sub-{label}" / "func"
    derived = root / "derivatives" / "fmriprep" / f"sub-{label}" / "func"
    run = f"sub-{label}_task-main_run-1"
    series = f"{run}_space-MNI152NLin2009cAsym"
    return Files(
        root=root,
        bold=derived / f"{series}_desc-preproc_bold.nii.gz",
        mask=derived / f"{series}_desc-brain_mask.nii.gz",
        events=raw / f"{run}_events.tsv",
        confounds=derived / f"{run}_desc-confounds_timeseries.tsv",
        sidecar=derived / f"{series}_desc-preproc_bold.json",
    )


def matches(expected: str, line: str, files: Files, label: str) -> bool:
    """Tell whether a line is the expected one; * stands for what libraries say."""
    names = {name: str(path) for name, path in files.paths().items()}
    names |= {f"{name}.name": Path(path).name for name, path in files.paths().items()}
    names |= {f"{name}_nii": path.removesuffix(".gz") for name, path in files.paths().items()}
    names |= {"restore": RESTORE, "label": label}
    names["run"] = f"sub-{label}_task-main_run-1_space-MNI152NLin2009cAsym"
    filled_in = re.sub(
        r"\{([\w.]+)\}",
        lambda match: names[match[1]],
        expected.replace("{{", "{").replace("}}", "}"),
    )
    pattern = ".*".join(map(re.escape, filled_in.split("*")))
    return re.fullmatch(pattern, line) is not None


def lines_of(log: str) -> dict[str, list[str]]:
    """Return the problems in a log by participant."""
    told: dict[str, list[str]] = {}
    for label, line in re.findall(r"^  - sub-(\w+): (.*)$", log, re.MULTILINE):
        told.setdefault(label, []).append(line)
    return told


def limited() -> None:
    """Let the child have no more memory than its share, used or not."""
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))


@pytest.fixture(scope="module")
def refused(tmp_path_factory, good):
    """Call the program on all that must be refused, with little memory."""
    root = tmp_path_factory.mktemp("refused")
    cases = {label: add(root / "data", good, label) for label in REFUSED}
    for label, (damage, *_) in REFUSED.items():
        damage(cases[label])
    command = [sys.executable, "-m", "bids_fx", str(root / "data"), str(root / "out")]
    child = subprocess.run(
        [*command, "participant", *OPTIONS],
        stderr=subprocess.PIPE,
        preexec_fn=limited,
        timeout=PATIENCE,
        text=True,
        check=False,
    )
    return child.returncode, lines_of(child.stderr), cases, root / "out", child.stderr


@pytest.mark.parametrize("label", REFUSED)
def test_a_fault_is_told_with_its_file_and_a_remedy(refused, label):
    _, told, cases, _, log = refused
    expected = REFUSED[label][1:]
    lines = told.get(label, [log])
    assert len(lines) == len(expected), lines
    for line, one in zip(lines, expected, strict=True):
        assert matches(one, line, cases[label], label), line


def test_faults_of_the_data_end_the_program_before_any_work_with_code_65(refused):
    code, told, _, out, log = refused
    assert code == 65, log
    assert told.keys() == REFUSED.keys()
    assert not out.exists()
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def accepted(tmp_path_factory, good):
    """Plan what is good enough, in one call."""
    root = tmp_path_factory.mktemp("accepted")
    cases = {label: add(root / "data", good, label) for label in ACCEPTED}
    for label, (damage, *_) in ACCEPTED.items():
        damage(cases[label])
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        code = main(
            [str(root / "data"), str(root / "out"), "participant", *OPTIONS, "--dry-run", "json"]
        )
    plans = {plan["participant"]: plan for plan in json.loads(out.getvalue())["participants"]}
    return code, plans, cases


@pytest.mark.parametrize("label", ACCEPTED)
def test_what_is_good_enough_is_planned_with_a_warning_of_what_is_odd(accepted, label):
    code, plans, cases = accepted
    plan = plans[label]
    assert (code, plan["problems"]) == (0, [])
    told = [one["text"] for one in plan["notices"] if one["warning"]]
    expected = ACCEPTED[label][1:]
    assert len(told) == len(expected), told
    for line, one in zip(told, expected, strict=True):
        assert matches(one, line, cases[label], label), line


@pytest.fixture(scope="module")
def failed(tmp_path_factory, good):
    """Fit what is bad in its voxels alone, or becomes bad before it is read; and a good run."""
    root = tmp_path_factory.mktemp("failed")
    expected = FAILING | MEANWHILE
    cases = {label: add(root / "data", good, label) for label in (*expected, "good")}
    for label, (damage, _) in FAILING.items():
        damage(cases[label])
    plain = Session.work_through

    def after_planning(self, runnable, refused):
        for label, (damage, _) in MEANWHILE.items():
            damage(cases[label])
        return plain(self, runnable, refused)

    log = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "work_through", after_planning)
        patch.setattr(sys, "stderr", log)
        code = main([str(root / "data"), str(root / "out"), "participant", *OPTIONS])
    (summary,) = (root / "out").glob("logs/*/summary.json")
    return code, json.loads(summary.read_text()), cases, root / "out", log.getvalue()


@pytest.mark.parametrize("label", FAILING | MEANWHILE)
def test_what_shows_while_a_series_is_read_fails_its_participant_by_name(failed, label):
    code, summary, cases, out, log = failed
    told = summary["participants"][f"sub-{label}"]
    assert (code, told["state"]) == (1, "failed")
    assert not list(out.glob(f"sub-{label}/func/*_statmap.nii.gz"))
    (line,) = re.findall(f" ERROR sub-{label}: {_FIT}: (.*)$", log, re.MULTILINE)
    assert matches((FAILING | MEANWHILE)[label][1], line, cases[label], label), line


def test_the_others_are_done(failed):
    _, summary, _, out, _ = failed
    assert summary["participants"]["sub-good"]["state"] == "done"
    assert list(out.glob("sub-good/func/*_contrast-face_stat-z_statmap.nii.gz"))


def test_a_failing_run_fails_only_its_own_contrasts_and_participant(tmp_path):
    """Of two participants with two runs each, one run has a flipped bit."""
    spec = DatasetSpec(participants=("01", "02"), shape=(5, 6, 5), n_volumes=40, t1w=False)
    truth = make_dataset(tmp_path / "data", spec)
    (bad,) = truth.select("sub-01_run-1")
    content = bytearray(bad.bold.read_bytes())
    content[len(content) // 2] ^= 0x10
    bad.bold.write_bytes(bytes(content))
    out = tmp_path / "out"
    options = [*OPTIONS, "--contrast", "house"]
    assert main([str(truth.bids_dir), str(out), "participant", *options]) == 1
    maps = sorted(
        re.sub("_space-.*_contrast", "", path.name.removesuffix("_stat-z_statmap.nii.gz"))
        for path in out.glob("sub-*/func/*_stat-z_statmap.nii.gz")
    )
    assert maps == [
        "sub-01_task-main_run-2-face",
        "sub-01_task-main_run-2-house",
        "sub-02_task-main-face",
        "sub-02_task-main-house",
        "sub-02_task-main_run-1-face",
        "sub-02_task-main_run-1-house",
        "sub-02_task-main_run-2-face",
        "sub-02_task-main_run-2-house",
    ]
    assert bad.bold.name in (out / "sub-01.html").read_text()


@pytest.mark.parametrize(
    ("which", "make", "told"),
    [
        ("bold", lambda path: path.symlink_to("nowhere"), "a link to a file that is not there"),
        ("described", lambda path: path.symlink_to("nowhere"), "a link to a file that is not"),
        ("confounds", lambda path: None, "the run has no confounds file"),
    ],
)
def test_what_is_missing_has_the_code_66(tmp_path, good, capsys, which, make, told):
    files = add(tmp_path / "data", good, "01")
    add(tmp_path / "data", good, "other")  # whose events say that the task has some
    instead(which, make)(files)
    options = [*OPTIONS, "--participant-label", "01"]
    assert main([str(files.root), str(tmp_path / "out"), "participant", *options]) == 66
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"Name": "a", "Name": "b"}', "an object with the key 'Name' more than once"),
        ("[" * 99_999, "JSON that is nested too deeply"),
        (None, "a named pipe in place of a file"),
    ],
)
@pytest.mark.parametrize(("folder", "code"), [("", 16), ("derivatives/fmriprep", 65)])
def test_a_bad_description_of_a_dataset_is_refused(
    tmp_path, good, capsys, content, told, folder, code
):
    files = add(tmp_path / "data", good, "01")
    path = files.root / folder / "dataset_description.json"
    path.unlink()
    if content is None:
        pipe(path)
        told = told if folder else "it has no dataset_description.json"
    else:
        path.write_text(content)
    assert main([str(files.root), str(tmp_path / "out"), "participant", *OPTIONS]) == code
    assert told in capsys.readouterr().err


def test_links_that_lead_back_are_not_followed(tmp_path, good, capsys):
    """Two in one folder would make 2^40 paths."""
    files = add(tmp_path / "data", good, "01")
    for folder in (files.bold.parent, files.events.parent):
        (folder / "again").symlink_to("..")
        (folder / "once-more").symlink_to(".")
    options = [*OPTIONS, "--dry-run", "json"]
    assert main([str(files.root), str(tmp_path / "out"), "participant", *options]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["participants"]
    assert len(plan["runs"]) == 1
    told = [one["text"] for one in plan["notices"] if one["warning"]]
    assert told == [
        f"{folder}/{name}: a link to a folder it is in is not followed."
        for folder in (files.events.parent, files.bold.parent)
        for name in ("again", "once-more")
    ]


def test_a_flip_that_nothing_can_show_is_read_as_it_is(tmp_path, good):
    """An uncompressed image has no checksum: a bit in a voxel changes this voxel's value alone."""
    files = add(tmp_path / "data", good, "01")
    uncompressed("bold", lambda raw: raw[:5000] + bytes([raw[5000] ^ 1]) + raw[5001:])(files)
    assert main([str(files.root), str(tmp_path / "out"), "participant", *OPTIONS]) == 0


def test_a_million_events_are_planned(tmp_path, good, capsys):
    files = add(tmp_path / "data", good, "01")
    n_events = many(50_000, soak=1_000_000)
    onsets = np.linspace(0, 79.9, n_events)
    names = np.array(["face", "house"])[np.sin(onsets / 3).astype(int) % 2]
    rows = "".join(
        f"{onset:.6f}\t0.5\t{name}\n" for onset, name in zip(onsets, names, strict=True)
    )
    files.events.write_text(f"onset\tduration\ttrial_type\n{rows}")
    options = [*OPTIONS, "--dry-run", "json"]
    assert main([str(files.root), str(tmp_path / "out"), "participant", *options]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["participants"]
    assert sum(plan["runs"][0]["conditions"].values()) == n_events
