"""The files of the methods text: as it is written and, where pandoc is there, as it formats it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bids_fx.derivatives.locks import locked
from bids_fx.derivatives.write import remove_temporaries, write_text
from bids_fx.methods import citation_files
from bids_fx.records import MethodsText
from bids_fx.reports.markdown import methods_html

logger = logging.getLogger("bids_fx")

#: Seconds after which a call of pandoc is ended.
TIMEOUT_S = 60.0
FORMATTED = ("CITATION.html", "CITATION.tex")

_BIBLIOGRAPHY = "CITATION.bib"
#: Pandoc's Markdown without what could make code of a name in the data.
_MARKDOWN = (
    "markdown-raw_html-raw_tex-raw_attribute-latex_macros-tex_math_dollars"
    "-yaml_metadata_block-pandoc_title_block"
)
_TEX = (
    *("--to", "latex", "--standalone", "--natbib", f"--bibliography={_BIBLIOGRAPHY}"),
    *("--metadata=title=Methods", "--variable=biblio-style=plainnat"),
)
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Methods</title>
<style>body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem serif; }</style>
</head>
<body>
<h1>Methods</h1>
"""


def write_citation(out_dir: Path, text: MethodsText) -> Path:
    """Write the methods text and its bibliography, and both formatted where pandoc is there.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    text : MethodsText
        The text of one call.

    Returns
    -------
    Path
        ``logs/CITATION.md``. What an earlier call had formatted and this one cannot is removed,
        since it would be of another text.
    """
    folder = out_dir / "logs"
    formatted = format_citation(text)
    with locked(out_dir, "citation"):
        remove_temporaries(folder)
        for name, content in (citation_files(text) | formatted).items():
            write_text(folder / name, content)
        for name in FORMATTED:
            if name not in formatted:
                (folder / name).unlink(missing_ok=True)
    return folder / "CITATION.md"


def format_citation(text: MethodsText) -> dict[str, str]:
    """Return the methods text as HTML and as LaTeX by name of the file, if pandoc can make them.

    Notes
    -----
    Pandoc reads the text from a pipe and the bibliography from an empty folder, which is its home
    too, so that neither a path nor a user's templates can change the result. It fetches nothing:
    the HTML is a fragment, to which only a heading is added here.
    """
    program = shutil.which("pandoc")
    if program is None:
        logger.debug("pandoc is not there: no CITATION.html and CITATION.tex.")
        return {}
    try:
        with TemporaryDirectory(prefix="bids_fx-") as name:
            folder = Path(name)
            (folder / _BIBLIOGRAPHY).write_text(text.bibtex, encoding="utf-8")
            options = _pandoc(program, ["--help"], folder, "")
            sandbox = ["--sandbox"] if "--sandbox" in options else []
            base = [*sandbox, f"--from={_MARKDOWN}"]
            if "--citeproc" in options:
                html = ["--to=html", "--citeproc", f"--bibliography={_BIBLIOGRAPHY}"]
                heading = "\n# References\n" if text.references else ""
                body = _pandoc(program, [*base, *html], folder, text.markdown + heading)
            else:
                body = methods_html(text.markdown, text.references)
            return {
                "CITATION.html": f"{_PAGE}{body}\n</body>\n</html>\n",
                "CITATION.tex": _pandoc(program, [*base, *_TEX], folder, text.markdown),
            }
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        logger.warning("CITATION.html and CITATION.tex were not written: %s", _told(error))
        return {}


def _pandoc(program: str, options: Sequence[str], folder: Path, text: str) -> str:
    """Return what pandoc makes of a text.

    Raises
    ------
    OSError, ValueError, subprocess.SubprocessError
        Where it cannot be started, fails, takes too long or writes no UTF-8.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
    }
    with subprocess.Popen(  # noqa: S603 - no shell, and no word of the command is from the data
        [program, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            output, told = process.communicate(text.encode(), timeout=TIMEOUT_S)
        except BaseException:
            # With all that it may have started, which could hold the pipes open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "pandoc", output, told)
    return output.decode()


def _told(error: Exception) -> str:
    """Return what is known of a failure of pandoc, in one line."""
    if isinstance(error, subprocess.CalledProcessError):
        words = " ".join(error.stderr.decode(errors="replace").split()[:40])
        return f"pandoc ended with {error.returncode}" + (f" ({words})" if words else "")
    if isinstance(error, subprocess.TimeoutExpired):
        return f"pandoc took more than {TIMEOUT_S:g} s"
    return str(error)
