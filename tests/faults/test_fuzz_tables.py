"""Tables, sidecars and headers of a dataset: read, or refused in our own words."""

from __future__ import annotations

import gzip
import json
import struct

import nibabel as nb
import numpy as np
import pytest
from hypothesis import example
from hypothesis import strategies as st

from bids_fx.dataset.events import read_event_table, read_events
from bids_fx.dataset.nifti import read_header
from bids_fx.dataset.tables import read_confounds, read_design, read_json, read_table
from bids_fx.errors import BIDSFXError
from tests.dataset.trees import EVENTS, confounds_text
from tests.fuzzing import (
    CELLS,
    JSON,
    changed_bytes,
    changed_json,
    changed_table,
    check_notices,
    fuzz,
    json_text,
    keys_of,
    only_our_errors,
)

N_SCANS = 6
_MODULATED = (
    "onset\tduration\ttrial_type\tmodulation\trt\n1\t2\tface\t1\t0.5\n5\t0\thouse\t2\tn/a\n"
)
_CONFOUNDS = confounds_text(N_SCANS)
_DESIGN = "face\thouse\ttrans_x\tconstant\n" + "0.5\t1\t-2\t1\n1e-3\t0\t0\t1\n" * (N_SCANS // 2)
_COLUMNS = {
    "Columns": [
        {"Name": "face", "Role": "condition", "Condition": "face", "Basis": None},
        {"Name": "house", "Role": "condition", "Condition": "house", "Basis": 0},
        {"Name": "trans_x", "Role": "confound", "Condition": None, "Basis": None},
        {"Name": "constant", "Role": "constant", "Condition": None, "Basis": None},
    ]
}


def files(valid: str) -> st.SearchStrategy[bytes]:
    """Return strategies of files that were the table once."""
    tables = changed_table(valid).map(lambda text: text.encode(errors="surrogatepass"))
    packed = changed_bytes(gzip.compress(valid.encode(), mtime=0))
    return st.one_of(tables, tables, changed_bytes(valid.encode()), packed)


@fuzz(120, soak=8_000, content=files(EVENTS) | files(_MODULATED))
@example(content=b"onset\tduration\ttrial_type\n" + b"1\t" * 50_000 + b"\n")
@example(content=b"onset\tduration\ttrial_type\n" + b'"' * 50_000 + b"\n")
@example(content=b"onset\tduration\ttrial_type\n1e308\t1e308\tface\n-1e308\t0\tface\n")
def test_an_events_table_is_read_or_refused(content, tmp_path):
    path = tmp_path / "sub-01_task-x_events.tsv"
    path.write_bytes(content)
    with only_our_errors():
        conditions, notices = read_events(path, run_seconds=12.0, participant="01")
        check_notices(notices)
        for one in conditions:
            assert one.name.strip()
            assert np.isfinite([one.onsets, one.durations, one.amplitudes]).all()
            assert (one.durations >= 0).all()
            assert (one.onsets < 12).all()
    with only_our_errors():
        table, notices = read_event_table(path, run_seconds=12.0, participant="01")
        check_notices(notices)
        assert {len(column) for column in table.columns.values()} <= {len(table.onsets)}


@fuzz(120, soak=8_000, content=files(_CONFOUNDS), sidecar=JSON | st.just({"trans_x": {}}))
def test_a_confounds_table_is_read_or_refused(content, sidecar, tmp_path):
    path = tmp_path / "sub-01_desc-confounds_timeseries.tsv"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json_text(sidecar))
    with only_our_errors():
        table = read_confounds(path, N_SCANS)
        for name in table.values:
            assert table.values[name].shape == (N_SCANS,)
            assert not np.isinf(table.values[name]).any()


@fuzz(120, soak=8_000, content=files(_DESIGN) | st.just(_DESIGN.encode()), data=st.data())
def test_a_design_is_read_or_refused(content, data, tmp_path):
    path = tmp_path / "sub-01_task-x_design.tsv"
    path.write_bytes(content)
    raw = data.draw(st.just(_COLUMNS) | changed_json(_COLUMNS, ["Columns", *keys_of(_COLUMNS)]))
    path.with_suffix(".json").write_text(json_text(raw))
    with only_our_errors():
        design = read_design(path)
        assert design.matrix.shape[1] == len(design.columns)
        assert np.isfinite(design.matrix).all()


