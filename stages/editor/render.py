"""Render edits of unseen pairs to listen to."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.editor.editing.models import NAMES, Models
from soundgate.tracks.editor.editing.samples import SampleWriter, drawn_pairs
from soundgate.tracks.editor.editing.settings import RenderSettings
from soundgate.tracks.editor.features import FeatureSettings
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.policy.model import load_predictor
from soundgate.tracks.editor.recovery.table import read_labels


@stage_command("editor-render")
@input_option("pairs", "Folder of the pairs.")
@input_option("labels", "Folder of the labels.")
@input_option("policy", "Folder of the policy.")
@input_option("imitation", "Folder of the imitation.")
@input_option("reconstruction", "Folder of the reconstruction model.")
@input_option("vocoder", "Folder of the vocoder.")
@output_option("out", "Folder for audio, pictures, edit lists, summary.csv and index.html.")
@output_option("timeline", "PNG file for the edits of one pair on one timeline.")
def main(
    pairs: Path,
    labels: Path,
    policy: Path,
    imitation: Path,
    reconstruction: Path,
    vocoder: Path,
    out: Path,
    timeline: Path,
) -> None:
    """Render the policy's, the imitation's, the true and no edit of some test pairs, with a page to compare them."""
    settings, seed = load_section("editor.render", RenderSettings), load_seed()
    features = load_section("editor.cache.features", FeatureSettings)
    deterministic_torch(seed)
    scratch = open_scratch(
        "editor-render",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "render": settings.model_dump(), "features": features.model_dump()},
        inputs=[pairs, labels, policy, imitation, reconstruction, vocoder],
    )
    folders = dict(zip(NAMES, (policy, reconstruction, vocoder), strict=True))
    models = Models(folders, features, settings.griffin_lim_iterations)
    writer = SampleWriter(scratch.result, models, load_predictor(imitation), settings)
    writer.write(drawn_pairs(read_pairs(pairs), settings.n_pairs, seed), read_labels(labels), timeline)
    scratch.publish()


if __name__ == "__main__":
    main()
