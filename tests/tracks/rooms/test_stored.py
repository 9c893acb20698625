"""What is measured of stored audio: sound as it was made, and broken in one way at a time."""

import json
import shutil

import numpy as np
import pytest

from soundgate.runtime.files import read_json, write_json
from soundgate.tracks.rooms.batches import EMBEDDING, SOURCE, TARGET, open_batch, write_batch
from soundgate.tracks.rooms.probing import probe_embeddings
from soundgate.tracks.rooms.stored import chosen, stored_triples

from .conftest import measure_stored
from .run_faults import failing, measured

RATE = 48_000


def test_stored_audio_is_what_was_asked_for(stored, batches, manifest):
    triples, embeddings = stored_triples(batches, manifest)
    noisy = [triple for triple in triples if any(effect["name"] == "noise" for effect in triple["effects"])]
    levels, rooms = stored.levels, stored.rooms
    assert levels["item"].tolist() == [triple["item"] for triple in noisy] and len(embeddings) == len(triples) == 20
    assert (levels["stored_snr_db"] - levels["requested_snr_db"]).abs().max() < 0.1
    assert rooms["ir"].tolist() == [f"target-r1{number}" for number in range(4)]
    np.testing.assert_allclose(rooms["stored_rt60_s"], rooms["rt60_s"], rtol=0.05)  # Rooms of half a clip.
    np.testing.assert_allclose(rooms["stored_c50_db"], rooms["heard_c50_db"], atol=0.5)
    assert not rooms["alignment_samples"].any() and rooms["rt60_true_s"].isna().all()
    assert stored.bandwidths["bandwidth_hz"].tolist() == [24_000.0] * 20


def alter(batches, folder, change):
    """Copy the batches; ``change(arrays, triples)`` alters each batch's arrays and metadata."""
    shutil.copytree(batches, folder)
    for path in sorted(folder.glob("batch_*.npz")):
        arrays = {name: np.array(array) for name, array in open_batch(path).items()}
        meta_path = path.with_name(f"{path.stem}_meta.json")
        meta = read_json(meta_path)
        change(arrays, meta["triples"])
        write_batch(path, arrays[SOURCE], arrays[TARGET], arrays[EMBEDDING])
        write_json(meta_path, meta)
    return folder


def noise_too_loud(arrays, triples):
    """White noise 14 dB below the source in every one."""
    noise = np.random.default_rng(0).standard_normal(arrays[SOURCE].shape) * arrays[SOURCE].std(axis=1, keepdims=True)
    arrays[SOURCE] = np.clip(np.rint(arrays[SOURCE] + 0.2 * noise), -32767, 32767).astype(np.int16)


def no_noise(arrays, triples):
    arrays[SOURCE] = np.rint(0.5 * arrays[SOURCE]).astype(np.int16)


def swap_targets(arrays, triples):
    arrays[TARGET] = np.roll(arrays[TARGET], 1, axis=0)


def other_rooms(arrays, triples):
    """Targets in other rooms than they are said to be in: the longest decay for the shortest, and so on."""
    for triple in triples:
        triple["target_ir"] = f"target-r{23 - int(triple['target_ir'][-2:])}"


def late_targets(arrays, triples):
    arrays[TARGET] = np.pad(arrays[TARGET], ((0, 0), (5, 0)))[:, :-5]


def zero_embeddings(arrays, triples):
    arrays[EMBEDDING][:] = 0


def deal_out_embeddings(arrays, triples):
    arrays[EMBEDDING] = np.random.default_rng(3).standard_normal(arrays[EMBEDDING].shape).astype(np.float32)


def narrow_targets(arrays, triples):
    spectrum = np.fft.rfft(arrays[TARGET].astype(float))
    spectrum[:, np.fft.rfftfreq(arrays[TARGET].shape[1], 1 / RATE) > 7000] = 0
    arrays[TARGET] = np.rint(np.fft.irfft(spectrum)).clip(-32767, 32767).astype(np.int16)


# What a wrong target is wrong in beside its T60; rooms that are called by others' names have their embeddings too.
ROOM = {"stored_c50_error_db", "stored_alignment_error"}
ALSO = {
    swap_targets: ROOM, other_rooms: ROOM | {"embedding_t60_r2", "embedding_c50_r2"},
    late_targets: {"stored_t60_error", "stored_c50_error_db"}, narrow_targets: ROOM | {"stored_t60_error"},
}  # fmt: skip


