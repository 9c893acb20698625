"""A run as it is measured, and what can be wrong with one."""

import math

from soundgate.evaluation.gates import judge
from soundgate.tracks.rooms.measures import (
    GateSettings,
    measure_run,
    run_gates,
)

LIMITS = GateSettings(snr_error_db=0.5, rt60_error=0.05, alignment_error=0, sdr_gain_db=0)


def measured(batches, manifest, tables, seed=0):
    return measure_run(batches, manifest, seed=seed, **tables)


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
    effects = tables["effects"]
    noise = effects.index[effects["name"] == "noise"]
    effects.loc[noise[: math.ceil(len(noise) / 10)], "achieved_snr_db"] += 1


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


def slow_room(tables, batches):
    tables["rooms"].loc[3, "rt60_error"] = 0.06


def late_room(tables, batches):
    tables["rooms"].loc[3, "alignment_error"] = 1


def damage_voice(tables, batches):
    tables["voices"].loc[5, "sdr_after_db"] = 9.9


FAULTS = {
    share_speaker: ("shared_speakers", 1), share_bad_room: ("shared_rooms", 1),
    share_room_between_pools: ("shared_rooms", 1), one_db_in_a_tenth: ("snr_error_db", 1),
    flip_batch: ("hashes", 1), lose_batch: ("hashes", 1), lose_meta: ("hashes", 1), flip_meta: ("hashes", 1),
    slow_room: ("rt60_error", 0.06), late_room: ("alignment_error", 1), damage_voice: ("sdr_gain_db", -0.1),
}  # fmt: skip
