import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

from soundgate.codecs.latent_store import STORE_NAME, LatentStore, LatentStoreWriter
from soundgate.runtime.errors import FormatError

DIM, CHUNK, SHARD = 3, 4, 8


def ramp(start: int, length: int) -> np.ndarray:
    """Row r of the store is (r, r + 0.25, r + 0.5)."""
    return (np.arange(start, start + length)[:, None] + np.array([0, 0.25, 0.5])).astype(np.float32)


def writer(folder: Path, **options) -> LatentStoreWriter:
    sizes = {"chunk_rows": CHUNK, "shard_rows": SHARD} | options
    return LatentStoreWriter(folder, DIM, sample_rate=24_000, hop_length=320, details={"codec": "ramp"}, **sizes)


LENGTHS = {"a": 5, "b": 12, "c": 1, "d": 6, "e": 3}  # 27 rows: three whole shards and one of three rows


def fill(store: LatentStoreWriter, utt_ids: str = "abcde") -> LatentStoreWriter:
    offset = 0
    for utt_id, length in LENGTHS.items():
        if utt_id in utt_ids:
            store.add(utt_id, ramp(offset, length))
        offset += length
    return store


def finished(folder: Path, **options) -> LatentStore:
    fill(writer(folder, **options)).close()
    return LatentStore.open(folder)


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def shard(folder: Path, number: int) -> Path:
    return folder / STORE_NAME / "latents" / "c" / str(number) / "0"


def test_reads_the_rows_that_were_added(tmp_path):
    store = finished(tmp_path)
    assert (store.n_frames, store.dim, store.frame_rate) == (27, 3, 75.0)
    assert (store.sample_rate, store.hop_length, store.details) == (24_000, 320, {"codec": "ramp"})
    np.testing.assert_array_equal(store.read(0, 27), ramp(0, 27))
    np.testing.assert_array_equal(store.read(7, 18), ramp(7, 11))
    assert store.read(4, 4).shape == (0, 3)
    store.verify()


def test_offsets_follow_one_another(tmp_path):
    table = finished(tmp_path).utterances()
    assert table["utt_id"].tolist() == list("abcde")
    assert table["offset"].tolist() == [0, 5, 17, 18, 24]
    assert table["n_frames"].tolist() == list(LENGTHS.values())


def test_chunks_stream_every_row_once(tmp_path):
    store = finished(tmp_path)
    blocks = list(store.chunks(rows=8, start=3, stop=20))
    assert [start for start, _ in blocks] == [3, 8, 16]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in blocks]), ramp(3, 17))


def test_any_zarr_reader_reads_it(tmp_path):
    finished(tmp_path)
    group = zarr.open_group(tmp_path / STORE_NAME, mode="r")
    assert sorted(name for name, _ in group.arrays()) == ["latents", "n_frames", "offset", "utterance"]
    assert (group.attrs["codec"], group.attrs["frame_rate"], group.attrs["hop_length"]) == ("ramp", 75.0, 320)
    array = group["latents"]
    assert array.chunks == (CHUNK, DIM) and array.shards == (SHARD, DIM) and np.isnan(array.fill_value)
    assert array.metadata.dimension_names == ("frame", "feature")
    np.testing.assert_array_equal(array[:], ramp(0, 27))


@pytest.mark.filterwarnings("error")
def test_xarray_reads_it_by_utterance(tmp_path):
    finished(tmp_path)
    with xarray.open_zarr(tmp_path / STORE_NAME, chunks=None) as data:
        assert data["latents"].dims == ("frame", "feature") and data.sizes == {
            "frame": 27,
            "feature": 3,
            "utterance": 5,
        }
        assert data["utterance"].values.tolist() == list("abcde")
        assert (data.attrs["codec"], data.attrs["sample_rate"]) == ("ramp", 24_000)
        one = data.sel(utterance="b")
        frames = data["latents"].isel(frame=slice(int(one.offset), int(one.offset + one.n_frames)))
        np.testing.assert_array_equal(frames.values, ramp(5, 12))


def test_reads_by_utterance(tmp_path):
    store = finished(tmp_path)
    np.testing.assert_array_equal(store.read_utterance("b"), ramp(5, 12))
    with pytest.raises(FormatError, match="expected an utterance 'z'; found none"):
        store.read_utterance("z")


