#!/usr/bin/env python3
"""The part of Apptainer's command line that the tests use, done by Charliecloud.

An image is a folder here: the layers of a saved image, and the sections of a definition file.
Three things are not as there: a read-only bind is a plain one, /tmp is the caller's in any case,
and processes see each other.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

#: Sections of the definition file, as files of the image.
META = ".singularity.d"


def main() -> None:
    """Do what the command line asks for; a program that is run takes the place of this one."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write("Charliecloud ")
        sys.stdout.flush()
        os.dup2(1, 2)  # where it says its version
        os.execvpe("ch-run", ["ch-run", "--version"], {"PATH": os.environ["PATH"], "USER": "any"})
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build")
    build.add_argument("--notest", action="store_true")
    build.add_argument("--force", action="store_true")
    build.add_argument("image", type=Path)
    build.add_argument("definition", type=Path)
    for name in ("exec", "run", "test"):
        runner = commands.add_parser(name)
        for flag in ("--cleanenv", "--containall", "--no-home"):
            runner.add_argument(flag, action="store_true")
        runner.add_argument("--bind", action="append", default=[])
        runner.add_argument("--env", action="append", default=[])
        runner.add_argument("--home", type=Path)
        runner.add_argument("image", type=Path)
        runner.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command == "build":
        build_image(options.image, options.definition)
    else:
        run_image(options)


def build_image(image: Path, definition: Path) -> None:
    """Unpack the saved image that a definition file names, and add the file's sections."""
    sections = read_sections(definition.read_text())
    archive = dict(line.split(": ", 1) for line in sections["header"].splitlines() if line)
    if archive["Bootstrap"] != "docker-archive":
        sys.exit("Only a saved image (docker-archive) can be unpacked without Apptainer.")
    image.mkdir()
    with tarfile.open(definition.parent / archive["From"]) as saved:
        (manifest,) = json.load(saved.extractfile("manifest.json"))
        config = json.load(saved.extractfile(manifest["Config"]))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=saved.extractfile(layer)) as members:
                add_layer(image, members)
    environment = [
        f"export {name}={shlex.quote(value)}"
        if name == "PATH"
        else f'export {name}="${{{name}:-{value}}}"'
        for name, _, value in (text.partition("=") for text in config["config"]["Env"])
    ]
    sections["environment"] = "\n".join([*environment, sections["environment"]])
    (image / META).mkdir()
    for name in ("environment", "runscript", "test"):
        (image / META / name).write_text(sections[name])
    image.chmod(0o777)  # users of other ids add what they mount on


def read_sections(text: str) -> dict[str, str]:
    """Return the sections of a definition file by name; what stands before them is the header."""
    parts = re.split(r"^%(\w+)$", f"%header\n{text}", flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    sections["header"] = re.sub(r"^#.*$", "", sections["header"], flags=re.MULTILINE)
    return sections


def add_layer(image: Path, members: tarfile.TarFile) -> None:
    """Unpack one layer over those below it, which it may take files from."""
    for member in members:
        target = image / member.name
        if target.name.startswith(".wh."):
            hidden = target.with_name(target.name.removeprefix(".wh."))
            subprocess.run(["rm", "-rf", str(hidden)], check=True)
        elif not member.isdev():
            if target.is_symlink() or (target.exists() and not member.isdir()):
                subprocess.run(["rm", "-rf", str(target)], check=True)
            members.extract(member, image, filter="tar")


def run_image(options: argparse.Namespace) -> None:
    """Become the program that the image runs."""
    is_clean = options.cleanenv or options.containall
    home = options.home or Path(pwd.getpwuid(os.getuid()).pw_dir)
    folder = home if options.containall else Path.cwd()
    binds = [tuple(text.split(":")[:2]) for texts in options.bind for text in texts.split(",")]
    binds += [(str(folder), str(folder))] if folder.is_dir() and folder != Path("/") else []
    binds += [] if options.no_home or not home.is_dir() else [(str(home), str(home))]
    words = options.words
    if options.command != "exec":
        script = {"run": "runscript", "test": "test"}[options.command]
        words = ["/bin/sh", *(["-e"] if script == "test" else []), f"/{META}/{script}", *words]
    start = f'HOME=$1; export HOME; shift; . /{META}/environment; exec env "$@"'
    command = ["ch-run", "--cd", str(folder) if folder.is_dir() else "/"]
    for source, target in dict.fromkeys((pair[0], pair[-1]) for pair in binds):
        if not target.startswith("/tmp/"):
            (options.image / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
            command += ["--bind", f"{source}:{target}"]
    command += [str(options.image), "--", "/bin/sh", "-c", start, "sh", str(home)]
    kept = {"USER": pwd.getpwuid(os.getuid()).pw_name, "SINGULARITY_CONTAINER": str(options.image)}
    kept |= {} if is_clean else {name: os.environ[name] for name in os.environ if name != "USER"}
    os.execvpe(command[0], [*command, *options.env, *words], {"PATH": os.defpath, **kept})


if __name__ == "__main__":
    main()
