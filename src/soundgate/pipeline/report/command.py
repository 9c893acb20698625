"""The command ``soundgate report``."""

from __future__ import annotations

from pathlib import Path

import click

from soundgate.pipeline.gates import default_profile
from soundgate.pipeline.report.page import write_report
from soundgate.pipeline.report.table import findings_table
from soundgate.runtime.stage import errors_in_one_line


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--profile", help="Profile to show; by default the one params.yaml was composed for.")
@click.option("--compare", "revision", metavar="REV", help="Say how each gate changed since a commit or experiment.")
@click.option("--table", is_flag=True, help="Print what was asked and found as a Markdown table instead.")
def main(profile: str | None, revision: str | None, table: bool) -> None:
    """Write one page of a profile's results: reports/PROFILE/index.html.

    It shows what each track asked and found, all gates with their intervals and controls, pictures, samples to listen
    to (blind, if you like), the pipeline, and the parameters that differ from the default. It opens without a server.
    """
    with errors_in_one_line():
        asked = profile or default_profile()
        click.echo(findings_table(Path(), asked) if table else write_report(Path(), asked, revision))


if __name__ == "__main__":
    main()
