"""The exit audit: conversions of unseen speakers beside controls, heard by a judge that shares nothing with them."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import read_json, write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.audit.gating import (
    conversion_gates,
    embedding_gates,
    health_gates,
    reconstruction_gates,
)
from soundgate.tracks.voice.audit.hearing import Listeners
from soundgate.tracks.voice.audit.plots import write_plots
from soundgate.tracks.voice.audit.report import report_markdown
from soundgate.tracks.voice.audit.run import run_audit, scores_of
from soundgate.tracks.voice.audit.settings import AuditSettings
from soundgate.tracks.voice.audit.summary import summarise
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.judge.encoder import load_judge
from soundgate.tracks.voice.judge.units import load_units
from soundgate.tracks.voice.model.folder import load_converter
from soundgate.tracks.voice.speaker.model import load_speaker


@stage_command("voice-audit")
@input_option("cache", "Folder of the cache.")
@input_option("speaker", "Folder of the speaker encoder.")
@input_option("judge", "Folder of the held-out judge and the unit classifier.")
@input_option("converter", "Folder of the converter.")
@input_option("embeddings", "The metrics of the speaker encoder's embeddings.")
@input_option("health", "The metrics of the health monitor on injected faults.")
@output_option("metrics", "JSON file for everything measured.")
@output_option("gates", "JSON file for the track's verdicts.")
@output_option("report", "Markdown file for the report.")
@output_option("scores", "CSV file for the converter's scores by pair.")
@output_option("plots", "Folder for tables and pictures.")
def main(
    cache: Path, speaker: Path, judge: Path, converter: Path, embeddings: Path, health: Path,
    metrics: Path, gates: Path, report: Path, scores: Path, plots: Path,
) -> None:  # fmt: skip
    """Measure conversions and reconstructions of unseen speakers; hold the track against its gates."""
    settings, seed = load_section("voice.audit", AuditSettings), load_seed()
    deterministic_torch(seed)
    device = torch_device()
    utterances, model = VoiceCache.open(cache), load_converter(converter).to(device).eval()
    parts = load_judge(judge / "encoder"), load_speaker(speaker), load_units(judge / "units")
    listeners = Listeners(*(part.to(device).eval() for part in parts))
    audit = run_audit(settings, utterances, model, listeners)
    found, thresholds = summarise(audit, seed, settings.n_bootstrap), settings.thresholds
    verdicts = embedding_gates(read_json(embeddings)) | conversion_gates(found, thresholds)
    verdicts |= reconstruction_gates(found, thresholds) | health_gates(read_json(health), thresholds)
    write_json(metrics, jsonable(found))
    write_json(gates, verdicts)
    write_text(report, report_markdown(found, verdicts))
    table = scores_of(audit, utterances)
    write_text(scores, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_plots(plots, audit, found)


if __name__ == "__main__":
    main()
