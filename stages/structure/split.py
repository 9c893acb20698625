"""Divide the speech corpus by speaker."""

from pathlib import Path

from soundgate.corpora.index import read_index
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import atomic_path, write_text
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.structure.split import SplitSettings, id_lists, split_corpus


@stage_command("structure-split")
@input_option("corpus", "Folder of the speech corpus, with index.parquet.")
@output_option("out", "Folder for split.parquet and the four lists of ids.")
def main(corpus: Path, out: Path) -> None:
    """Divide speakers into train and eval, and hold out a share of each train speaker's utterances."""
    settings = load_section("structure.split", SplitSettings)
    split = split_corpus(read_index(corpus), settings, load_seed())
    for name, ids in id_lists(split).items():
        write_text(out / f"{name}.txt", "".join(f"{i}\n" for i in ids))
    with atomic_path(out / "split.parquet") as temporary:
        split.to_parquet(temporary, index=False)


if __name__ == "__main__":
    main()
