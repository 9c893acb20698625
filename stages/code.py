"""Hash the code of every stage."""

from pathlib import Path

from soundgate.pipeline.code import write_code
from soundgate.runtime.stage import output_option, stage_command


@stage_command("code")
@output_option("out", "The YAML file to write: a hash for each stage and each package loaded by name.")
def main(out: Path) -> None:
    """Hash what each stage can reach of the code, so that a stage runs again when that changes and only then."""
    write_code(Path(), out)


if __name__ == "__main__":
    main()
