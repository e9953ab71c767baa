"""First-level models and fixed effects for BIDS datasets, as a BIDS App."""

import os

# Read by nipype when it is imported: without them it asks a server for its newest version.
os.environ["NO_ET"] = os.environ["NIPYPE_NO_ET"] = "1"

__version__: str


def __getattr__(name: str) -> str:
    """Return the version when it is first asked for: finding it out imports a lot."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("bids_fx")
    except PackageNotFoundError:  # run from a source tree that was never installed
        found = "0+unknown"
    globals()[name] = found
    return found
