"""Conversions of unseen speakers beside controls, as published models find them that nothing here trained."""

from pathlib import Path

from soundgate.judges.registry import load_judge
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import read_json, write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.audit.pairs import UNSEEN, draw_evaluation
from soundgate.tracks.voice.audit.systems import CONVERTED, baselines, by_converter, controls
from soundgate.tracks.voice.baselines.methods import BASELINES
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.folder import load_converter
from soundgate.tracks.voice.outside.listening import STAGE, OutsideJudges, OutsideListening
from soundgate.tracks.voice.outside.methods import best_method, differences
from soundgate.tracks.voice.outside.report import report_markdown
from soundgate.tracks.voice.outside.settings import OutsideSettings
from soundgate.tracks.voice.outside.summary import outside_gates, summarise
from soundgate.tracks.voice.outside.trying import try_judges


@stage_command(STAGE)
@input_option("cache", "Folder of the cache.")
@input_option("converter", "Folder of the converter.")
@input_option("audit", "The figures of the exit audit, by judges that were trained here.")
@output_option("metrics", "JSON file for everything that the judges find.")
@output_option("gates", "JSON file for their verdicts.")
@output_option("report", "Markdown file for the report.")
@output_option("scores", "CSV file for every pair and system.")
def main(
    cache: Path, converter: Path, audit: Path, metrics: Path, gates: Path, report: Path, scores: Path
) -> None:  # fmt: skip
    """Ask outside judges about conversions, baselines and controls, and whether they hear anything here at all."""
    settings, seed = load_section("voice.outside", OutsideSettings), load_seed()
    deterministic_torch(seed)
    utterances, model = VoiceCache.open(cache), load_converter(converter).to(torch_device()).eval()
    drawn = settings.evaluation
    evaluation = draw_evaluation(utterances, UNSEEN, drawn.n_pairs, drawn)
    judges = OutsideJudges(*(load_judge(name) for name in OutsideJudges._fields))
    listening = OutsideListening(judges, utterances, evaluation, settings)
    tried = try_judges(listening, evaluation, seed, settings.n_bootstrap)
    parts = (utterances, evaluation.roles, drawn.duration_s)
    own = {CONVERTED: by_converter(model, *parts)}
    table = listening.table(own | baselines(*parts) | controls(model, *parts))
    systems, over = summarise(table, seed, settings.n_bootstrap)
    compared = differences(table, seed, settings.n_bootstrap)
    found = {
        "judges": tried,
        "systems": {
            name: {measure: estimate.as_dict() for measure, estimate in own.items()} for name, own in systems.items()
        },
        "over": {name: estimate.as_dict() for name, estimate in over.items()},
        "over_baselines": {
            name: {measure: own.as_dict() for measure, own in compared[CONVERTED, name].items()} for name in BASELINES
        },
        "best_method": best_method(systems, compared, tried),
    }
    verdicts = outside_gates(systems, over, compared, tried, settings.thresholds)
    write_json(metrics, jsonable(found))
    write_json(gates, verdicts)
    write_text(report, report_markdown(found, verdicts, read_json(audit)))
    write_text(scores, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    main()
