"""Learn to dereverberate with right embeddings and with wrong ones."""

from pathlib import Path

from soundgate.evaluation.gates import Gate, judge
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import read_json, write_json
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.rooms.helping import STAGE, ProbeSettings, embedding_helps, triple_sums
from soundgate.tracks.rooms.rendering import CHECKPOINT
from soundgate.tracks.rooms.segments import load_segments
from soundgate.tracks.rooms.stored import chosen, stored_triples


@stage_command(STAGE)
@input_option("vocals", "Folder of the sterilised segments.")
@input_option("batches", "Folder of the batches.")
@output_option("metrics", "JSON file for what was measured.")
@output_option("gates", "JSON file for the gate's verdict.")
def main(vocals: Path, batches: Path, metrics: Path, gates: Path) -> None:
    """Ask whether a small conditioned model does better with the right embedding than with another room's."""
    settings, seed = load_section("rooms.probe", ProbeSettings), load_seed()
    triples, embeddings = stored_triples(batches, read_json(batches / CHECKPOINT))
    rows = chosen(list(range(len(triples))), settings.n_triples, seed, STAGE)
    triples, embeddings = [triples[row] for row in rows], embeddings[rows]
    found, verdicts = {"n_rooms": len({triple["target_room"] for triple in triples})}, {}
    if found["n_rooms"] > 2:
        sums = triple_sums(batches, triples, load_segments(vocals).sample_rate)
        found |= embedding_helps(triples, embeddings, sums, settings, seed)
        name = "embedding_helps_model"
        verdicts = judge(
            found, [Gate(name, "gain_db.value", "above", settings.embedding_helps_model, "gain_db.ci", "gain_db.n")]
        )
    write_json(metrics, found)
    write_json(gates, verdicts)


if __name__ == "__main__":
    main()
