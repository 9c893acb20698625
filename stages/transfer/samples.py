"""Transfer unseen music, for the audit and for listening."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import CacheSettings
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.model import load_translator
from soundgate.tracks.transfer.codec.sound import sound_of
from soundgate.tracks.transfer.content.model import load_content
from soundgate.tracks.transfer.judge.scoring import Judges
from soundgate.tracks.transfer.mel.model import load_mel_model
from soundgate.tracks.transfer.samples.pack import PACK, PackWriter
from soundgate.tracks.transfer.samples.settings import SamplesSettings
from soundgate.tracks.transfer.samples.transfers import (
    CodecPath,
    MelPath,
    make_transfers,
    plan_transfers,
    write_transfers,
)
from soundgate.tracks.transfer.style.targets import StyleTargets


@stage_command("transfer-samples")
@input_option("cache", "Folder of the chunk cache.")
@input_option("content", "Folder of Lab 1's model.")
@input_option("style", "Folder of Lab 2's target vectors.")
@input_option("judge", "Folder of the held-out judges.")
@input_option("mel", "Folder of the mel path's run.")
@input_option("latents", "Folder of the codec's latents.")
@input_option("bank", "Folder of the style bank.")
@input_option("codec", "Folder of the codec path's run.")
@output_option("out", "Folder for transfers.parquet, mels.npy and the sample pack.")
def main(
    cache: Path, content: Path, style: Path, judge: Path, mel: Path, latents: Path, bank: Path, codec: Path, out: Path
) -> None:
    """Transfer test chunks to every other genre, and write a pack of waves, pictures and scores with its page."""
    settings, seed = load_section("transfer.samples", SamplesSettings), load_seed()
    spectrogram = load_section("transfer.cache", CacheSettings).mel
    deterministic_torch(seed)
    keep_freed_memory()
    device = torch_device()
    chunks, analysis = ChunkCache.open(cache), load_content(content).to(device)
    frames, styles = LatentCache.open(latents), StyleBank.open(bank)
    sound = sound_of(frames, spectrogram).to(device)
    model, translator = load_mel_model(mel).to(device), load_translator(codec).to(device)
    paths = {
        "mel": MelPath(chunks, analysis, StyleTargets.open(style), model, settings.mode, device),
        "codec": CodecPath(chunks, frames, analysis, styles, translator, sound, settings.mode, device),
    }
    scratch = open_scratch(
        "transfer-samples",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "samples": settings.model_dump(mode="json")},
        inputs=[cache, content, style, judge, mel, latents, bank, codec],
    )
    plan = plan_transfers(chunks, list(paths), settings.max_sources, seed)
    write_transfers(scratch.result, plan, make_transfers(plan, paths, chunks.genres, seed))
    folder = scratch.result / PACK
    PackWriter(folder, chunks, spectrogram, paths, Judges.open(judge), settings, seed).write(plan)
    scratch.publish()


if __name__ == "__main__":
    main()
