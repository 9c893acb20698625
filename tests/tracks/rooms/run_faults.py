"""A run as it is measured, and what can be wrong with one."""

from soundgate.evaluation.gates import judge
from soundgate.tracks.rooms.measures import GateSettings, measure_run, run_gates

from .conftest import CLIP

LIMITS = GateSettings(
    n_stored=100, stored_snr_error_db=0.5, stored_t60_error=0.05, stored_t60_true_error=0.1, stored_c50_error_db=1,
    stored_alignment_error=2, embedding_t60_r2=0.5, embedding_c50_r2=0.5, embedding_retrieval=0.5,
    sterilise_gain_db=0.1, sterilise_clean_loss_db=0, clean_snr_db=30, padding_share=0.7, narrow_share=0.05,
    min_bandwidth_hz=8000,
)  # fmt: skip


def measured(batches, manifest, tables, seed=0):
    return measure_run(batches, manifest, samples=CLIP, settings=LIMITS, seed=seed, **tables)


def failing(metrics):
    return {name for name, gate in judge(metrics, run_gates(LIMITS, metrics)).items() if gate["verdict"] != "pass"}


def first_of(triples, split):
    return triples.index[triples["split"] == split][0]


def share_speaker(tables, batches):
    triples = tables["triples"]
    triples.loc[first_of(triples, "train"), "speaker_id"] = triples["speaker_id"][first_of(triples, "test")]


def share_bad_room(tables, batches):
    triples = tables["triples"]
    triples.loc[first_of(triples, "train"), "bad_room"] = triples["bad_room"][first_of(triples, "validation")]


def share_room_between_pools(tables, batches):
    triples = tables["triples"]
    triples.loc[first_of(triples, "train"), "target_room"] = triples["bad_room"][first_of(triples, "test")]


def one_db_in_a_tenth(tables, batches):
    levels = tables["stored"].levels
    levels.loc[: len(levels) // 10, "stored_snr_db"] += 1


def flip_batch(tables, batches):
    data = bytearray((batches / "batch_0002.npz").read_bytes())
    data[-5000] ^= 1
    (batches / "batch_0002.npz").write_bytes(data)


def lose_batch(tables, batches):
    (batches / "batch_0002.npz").unlink()


def lose_meta(tables, batches):
    (batches / "batch_0002_meta.json").unlink()


def flip_meta(tables, batches):
    data = bytearray((batches / "batch_0002_meta.json").read_bytes())
    data[-3] ^= 1
    (batches / "batch_0002_meta.json").write_bytes(data)


def slow_rooms(tables, batches):
    tables["stored"].rooms["stored_rt60_s"] *= 1.1


def no_decay(tables, batches):
    tables["stored"].rooms["stored_rt60_s"] = float("nan")


def unclear_rooms(tables, batches):
    tables["stored"].rooms["stored_c50_db"] += 2


def late_room(tables, batches):
    tables["stored"].rooms.loc[1, "alignment_samples"] = -3


def leave_voices_alone(tables, batches):
    tables["voices"]["sdr_after_db"] = tables["voices"]["sdr_before_db"]


def damage_clean_voices(tables, batches):
    voices = tables["voices"]
    voices.loc[voices["sdr_before_db"] == 100, "sdr_after_db"] = 90.0


def short_voices(tables, batches):
    tables["triples"]["valid_samples"] = CLIP // 4


def narrow_voices(tables, batches):
    tables["stored"].bandwidths["bandwidth_hz"] = 7900.0


FAULTS = {
    share_speaker: ("shared_speakers", 1), share_bad_room: ("shared_rooms", 1),
    share_room_between_pools: ("shared_rooms", 1), one_db_in_a_tenth: ("stored_snr_error_db", 1),
    flip_batch: ("hashes", 1), lose_batch: ("hashes", 1), lose_meta: ("hashes", 1), flip_meta: ("hashes", 1),
    slow_rooms: ("stored_t60_error", 0.1, 0.03), no_decay: ("stored_t60_error", 1),
    unclear_rooms: ("stored_c50_error_db", 2, 0.3), late_room: ("stored_alignment_error", 3),
    leave_voices_alone: ("sterilise_gain_db", 0), damage_clean_voices: ("sterilise_clean_loss_db", 10),
    short_voices: ("padding_share", 0.75), narrow_voices: ("narrow_share", 1),
}  # fmt: skip
