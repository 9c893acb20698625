"""Whether transfers keep the notes of their sources, as a published model hears them that nothing here trained."""

from pathlib import Path

import pandas as pd

from soundgate.judges.registry import load_judge
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import read_json, write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import CacheSettings
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.model import load_translator
from soundgate.tracks.transfer.codec.sound import sound_of
from soundgate.tracks.transfer.content.model import load_content
from soundgate.tracks.transfer.mel.model import load_mel_model
from soundgate.tracks.transfer.outside.clips import STAGE, draw_clips
from soundgate.tracks.transfer.outside.exemplars import exemplar_gate, exemplar_response
from soundgate.tracks.transfer.outside.listening import NotesListening
from soundgate.tracks.transfer.outside.report import report_markdown
from soundgate.tracks.transfer.outside.settings import OutsideSettings
from soundgate.tracks.transfer.outside.summary import outside_gates, summarise
from soundgate.tracks.transfer.outside.systems import Originals, systems
from soundgate.tracks.transfer.outside.trying import try_judge
from soundgate.tracks.transfer.samples.settings import SamplesSettings
from soundgate.tracks.transfer.samples.transfers import CodecPath, MelPath
from soundgate.tracks.transfer.style.targets import StyleTargets


@stage_command(STAGE)
@input_option("music", "Folder of the music corpus, for its audio and scores.")
@input_option("cache", "Folder of the chunk cache.")
@input_option("content", "Folder of Lab 1's model.")
@input_option("style", "Folder of Lab 2's target vectors.")
@input_option("mel", "Folder of the mel path's run.")
@input_option("latents", "Folder of the codec's latents.")
@input_option("bank", "Folder of the style bank.")
@input_option("codec", "Folder of the codec path's run.")
@input_option("audit", "The figures of the exit audit, by judges that were trained here.")
@output_option("metrics", "JSON file for everything that the judge finds.")
@output_option("gates", "JSON file for the verdicts.")
@output_option("report", "Markdown file for the report.")
@output_option("scores", "CSV file for every clip and system.")
def main(
    music: Path, cache: Path, content: Path, style: Path, mel: Path, latents: Path, bank: Path, codec: Path,
    audit: Path, metrics: Path, gates: Path, report: Path, scores: Path,
) -> None:  # fmt: skip
    """Ask an outside judge for the notes of transfers and controls, and whether it hears anything on this corpus."""
    settings, seed = load_section("transfer.outside", OutsideSettings), load_seed()
    samples = load_section("transfer.samples", SamplesSettings)
    spectrogram = load_section("transfer.cache", CacheSettings).mel
    deterministic_torch(seed)
    device = torch_device()
    chunks, analysis, frames = ChunkCache.open(cache), load_content(content).to(device), LatentCache.open(latents)
    sound, translator = sound_of(frames, spectrogram).to(device), load_translator(codec).to(device)
    model, targets, styles = load_mel_model(mel).to(device), StyleTargets.open(style), StyleBank.open(bank)
    paths = {
        "mel": MelPath(chunks, analysis, targets, model, samples.mode, device),
        "codec": CodecPath(chunks, frames, analysis, styles, translator, sound, samples.mode, device),
    }
    originals = Originals(chunks, spectrogram, samples)
    notes = pd.read_parquet(music / "notes.parquet")
    clips = draw_clips(chunks, notes, settings.n_sources, originals.duration_s, seed)
    listening = NotesListening(load_judge("notes"), originals)
    tried = try_judge(listening, clips, settings.noise_db, seed, settings.n_bootstrap)
    table = listening.table(clips, systems(originals, paths, seed))
    figures = summarise(table, seed, settings.n_bootstrap)
    exemplars = {
        name: exemplar_response(chunks, path, clips, seed, settings.n_bootstrap) for name, path in paths.items()
    }
    found = {
        "judge": tried,
        "exemplars": {name: {key: one.as_dict() for key, one in own.items()} for name, own in exemplars.items()},
        "systems": {
            path: {name: {key: one.as_dict() for key, one in values.items()} for name, values in own.items()}
            for path, own in figures.items()
        },
    }
    verdicts = outside_gates(figures, tried, settings.thresholds)
    verdicts |= {
        f"{name}_exemplar_response": exemplar_gate(own) for name, own in exemplars.items() if own["response"].n
    }
    write_json(metrics, jsonable(found))
    write_json(gates, verdicts)
    write_text(report, report_markdown(found, verdicts, read_json(audit), settings.thresholds.lost))
    write_text(scores, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    main()
