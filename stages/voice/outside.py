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
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.folder import load_converter
from soundgate.tracks.voice.outside.found import judge_tables
from soundgate.tracks.voice.outside.listening import STAGE, OutsideJudges, OutsideListening
from soundgate.tracks.voice.outside.report import report_markdown
from soundgate.tracks.voice.outside.settings import OutsideSettings
from soundgate.tracks.voice.outside.trying import ask_trials


@stage_command(STAGE)
@input_option("cache", "Folder of the cache.")
@input_option("converter", "Folder of the converter.")
@input_option("audit", "The figures of the exit audit, by judges that were trained here.")
@output_option("metrics", "JSON file for everything that the judges find.")
@output_option("gates", "JSON file for their verdicts.")
@output_option("report", "Markdown file for the report.")
@output_option("scores", "CSV file for every pair and system.")
@output_option("trials", "CSV file for what each judge was asked whose answer is known.")
def main(
    cache: Path, converter: Path, audit: Path, metrics: Path, gates: Path, report: Path, scores: Path, trials: Path
) -> None:  # fmt: skip
    """Ask outside judges about conversions, baselines and controls, and whether they hear anything here at all."""
    settings, seed = load_section("voice.outside", OutsideSettings), load_seed()
    deterministic_torch(seed)
    utterances, model = VoiceCache.open(cache), load_converter(converter).to(torch_device()).eval()
    drawn = settings.evaluation
    evaluation = draw_evaluation(utterances, UNSEEN, drawn.n_pairs, drawn)
    judges = OutsideJudges(*(load_judge(name) for name in OutsideJudges._fields))
    listening = OutsideListening(judges, utterances, evaluation, settings)
    asked = ask_trials(listening, evaluation)
    parts = (utterances, evaluation.roles, drawn.duration_s)
    own = {CONVERTED: by_converter(model, *parts)}
    table = listening.table(own | baselines(*parts) | controls(model, *parts))
    found = judge_tables(table, asked, settings, seed)
    write_json(metrics, jsonable(found.figures))
    write_json(gates, found.gates)
    write_text(report, report_markdown(found.figures, found.gates, read_json(audit)))
    write_text(trials, asked.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_text(scores, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    main()
