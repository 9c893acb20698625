"""List the files of the folders that corpora are made from."""

from pathlib import Path

from soundgate.corpora.origins import folder_origins, write_listings
from soundgate.runtime.scratch import scratch_root
from soundgate.runtime.stage import output_option, stage_command


@stage_command("corpus-files")
@output_option("out", "Folder for one listing a corpus, <name>.json.")
def main(out: Path) -> None:
    """Write down what every folder of the user's holds, with hashes; files that did not change are not read again."""
    write_listings(folder_origins(), out, scratch_root() / "corpus-files" / "hashes")


if __name__ == "__main__":
    main()