@pytest.mark.parametrize("name", ["zarr.json", "latents/zarr.json", "offset/c/0", "utterance/c/0"])
def test_another_byte_of_a_description_is_found(tmp_path, name):
    store, path = finished(tmp_path), tmp_path / STORE_NAME / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(FormatError, match=f"{name}: expected sha256"):
        store.verify()
    path.unlink()
    with pytest.raises(FormatError, match=f"{name}: .*no such file"):
        store.verify()


def test_a_bare_array_of_before_is_refused(tmp_path):
    zarr.create_array(tmp_path / STORE_NAME, shape=(4, 3), dtype="float32")
    for act in (LatentStore.open, writer):
        with pytest.raises(FormatError, match="expected a Zarr group; found a bare array.*Remove the folder"):
            act(tmp_path)


def test_rows_outside_are_refused(tmp_path):
    store = finished(tmp_path)
    for start, stop in [(-1, 3), (5, 4), (20, 28)]:
        with pytest.raises(FormatError, match="rows in 0..27"):
            store.read(start, stop)


def test_a_missing_shard_reads_as_nan_and_is_named(tmp_path):
    store = finished(tmp_path)
    shard(tmp_path, 1).unlink()
    rows = store.read(0, 27)
    assert np.isnan(rows[8:16]).all() and np.isfinite(rows[:8]).all() and np.isfinite(rows[16:]).all()
    with pytest.raises(FormatError, match=r"latents/c/1/0: .*no such file"):
        store.verify()


@pytest.mark.parametrize("position", [0, 50, -1])
def test_a_flipped_byte_is_found(tmp_path, position):
    store = finished(tmp_path)
    data = bytearray(shard(tmp_path, 2).read_bytes())
    data[position] ^= 1
    shard(tmp_path, 2).write_bytes(data)
    with pytest.raises(FormatError, match="c/2/0"):
        store.verify()
    with pytest.raises(FormatError, match="sound chunks for rows 16..24"):
        store.read(16, 24)


def test_a_truncated_manifest_is_named(tmp_path):
    store = finished(tmp_path)
    manifest = tmp_path / STORE_NAME / "manifest" / "00001.json"
    manifest.write_bytes(manifest.read_bytes()[:20])
    with pytest.raises(FormatError, match="00001.json"):
        store.verify()


def test_an_unfinished_store_is_refused(tmp_path):
    fill(writer(tmp_path), "abcd")
    with pytest.raises(FormatError, match="Run the extraction again"):
        LatentStore.open(tmp_path)
    with pytest.raises(FormatError, match="finished latent store"):
        LatentStore.open(tmp_path / "nowhere")


@pytest.mark.parametrize("added", ["", "a", "ab", "abc", "abcd", "abcde"])
def test_resuming_gives_the_same_bytes(tmp_path, added):
    finished(tmp_path / "whole")
    fill(writer(tmp_path / "again"), added)  # Never closed: what is not in a whole shard is lost.
    again = writer(tmp_path / "again")
    rows = sum(LENGTHS[utt_id] for utt_id in added) // SHARD * SHARD
    ends = dict(zip(LENGTHS, np.cumsum(list(LENGTHS.values())), strict=True))
    assert again.committed == [utt_id for utt_id, end in ends.items() if end <= rows]
    fill(again, "".join(utt_id for utt_id in LENGTHS if utt_id not in again.committed)).close()
    assert content(tmp_path / "again") == content(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["truncated manifest", "flipped byte", "no shard", "no manifest"])
def test_resuming_starts_before_the_first_damage(tmp_path, damage):
    whole = finished(tmp_path / "whole")
    fill(writer(tmp_path / "again"), "abcde")
    manifest = tmp_path / "again" / STORE_NAME / "manifest" / "00001.json"
    if damage == "truncated manifest":
        manifest.write_bytes(manifest.read_bytes()[:-30])
    elif damage == "flipped byte":
        data = bytearray(shard(tmp_path / "again", 1).read_bytes())
        data[3] ^= 128
        shard(tmp_path / "again", 1).write_bytes(data)
    else:
        (manifest if damage == "no manifest" else shard(tmp_path / "again", 1)).unlink()
    again = writer(tmp_path / "again")
    assert again.committed == ["a"]
    fill(again, "bcde").close()
    assert content(tmp_path / "again") == content(tmp_path / "whole")
    whole.verify()


