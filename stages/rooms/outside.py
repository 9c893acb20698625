"""Voices before and after sterilising, as a published model rates them that nothing here trained."""

from pathlib import Path

from soundgate.judges.registry import load_judge
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.rooms.chain import ChainSettings
from soundgate.tracks.rooms.outside.listening import rate_recordings
from soundgate.tracks.rooms.outside.recordings import CLEAN, NOISY, STAGE, choose, known_recordings, no_recordings
from soundgate.tracks.rooms.outside.report import report_markdown
from soundgate.tracks.rooms.outside.settings import OutsideSettings
from soundgate.tracks.rooms.outside.summary import hearing, numbers, outside_gates, summarise
from soundgate.tracks.rooms.segments import load_segments


@stage_command(STAGE)
@input_option("voices", "Folder whose sub-folders are corpora of voices, each with index.parquet.")
@input_option("vocals", "Folder of the sterilised segments.")
@output_option("metrics", "JSON file for everything that the judge finds.")
@output_option("gates", "JSON file for its verdicts.")
@output_option("report", "Markdown file for the report.")
@output_option("scores", "CSV file for every recording and system.")
def main(voices: Path, vocals: Path, metrics: Path, gates: Path, report: Path, scores: Path) -> None:
    """Ask an outside judge whether sterilising is an improvement, and whether it hears noise on this corpus at all."""
    settings, chain = load_section("rooms.outside", OutsideSettings), load_section("rooms.chain", ChainSettings)
    segments, judge, known = load_segments(vocals), load_judge("quality"), no_recordings()
    # Of vocals that an earlier run made the recordings are not here.
    if chain.previous_run is None or "vocals" not in chain.reuse:
        known = known_recordings(voices, segments, settings.noisy_below_db, judge.min_rate, judge.min_s)
    chosen = choose(known, settings)
    table = rate_recordings(judge, chosen, segments, settings)
    systems, over = summarise(table, settings, load_seed())
    heard = hearing(over, settings.noise_db)
    found = {
        "recordings": {
            kind: {
                "found": int((known["kind"] == kind).sum()),
                "can_be_rated": int((known["heard"] & (known["kind"] == kind)).sum()),
                "rated": int((chosen["kind"] == kind).sum()),
            }
            for kind in (NOISY, CLEAN)
        },
        "judge": heard,
        "systems": numbers(systems),
        "over": numbers(over),
    }
    verdicts = outside_gates(over, heard, settings.thresholds)
    write_json(metrics, jsonable(found))
    write_json(gates, verdicts)
    write_text(report, report_markdown(found, verdicts))
    write_text(scores, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    main()
