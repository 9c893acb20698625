"""The ``soundgate`` command: compose, reproduce, judge."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from soundgate import compose as composing
from soundgate import gates as gating
from soundgate import pipeline
from soundgate.console import logger, set_up_logging
from soundgate.stage import errors_in_one_line
from soundgate.tracks.editor import commands as editor
from soundgate.tracks.rooms import commands as rooms
from soundgate.tracks.transfer import commands as transfer


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="soundgate")
def main() -> None:
    """Reproducible audio machine-learning experiments behind exit gates. Run it in the repository's root."""


@main.command()
@click.argument("overrides", nargs=-1, metavar="[GROUP=OPTION | KEY=VALUE]...")
def repro(overrides: tuple[str, ...]) -> None:
    """Run what is out of date, then show the gates.

    Without arguments this runs params.yaml as it stands. With arguments it composes params.yaml first, for
    example: soundgate repro profile=tiny
    """
    set_up_logging()
    with errors_in_one_line():
        if overrides and composing.compose_file(overrides):
            logger.info(
                "params.yaml: composed anew for %s; `soundgate compose` restores the default",
                " ".join(overrides),
            )
        profile = gating.default_profile()
        code = subprocess.run([sys.executable, "-m", "dvc", "repro"], env=_environment(), check=False).returncode
        if code:
            sys.exit(code)
        gating.show(profile)


def _environment() -> dict[str, str]:
    """Return the environment with this interpreter's folder first: stages run as plain ``python``."""
    here = str(Path(sys.executable).parent)
    return os.environ | {"PATH": os.pathsep.join([here, os.environ.get("PATH", "")])}


main.add_command(composing.main, "compose")
main.add_command(gating.main, "gates")
main.add_command(pipeline.deps_command, "deps")
main.add_command(rooms.main, "rooms")
main.add_command(transfer.triage, "triage")
main.add_command(transfer.runs, "runs")
main.add_command(editor.edit, "edit")

if __name__ == "__main__":
    main()
