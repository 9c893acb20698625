"""Conversions of unseen speakers to listen to."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.judge.encoder import load_judge
from soundgate.tracks.voice.model.folder import load_converter
from soundgate.tracks.voice.samples.cast import STAGE
from soundgate.tracks.voice.samples.generate import generate_evaluation_samples
from soundgate.tracks.voice.samples.settings import SamplesSettings
from soundgate.tracks.voice.samples.steadiness import coherence_picture, summarise


@stage_command("voice-samples")
@input_option("cache", "Folder of the cache.")
@input_option("converter", "Folder of the converter.")
@input_option("judge", "Folder of the held-out judges.")
@output_option("out", "Folder for the samples, summary.csv, coherence.csv and samples.html.")
@output_option("metrics", "JSON file for levels and steadiness.")
@output_option("picture", "PNG file for the voice of long passages over time.")
def main(cache: Path, converter: Path, judge: Path, out: Path, metrics: Path, picture: Path) -> None:
    """Write originals, reconstructions and conversions of unseen speakers, long ones too, and a page to compare."""
    settings, seed = load_section("voice.samples", SamplesSettings), load_seed()
    deterministic_torch(seed)
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        params={"seed": seed, "samples": settings.model_dump(mode="json")},
        inputs=[cache, converter, judge],
    )
    samples = generate_evaluation_samples(
        load_converter(converter), VoiceCache.open(cache), torch_device(), scratch.result, settings.num_samples,
        encoder=load_judge(judge / "encoder"), settings=settings, seed=seed,
    )  # fmt: skip
    write_json(metrics, jsonable(summarise(samples)))
    coherence_picture(picture, samples.windows)
    scratch.publish()


if __name__ == "__main__":
    main()
