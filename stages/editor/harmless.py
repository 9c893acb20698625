"""Whether `soundgate edit` leaves finished songs alone, and finds what is to be cut in sessions made of them."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.editor.editing.models import Models
from soundgate.tracks.editor.editing.settings import RenderSettings
from soundgate.tracks.editor.features import FeatureSettings
from soundgate.tracks.editor.harmless.measuring import STAGE, harmless_gates, measure, songs_to_measure, summarise
from soundgate.tracks.editor.harmless.methods import cutters
from soundgate.tracks.editor.harmless.report import report_markdown
from soundgate.tracks.editor.harmless.settings import HarmlessSettings
from soundgate.tracks.editor.pairs.building import songs_of
from soundgate.tracks.editor.pairs.table import read_pairs


@stage_command(STAGE)
@input_option("songs", "Folder of the finished songs.")
@input_option("pairs", "Folder of the pairs, which know the splits.")
@input_option("policy", "Folder of the policy.")
@input_option("reconstruction", "Folder of phase 1's model, which plays the policy's effects.")
@output_option("metrics", "JSON file for everything measured.")
@output_option("gates", "JSON file for the verdicts.")
@output_option("report", "Markdown file for the report.")
@output_option("scores", "CSV file for every song and method.")
def main(
    songs: Path, pairs: Path, policy: Path, reconstruction: Path, metrics: Path, gates: Path, report: Path, scores: Path
) -> None:
    """Let rules, policy and controls edit finished songs, and sessions of takes, talk and dead air made of them."""
    settings, seed = load_section("editor.harmless", HarmlessSettings), load_seed()
    editing = load_section("editor.render", RenderSettings)
    features = load_section("editor.cache.features", FeatureSettings)
    deterministic_torch(seed)
    # No vocoder: nothing is played.
    folders = {"policy": policy, "reconstruction": reconstruction, "vocoder": policy / "vocoder"}
    models = Models(folders, features, editing.griffin_lim_iterations)
    measured = songs_to_measure(songs_of(songs), read_pairs(pairs), settings.n_songs)
    methods = cutters(models, editing, settings.quiet_db)
    table = measure(measured, methods, settings, editing.tempo_bpm, seed)
    found = summarise(table, seed, settings.n_bootstrap)
    verdicts = harmless_gates(found, settings)
    by_method = {name: {figure: own.as_dict() for figure, own in row.items()} for name, row in found.items()}
    write_json(metrics, jsonable({"methods": by_method, "n_songs": int(table["song"].nunique())}))
    write_json(gates, verdicts)
    write_text(report, report_markdown(found, verdicts, table["song"].nunique()))
    write_text(scores, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    main()