@pytest.mark.parametrize(
    "change, gates",
    [
        (noise_too_loud, {"stored_snr_error_db"}),
        (no_noise, {"stored_snr_error_db"}),
        (swap_targets, {"stored_t60_error"}),
        (other_rooms, {"stored_t60_error"}),
        (late_targets, {"stored_alignment_error"}),
        (zero_embeddings, {"embedding_t60_r2", "embedding_c50_r2"}),
        (deal_out_embeddings, {"embedding_t60_r2", "embedding_c50_r2"}),
        (narrow_targets, {"narrow_share"}),
    ],
)
def test_what_is_stored_wrongly_fails_its_gate(small_run, batches, manifest, tables, tmp_path, change, gates):
    folder = alter(batches, tmp_path / "batches", change)
    tables["stored"] = measure_stored(small_run, folder, manifest)
    found = failing(measured(batches, manifest, tables))
    assert gates <= found
    assert found - gates <= ALSO.get(change, set())


def test_a_batch_that_cannot_be_read_is_left_out(batches, manifest, tmp_path):
    folder = shutil.copytree(batches, tmp_path / "batches")
    (folder / "batch_0002.npz").write_bytes(b"nothing")
    triples, embeddings = stored_triples(folder, manifest)
    assert len(triples) == len(embeddings) == 16 and "batch_0002.npz" not in {triple["file"] for triple in triples}


def test_few_are_chosen_at_random_and_in_order(batches, manifest):
    triples, _ = stored_triples(batches, manifest)
    assert chosen(triples, 20, 0, "x") == triples
    one, again, other = (chosen(triples, 7, seed, "x") for seed in (0, 0, 1))
    assert one == again != other and len(one) == 7
    places = [triples.index(triple) for triple in one]
    assert places == sorted(places)


@pytest.fixture(scope="module")
def many_rooms():
    """Thirty rooms of two responses each; embeddings that know T60, C50 and the room."""
    generator = np.random.default_rng(0)
    irs, embeddings = {}, []
    for room in range(30):
        t60, own = generator.uniform(0.2, 1.0), generator.standard_normal(16)
        for place in range(2):
            c50 = 20 - 15 * t60 + generator.normal(0, 0.5)
            irs[f"{room}-{place}"] = {"room_id": str(room), "rt60_s": t60, "c50_db": c50}
            known = [5 * t60, c50 / 5, *own, *generator.normal(0, 0.1, 14)]
            embeddings.append(known)
    return irs, np.array(embeddings, np.float32)


def probe(many_rooms, embeddings=None):
    irs, own = many_rooms
    found = probe_embeddings([{"target_ir": name} for name in irs], own if embeddings is None else embeddings, irs, 0)
    json.dumps(found, allow_nan=False)
    return found


def test_embeddings_that_know_their_rooms_pass_and_others_do_not(many_rooms):
    found = probe(many_rooms)
    assert found["t60_r2"]["value"] > 0.9 and found["c50_r2"]["value"] > 0.9 and found["retrieval"]["value"] == 1
    assert found["t60_r2"]["n"] == found["retrieval"]["n"] == 30 and found["n_embeddings"] == 60
    for probed in (found["t60_r2"], found["c50_r2"], found["retrieval"]):
        assert probed["control"] < 0.2 and probed["zero"] < 0.05
    nothing = probe(many_rooms, np.zeros_like(many_rooms[1]))
    assert nothing["t60_r2"]["value"] == pytest.approx(0) and nothing["retrieval"]["value"] < 0.05


def test_a_room_is_predicted_without_its_own_responses(many_rooms):
    """Embeddings that only name the room explain nothing of rooms that were left out, though they retrieve."""
    names = np.repeat(np.eye(30, dtype=np.float32), 2, axis=0)
    found = probe(many_rooms, names)
    assert found["t60_r2"]["value"] < 0.1 and found["retrieval"]["value"] == 1


def test_rooms_with_one_response_cannot_be_retrieved(many_rooms):
    irs, own = many_rooms
    some = {name: entry for name, entry in irs.items() if name.endswith("-0")}
    found = probe_embeddings([{"target_ir": name} for name in some], own[::2], irs, 0)
    assert found["retrieval"]["value"] is None and found["t60_r2"]["n"] == 30
    few = probe_embeddings([{"target_ir": name} for name in list(some)[:2]], own[:4:2], irs, 0)
    assert few["t60_r2"]["value"] is None
    assert probe_embeddings([], np.zeros((0, 0), np.float32), irs, 0)["n_embeddings"] == 0


def test_triples_of_one_response_count_once(many_rooms):
    irs, own = many_rooms
    names = [{"target_ir": name} for name in irs]
    assert probe_embeddings(names * 3, np.tile(own, (3, 1)), irs, 0) == probe(many_rooms)
