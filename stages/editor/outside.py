"""The vocoder's sound beside controls, as ViSQOL finds it, which nothing here trained."""

from pathlib import Path

from soundgate.judges.registry import load_judge
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.editor.outside.listening import listen
from soundgate.tracks.editor.outside.passages import STAGE, draw_passages
from soundgate.tracks.editor.outside.report import report_markdown
from soundgate.tracks.editor.outside.settings import OutsideSettings
from soundgate.tracks.editor.outside.summary import by_system, outside_gates
from soundgate.tracks.editor.outside.trying import try_judge
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.vocoder.model import load_vocoder


@stage_command(STAGE)
@input_option("pairs", "Folder of the pairs.")
@input_option("vocoder", "Folder of the vocoder.")
@output_option("metrics", "JSON file for everything that the judge finds.")
@output_option("gates", "JSON file for its verdicts.")
@output_option("report", "Markdown file for the report.")
@output_option("scores", "CSV file for every passage and system.")
def main(pairs: Path, vocoder: Path, metrics: Path, gates: Path, report: Path, scores: Path) -> None:
    """Ask ViSQOL about the vocoder and controls, and whether it hears anything on this corpus at all."""
    settings, seed = load_section("editor.outside", OutsideSettings), load_seed()
    deterministic_torch(seed)
    model, judge = load_vocoder(vocoder), load_judge("similarity")
    frames = model.network.features
    passages = draw_passages(read_pairs(pairs), frames.sample_rate, frames.hop_length, settings, seed)
    heard = listen(judge, model, passages, settings, seed)
    tried = try_judge(judge, heard, settings, seed)
    systems = by_system(heard.table, seed, settings.n_bootstrap)
    found = {
        "judge": tried,
        "systems": {
            name: {figure: estimate.as_dict() for figure, estimate in own.items()} for name, own in systems.items()
        },
        "n_passages": len(passages),
    }
    verdicts = outside_gates(heard.table, tried, settings, seed)
    write_json(metrics, jsonable(found))
    write_json(gates, verdicts)
    write_text(report, report_markdown(found, verdicts))
    write_text(scores, heard.table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    main()
