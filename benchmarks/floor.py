"""Inflating and smoothing a series, and nothing else: a program that is measured.

usage: python benchmarks/floor.py BOLD MASK FWHM_MM THREADS

Each thread in turn inflates a volume (isal) and then smooths it, axis by axis in float32 within
the box of the mask padded by the kernel (scipy), while the next inflates. Written with plain
library calls, so that it stays the same whatever the program does. The last line that is printed
says how many seconds imports and work took.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor


def smooth_all(bold: str, mask: str, fwhm_mm: float, n_threads: int) -> dict[str, float]:
    """Inflate and smooth every volume of a series; return the seconds."""
    start = time.perf_counter()
    import nibabel as nb
    import numpy as np
    from isal import igzip
    from scipy.ndimage import gaussian_filter1d

    imported = time.perf_counter()
    header = nb.load(bold).header
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    sigma = [fwhm_mm / (math.sqrt(8 * math.log(2)) * size) for size in header.get_zooms()[:3]]
    inside = np.asarray(nb.load(mask).dataobj) > 0
    box = tuple(
        slice(max(0, along.min() - reach), along.max() + reach + 1)
        for along, one in zip(inside.nonzero(), sigma, strict=True)
        for reach in [int(4 * one + 0.5)]
    )
    size = math.prod(shape[:3]) * dtype.itemsize
    turn = threading.Lock()
    with igzip.open(bold) as stream:
        stream.read(int(header["vox_offset"]))

        def work() -> None:
            while True:
                with turn:
                    stored = stream.read(size)
                if len(stored) < size:
                    return
                whole = np.frombuffer(stored, dtype).reshape(shape[:3], order="F")
                volume = whole[box].astype(np.float32)
                for axis, one in enumerate(sigma):
                    gaussian_filter1d(volume, one, axis=axis, output=volume)

        with ThreadPoolExecutor(n_threads) as pool:
            for future in [pool.submit(work) for _ in range(n_threads)]:
                future.result()
    return {"imports": imported - start, "work": time.perf_counter() - imported}


if __name__ == "__main__":
    bold, mask, fwhm_mm, n_threads = sys.argv[1:]
    print(json.dumps(smooth_all(bold, mask, float(fwhm_mm), int(n_threads))))
