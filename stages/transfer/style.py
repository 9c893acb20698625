"""Lab 2: target vectors of every item, centroids of the genres."""

from pathlib import Path

import numpy as np

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.style.measures import measure_style
from soundgate.tracks.transfer.style.targets import StyleSettings, fit_targets


@stage_command("transfer-style")
@input_option("cache", "Folder of the chunk cache.")
@input_option("content", "Folder of Lab 1's model and embeddings.")
@output_option("out", "Folder for targets.npz and config.json.")
@output_option("metrics", "JSON file for what Lab 2 is judged by.")
def main(cache: Path, content: Path, out: Path, metrics: Path) -> None:
    """Make target vectors and centroids, and measure how well they tell styles apart."""
    settings, seed = load_section("transfer.style", StyleSettings), load_seed()
    chunks = ChunkCache.open(cache)
    targets = fit_targets(settings, chunks, np.load(content / "embeddings.npz")["style"])
    targets.save(out)
    write_json(metrics, jsonable(measure_style(settings, chunks, targets, seed)))


if __name__ == "__main__":
    main()
