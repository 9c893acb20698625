import io
import zipfile

import numpy as np

from soundgate.runtime.npz import write_npz

ARRAYS = {"file": np.arange(6, dtype=np.int16).reshape(2, 3), "b/c d": np.float32(2.5) * np.ones(4, np.float32)}


def test_what_was_written_is_read(tmp_path):
    write_npz(tmp_path / "x.npz", ARRAYS)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as content:
        assert list(content) == list(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(content[name], array)
            assert content[name].dtype == array.dtype


def test_the_bytes_are_those_of_the_arrays_alone(tmp_path):
    write_npz(tmp_path / "x.npz", ARRAYS)
    buffer = io.BytesIO()
    write_npz(buffer, ARRAYS)
    assert buffer.getvalue() == (tmp_path / "x.npz").read_bytes()


def test_no_member_has_a_date_or_the_64_bit_form(tmp_path):
    write_npz(tmp_path / "x.npz", ARRAYS)
    for member in zipfile.ZipFile(tmp_path / "x.npz").infolist():
        assert member.date_time == (1980, 1, 1, 0, 0, 0) and member.extract_version == 20 and not member.extra
    assert (tmp_path / "x.npz").read_bytes()[:6] == b"PK\x03\x04\x14\x00"
