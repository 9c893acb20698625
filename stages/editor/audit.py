"""The exit audit: every claim of the track beside what knows nothing, on pairs nobody trained on."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import read_json, write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.editor.audit.gating import phase1_gates, policy_gates, sound_gates
from soundgate.tracks.editor.audit.plots import write_plots
from soundgate.tracks.editor.audit.report import report_markdown
from soundgate.tracks.editor.audit.run import Trained, run_audit
from soundgate.tracks.editor.audit.settings import AuditSettings
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.policy.model import load_predictor
from soundgate.tracks.editor.policy.settings import PolicySettings
from soundgate.tracks.editor.reconstruct.model import load_reconstruction


@stage_command("editor-audit")
@input_option("pairs", "Folder of the pairs.")
@input_option("cache", "Folder of the cached pairs.")
@input_option("reconstruction", "Folder of phase 1's model.")
@input_option("imitation", "Folder of the imitation model.")
@input_option("policy", "Folder of the policy.")
@input_option("samples", "Folder of the edits that were rendered.")
@input_option("recovery", "The verdicts on label recovery.")
@input_option("vocoder", "The vocoder's metrics.")
@output_option("metrics", "JSON file for everything measured.")
@output_option("gates", "JSON file for the track's verdicts.")
@output_option("report", "Markdown file for the report.")
@output_option("plots", "Folder for the tables behind the plots.")
def main(
    pairs: Path, cache: Path, reconstruction: Path, imitation: Path, policy: Path, samples: Path, recovery: Path,
    vocoder: Path, metrics: Path, gates: Path, report: Path, plots: Path,
) -> None:  # fmt: skip
    """Measure phase 1, imitation and policy beside baselines and rendered audio; hold the track against its gates."""
    settings, seed = load_section("editor.audit", AuditSettings), load_seed()
    weights = load_section("editor.policy", PolicySettings).reward
    deterministic_torch(seed)
    trained = Trained(load_reconstruction(reconstruction), load_predictor(imitation), load_predictor(policy))
    audit = run_audit(settings, PairCache.open(cache), read_pairs(pairs), samples, trained, weights, seed)
    verdicts = read_json(recovery) | phase1_gates(audit.reconstruction, settings.thresholds)
    verdicts |= policy_gates(audit.labels, audit.rewards, settings.thresholds)
    verdicts |= sound_gates(audit.truth, read_json(vocoder), settings.thresholds)
    found = {"reconstruction": audit.reconstruction, "labels": audit.labels, "rewards": audit.rewards}
    write_json(metrics, jsonable(found | {"truth": audit.truth}))
    write_json(gates, verdicts)
    write_text(report, report_markdown(audit, verdicts))
    write_plots(plots, audit)


if __name__ == "__main__":
    main()
