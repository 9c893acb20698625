import numpy as np
import pytest

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import sha256_of
from soundgate.tracks.rooms.batches import batch_bytes, open_batch, to_int16, write_batch


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    source, target = generator.integers(-32767, 32768, (2, 5, 300)).astype(np.int16)
    return source, target, generator.standard_normal((5, 16)).astype(np.float32)


def test_what_was_written_is_read_by_memory_map(tmp_path, arrays):
    sha256 = write_batch(tmp_path / "b.npz", *arrays)
    members = open_batch(tmp_path / "b.npz")
    for name, array in zip(("source_audio", "target_audio", "target_clap"), arrays, strict=True):
        assert isinstance(members[name], np.memmap) and members[name].dtype == array.dtype
        np.testing.assert_array_equal(members[name], array)
        np.testing.assert_array_equal(np.load(tmp_path / "b.npz")[name], array)
    assert sha256 == sha256_of(tmp_path / "b.npz") == write_batch(tmp_path / "again.npz", *arrays)


def test_the_bound_of_the_size_holds_and_is_close(tmp_path, arrays):
    write_batch(tmp_path / "b.npz", *arrays)
    size = (tmp_path / "b.npz").stat().st_size
    assert size <= batch_bytes(5, 300, 16) < size + 2048


@pytest.mark.parametrize("damage", ["truncated", "empty", "other", "compressed", "uneven"])
def test_what_is_no_batch_is_refused(tmp_path, arrays, damage):
    path = tmp_path / "b.npz"
    write_batch(path, *arrays)
    content = path.read_bytes()
    source, target, embedding = arrays
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other":
        np.savez(path, something=source)
    elif damage == "compressed":
        np.savez_compressed(path, source_audio=source, target_audio=target, target_clap=embedding)
    else:
        np.savez(path, source_audio=source, target_audio=target[:2], target_clap=embedding)
    with pytest.raises(FormatError, match="b.npz"):
        open_batch(path)


def test_int16_rounds_to_nearest_and_clips():
    wav = np.array([0, 1, -1, 1.5, -2, 0.5 / 32767, 0.51 / 32767, -0.51 / 32767], np.float32)
    assert to_int16(wav).tolist() == [0, 32767, -32767, 32767, -32767, 0, 1, -1]
