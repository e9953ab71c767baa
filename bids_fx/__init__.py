"""First-level models and fixed effects for BIDS datasets, as a BIDS App."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bids_fx")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
