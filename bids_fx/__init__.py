"""First-level models and fixed effects for BIDS datasets, as a BIDS App."""

import os
from importlib.metadata import PackageNotFoundError, version

# Read by nipype when it is imported: without them it asks a server for its newest version.
os.environ["NO_ET"] = os.environ["NIPYPE_NO_ET"] = "1"

try:
    __version__ = version("bids_fx")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