_SIDECAR = {
    "RepetitionTime": 2.0,
    "StartTime": 0.5,
    "SliceTimingCorrected": True,
    "Sources": ["a"],
}


@fuzz(80, soak=4_000, content=changed_bytes(json.dumps(_SIDECAR).encode()))
@example(content=b"[" * 100_000)
@example(content=b'{"a": ' * 100_000)
@example(content=b'{"RepetitionTime": ' + b"9" * 5_000 + b"}")
@example(content=b'{"a": "\\ud800"}')
def test_a_sidecar_is_read_or_refused(content, tmp_path):
    path = tmp_path / "sub-01_bold.json"
    path.write_bytes(content)
    with only_our_errors():
        assert isinstance(read_json(path), dict)


_NAMES = st.lists(CELLS.filter(str.strip), min_size=2, max_size=5, unique_by=str.strip)


@fuzz(80, soak=4_000, names=_NAMES, data=st.data())
def test_a_table_is_read_as_it_was_written(names, data, tmp_path):
    clean = [name.strip().replace('"', "").replace("\ufeff", "") or "x" for name in names]
    if len(set(clean)) < len(clean) or any("\ud800" in name or "\0" in name for name in clean):
        return
    cells = st.lists(st.floats(-1e90, 1e90), min_size=len(clean), max_size=len(clean))
    rows = data.draw(st.lists(cells, min_size=1, max_size=5))
    path = tmp_path / "table.tsv"
    lines = ["\t".join(clean), *("\t".join(map(repr, row)) for row in rows)]
    end = data.draw(st.sampled_from(("\n", "\r\n", "\r")))
    path.write_bytes(end.join(lines).encode())
    table = read_table(path)
    assert tuple(table.columns) == tuple(name.strip() for name in clean)
    for column, name in enumerate(table.columns):
        assert table.numbers(name).tolist() == [row[column] for row in rows]


def _image(kind: type) -> bytes:
    image = kind(np.zeros((4, 3, 2, N_SCANS), np.int16), np.eye(4))
    image.header.set_xyzt_units("mm", "sec")
    return image.to_bytes()


_HEADS = {"NIfTI-1": _image(nb.Nifti1Image), "NIfTI-2": _image(nb.Nifti2Image)}
_VALUES = tuple(
    struct.pack(form, value)
    for form, values in {
        "<h": (0, -1, 32767, 1, 16, 64, 256, 512, 1024, 2048),
        "<q": (0, -1, 2**62, 348, 540),
        "<f": (0.0, -1.0, float("nan"), float("inf"), 1e-38, 3e38, 352.5, 1e10),
        "<d": (float("nan"), 1e300),
    }.items()
    for value in values
)


@pytest.mark.parametrize("kind", _HEADS)
@fuzz(150, soak=8_000, data=st.data())
def test_a_header_is_read_or_refused(kind, data, tmp_path):
    head, rest = _HEADS[kind][:540], _HEADS[kind][540:]
    changed = bytearray(head)
    for _ in range(data.draw(st.integers(0, 3))):
        value = data.draw(st.sampled_from(_VALUES))
        at = data.draw(st.integers(0, len(head) - len(value)))
        changed[at : at + len(value)] = value
    content = data.draw(changed_bytes(bytes(changed), _VALUES) | st.just(bytes(changed))) + rest
    path = tmp_path / "bold.nii"
    path.write_bytes(content)
    with only_our_errors():
        header = read_header(path)
        assert len(header.shape) >= 3
        assert min(header.shape) > 0
        assert header.dtype.kind in "iuf"
        assert header.n_bytes > 0


def test_an_intercept_that_is_no_number_is_refused(tmp_path):
    image = bytearray(_HEADS["NIfTI-1"])
    struct.pack_into("<2f", image, 112, 1.0, float("nan"))
    path = tmp_path / "bold.nii"
    path.write_bytes(image)
    with pytest.raises(BIDSFXError, match="intercept nan"):
        read_header(path)