def test_a_last_short_shard_without_its_card_is_written_again(tmp_path):
    finished(tmp_path / "whole")
    finished(tmp_path / "again")
    (tmp_path / "again" / STORE_NAME / "manifest" / "store.json").unlink()
    again = writer(tmp_path / "again")
    assert again.committed == list("abcd")
    fill(again, "e").close()
    assert content(tmp_path / "again") == content(tmp_path / "whole")


def test_rows_ending_with_a_shard_need_no_short_one(tmp_path):
    store = writer(tmp_path)
    store.add("a", ramp(0, 2 * SHARD))
    store.close()
    assert LatentStore.open(tmp_path).n_frames == 16 and not shard(tmp_path, 2).exists()


def test_a_finished_store_stays_as_it_is(tmp_path):
    finished(tmp_path)
    before = content(tmp_path)
    again = writer(tmp_path)
    assert again.finished and again.committed == list("abcde")
    again.close()
    assert content(tmp_path) == before
    with pytest.raises(FormatError):
        again.add("f", ramp(0, 1))


def test_a_store_begun_otherwise_is_refused(tmp_path):
    fill(writer(tmp_path), "ab")
    with pytest.raises(FormatError, match="Remove the folder"):
        writer(tmp_path, shard_rows=2 * SHARD)


def test_another_beginning_of_a_split_utterance_is_refused(tmp_path):
    fill(writer(tmp_path), "ab")
    again = writer(tmp_path)
    assert again.committed == ["a"]
    with pytest.raises(FormatError, match="first 11 frames of utterance 'b' at row 5"):
        again.add("b", -ramp(5, 12))


@pytest.mark.parametrize(
    "latents",
    [np.ones((4, 2)), np.ones(3), np.ones((0, 3)), np.full((2, 3), np.nan), np.full((2, 3), np.inf)],
)
def test_unfit_latents_are_refused(tmp_path, latents):
    with pytest.raises(FormatError, match="^a: expected"):
        writer(tmp_path).add("a", latents.astype(np.float32))


def test_an_utterance_is_added_once(tmp_path):
    with pytest.raises(FormatError, match="not in the store yet"):
        fill(fill(writer(tmp_path)), "a")


def test_half_precision_after_an_error_check(tmp_path):
    store = finished(tmp_path / "half", storage_dtype="float16")
    np.testing.assert_allclose(store.read(0, 27), ramp(0, 27), rtol=2**-11)
    assert store.read(0, 1).dtype == np.float32
    finished(tmp_path / "single")
    saved = shard(tmp_path / "single", 0).stat().st_size - shard(tmp_path / "half", 0).stat().st_size
    assert saved == SHARD * DIM * 2
    for unfit in (np.full((2, 3), 1e5, np.float32), np.full((2, 3), 1e-8, np.float32)):
        with pytest.raises(FormatError, match="Store float32"):
            writer(tmp_path / "unfit", storage_dtype="float16").add("a", unfit)
    with pytest.raises(FormatError, match="float32 or float16"):
        writer(tmp_path / "int", storage_dtype="int8")


def test_memory_is_one_shard_whatever_is_written(tmp_path):
    store = writer(tmp_path)
    before = store._buffer.nbytes
    store.add("long", ramp(0, 40 * SHARD + 3))
    for number in range(50):
        store.add(str(number), ramp(0, 7))
    arrays = [value for value in vars(store).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) == before == SHARD * DIM * 4


def test_silence_is_not_a_missing_row(tmp_path):
    store = writer(tmp_path)
    store.add("silence", np.zeros((20, DIM), np.float32))
    store.close()
    np.testing.assert_array_equal(LatentStore.open(tmp_path).read(0, 20), np.zeros((20, DIM)))


def test_the_card_names_every_manifest(tmp_path):
    finished(tmp_path)
    card = json.loads((tmp_path / STORE_NAME / "manifest" / "store.json").read_text())
    assert card["n_frames"] == 27 and card["n_utterances"] == 5 and len(card["manifests_sha256"]) == 4
    described = {path for path in content(tmp_path / STORE_NAME) if not path.startswith(("manifest/", "latents/c/"))}
    assert card["described_sha256"].keys() == described
