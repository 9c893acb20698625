import numpy as np
import pytest
import torch

from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import batch_of, beat_windows, draw_batch, own_parts, pool, spread, windows_of
from tests.tracks.editor.planted import planted_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"))


def test_a_drawn_window_is_a_piece_of_its_pair(cache):
    starts, edges = set(), cache.edges(3)
    last_start = min(b for b, edge in enumerate(edges) if edges[-1] - edge <= 40)
    for seed in range(80):
        batch = draw_batch(cache, [3], 40, torch.Generator().manual_seed(seed))
        pair, raw = cache.pair(3), batch.raw[0].numpy()
        [first] = [b for b, e in enumerate(pair.edges[:-1]) if np.array_equal(pair.raw[e : e + len(raw)], raw)]
        last = first + batch.labels.shape[1]
        starts.add(first)
        assert pair.edges[last] - pair.edges[first] == len(raw) <= 40
        assert last == len(pair.labels) or pair.edges[last + 1] - pair.edges[first] > 40
        np.testing.assert_array_equal(batch.labels[0], pair.labels[first:last])
        np.testing.assert_array_equal(batch.target[0], pair.target[pair.edges[first] : pair.edges[last]])
        np.testing.assert_array_equal(batch.frame_labels[0], np.repeat(pair.labels, np.diff(pair.edges))[
            pair.edges[first] : pair.edges[last]
        ])  # fmt: skip
    assert {0, last_start} <= starts and len(starts) > 10
    assert draw_batch(cache, [3], 10_000).raw.shape[1] == len(cache.pair(3).raw)


def test_padding_is_told_from_what_is_there(cache):
    batch = batch_of([(cache.pair(0), (0, 4)), (cache.pair(1), (2, 10))])
    pair = cache.pair(0)
    n_frames = pair.edges[4]
    assert batch.labels.shape == (2, 8) and batch.raw.shape[1] > n_frames
    np.testing.assert_array_equal(batch.frame_mask.sum(dim=1)[0], n_frames)
    np.testing.assert_array_equal(batch.beat_mask.sum(dim=1), [4, 8])
    assert (batch.labels[0, 4:] == Label.PAD).all() and (batch.frame_labels[0, n_frames:] == Label.PAD).all()
    for name in ("raw", "target"):
        assert not getattr(batch, name)[0, n_frames:].any()
    assert not batch.plays[0, 4:].any() and not batch.seconds[0, 4:].any()
    np.testing.assert_allclose(batch.seconds[1], cache.pair(1).seconds[2:10])


def test_windows_cover_a_recording_and_overlap(cache):
    pair = cache.pair(0)
    windows = windows_of(pair, 50, overlap_beats=3)
    assert windows[0][0] == 0 and windows[-1][1] == len(pair.labels) and len(windows) > 3
    for (first, last), (following, end) in zip(windows, windows[1:], strict=False):
        assert first < following <= last - 3 and end > last
    assert all(pair.edges[last] - pair.edges[first] <= 50 for first, last in windows)
    parts = own_parts(windows)
    assert [beat for part in parts for beat in range(*part)] == list(range(len(pair.labels)))
    assert all(w[0] <= p[0] < p[1] <= w[1] for p, w in zip(parts, windows, strict=True))
    assert windows_of(pair, 10_000) == [(0, len(pair.labels))]


def test_windows_of_single_beats_go_on_and_a_longer_beat_is_refused():
    edges = np.arange(0, 60, 10)
    assert beat_windows(edges, 10) == [(b, b + 1) for b in range(5)]
    assert own_parts(beat_windows(edges, 10)) == [(b, b + 1) for b in range(5)]
    with pytest.raises(ValueError, match="10 frames, the window has 9"):
        beat_windows(edges, 9)


def test_pooling_averages_beats_and_spreading_undoes_it():
    beat_of_frame = torch.tensor([[0, 0, 1, 1, 1, 2], [0, 1, 3, 3, 3, 3]])
    values = torch.arange(12.0).reshape(2, 6, 1)
    pooled = pool(values, beat_of_frame, 3)
    torch.testing.assert_close(pooled[..., 0], torch.tensor([[0.5, 3.0, 5.0], [6.0, 7.0, 0.0]]))
    labels = torch.tensor([[4, 5, 6], [1, 2, 7]])
    np.testing.assert_array_equal(spread(labels, beat_of_frame), [[4, 4, 5, 5, 5, 6], [1, 2, 7, 7, 7, 7]])
