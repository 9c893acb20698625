"""The exit audit: held-out judges, controls, truth, leakage, gates."""

from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import read_json, write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.audit.competing import contest_gate
from soundgate.tracks.transfer.audit.exits import content_gates, exit_report, leakage_gates, path_gates, stage_gates
from soundgate.tracks.transfer.audit.own_style import own_style_gate
from soundgate.tracks.transfer.audit.plots import write_plots
from soundgate.tracks.transfer.audit.report import report_markdown
from soundgate.tracks.transfer.audit.run import AuditSettings, run_audit
from soundgate.tracks.transfer.audit.scores import Scorer
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import CacheSettings
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.content.model import load_content
from soundgate.tracks.transfer.judge.scoring import Judges


@stage_command("transfer-audit")
@input_option("music", "Folder of the music corpus, for its scores.")
@input_option("cache", "Folder of the chunk cache.")
@input_option("content", "Folder of Lab 1's model and embeddings.")
@input_option("judge", "Folder of the held-out judges.")
@input_option("samples", "Folder of the transfers.")
@input_option("labels", "The labels' metrics.")
@input_option("lab1", "Lab 1's metrics.")
@input_option("lab2", "Lab 2's metrics.")
@input_option("latents", "Folder of the codec's latents.")
@input_option("bank", "Folder of the style bank.")
@input_option("lab3", "The style bank's metrics.")
@output_option("metrics", "JSON file for everything measured.")
@output_option("gates", "JSON file for the verdicts.")
@output_option("exits", "JSON file for the seed's exit audit.")
@output_option("report", "Markdown file for the report.")
@output_option("plots", "Folder for the tables behind the plots.")
def main(
    music: Path, cache: Path, content: Path, judge: Path, samples: Path, labels: Path, lab1: Path, lab2: Path,
    latents: Path, bank: Path, lab3: Path,
    metrics: Path, gates: Path, exits: Path, report: Path, plots: Path,
) -> None:  # fmt: skip
    """Score every transfer by judges that taught nothing, beside controls, and hold the track against its gates."""
    settings, seed = load_section("transfer.audit", AuditSettings), load_seed()
    mel = load_section("transfer.cache", CacheSettings).mel
    deterministic_torch(seed)
    chunks = ChunkCache.open(cache)
    scorer = Scorer(chunks, load_content(content), Judges.open(judge))
    embeddings = np.load(content / "embeddings.npz")
    features = {
        "z_style": embeddings["style"],
        "z_content": embeddings["content"],
        "mean_q": LatentCache.open(latents).means(len(chunks.index)),
        "latent_judge": StyleBank.open(bank).targets,
    }
    transfers, notes = pd.read_parquet(samples / "transfers.parquet"), pd.read_parquet(music / "notes.parquet")
    audit = run_audit(settings, scorer, transfers, np.load(samples / "mels.npy"), notes, features, mel, seed)
    paths = list(audit.copied)
    verdicts = stage_gates({"lab1": read_json(lab1), "lab2": read_json(lab2), "bank": read_json(lab3)})
    for path in paths:
        own = audit.pairs[audit.pairs["path"] == path]
        verdicts |= path_gates(path, audit.kinds, own, audit.copied[path], settings.thresholds)
        verdicts[f"{path}_over_best_baseline"] = contest_gate(audit.contest, path)
        if path in audit.own_style:
            verdicts[f"{path}_own_style"] = own_style_gate(audit.own_style[path])
    verdicts |= leakage_gates(audit.leakage, settings.thresholds) | content_gates(audit.leakage)
    found = {"kinds": audit.kinds, "copied": audit.copied, "diversity": audit.diversity, "leakage": audit.leakage}
    found |= {"contest": {"best": audit.contest.best, "pairs": audit.contest.pairs.to_dict("records")}}
    found["own_style"] = {
        path: {name: one.as_dict() for name, one in own.items()} for path, own in audit.own_style.items()
    }
    write_json(metrics, jsonable(found | {"targets": audit.targets.to_dict("records")}))
    write_json(gates, verdicts)
    write_json(exits, jsonable(exit_report(verdicts, audit.kinds, paths)))
    write_text(report, report_markdown(audit, verdicts, read_json(labels), chunks.index))
    write_plots(plots, audit)


if __name__ == "__main__":
    main()
