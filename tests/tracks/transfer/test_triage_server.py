import errno
import io
import os
import wave

import numpy as np
import pytest

from soundgate.audio.io import write_audio
from soundgate.tracks.transfer.triage.clips import read_listing
from soundgate.tracks.transfer.triage.listening import (
    BANDS,
    frequency_ticks,
    prepare,
    spectrogram,
    wav_bytes,
    waveform,
)
from soundgate.tracks.transfer.triage.server import PAGE_LIMIT, create_app
from soundgate.tracks.transfer.triage.session import Session

from .triage_clips import RATE, read_rows, write_clips, write_rows, write_tone

ESCAPES = ["../secret.wav", "/etc/passwd", "link.wav"]


@pytest.fixture
def folder(tmp_path):
    write_tone(tmp_path / "secret.wav")
    (tmp_path / "base").mkdir()
    (tmp_path / "base/link.wav").symlink_to(tmp_path / "secret.wav")
    (tmp_path / "base/broken.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEjunk")
    write_clips(tmp_path, n=3, extra=["broken.wav", "gone.wav", "tones", *ESCAPES])
    return tmp_path


@pytest.fixture
def session(folder):
    session = Session("s", read_listing(folder / "clips.csv", "fake_wav", folder / "base"), folder / "triage")
    yield session
    session.close()


@pytest.fixture
def client(session):
    return create_app(session).test_client()


def ids(session):
    return {clip.path: clip.clip_id for clip in session.listing.clips}


def decide(client, clip_id, decision="reject", **options):
    return client.post("/api/decisions", json={"clip_id": clip_id, "decision": decision}, **options)


@pytest.mark.parametrize("route", ["/api/clip", "/api/audio", "/api/spectrogram"])
def test_nothing_outside_the_base_folder_is_served(client, session, route):
    for path in ESCAPES:
        assert client.get(route, query_string={"id": ids(session)[path]}).status_code == 403
    for name in ("../secret.wav", "%2e%2e/secret.wav", "/etc/passwd", "", "c99"):
        assert client.get(route, query_string={"id": name}).status_code == 404
    assert client.get(route).status_code == 404


@pytest.mark.parametrize(
    "url",
    ["/static/../session.py", "/static/%2e%2e/session.py", "/static/..%2fsession.py", "/%2e%2e/%2e%2e/etc/passwd",
     "/static//etc/passwd", "/base/tones/tone0.wav", "/secret.wav"],
)  # fmt: skip
def test_no_url_names_a_file(client, url):
    assert client.get(url, follow_redirects=True).status_code == 404


def test_a_file_turned_into_a_link_after_the_start_is_not_followed_out(client, session, folder):
    tone = folder / "base/tones/tone0.wav"
    assert client.get("/api/audio?id=c0").status_code == 200
    tone.unlink()
    tone.symlink_to(folder / "secret.wav")
    answer = client.get("/api/audio?id=c0")
    assert answer.status_code == 403 and answer.json == {"error": "outside the base folder"}


def test_what_cannot_be_heard_says_why_and_can_be_rejected_or_skipped_but_not_accepted(client, session):
    known = ids(session)
    for path, status, reason in (
        ("gone.wav", 404, "missing"),
        ("tones", 404, "not a file"),
        ("broken.wav", 422, "truncated"),
    ):
        answer = client.get("/api/clip", query_string={"id": known[path]})
        assert answer.status_code == status and reason in answer.json["error"]
        assert decide(client, known[path], "accept").status_code == status
    assert decide(client, known["gone.wav"], "skip").status_code == 200
    assert decide(client, known["broken.wav"], "reject").status_code == 200
    assert session.counts() | {"total": 6} == {
        "undecided": 4, "accept": 0, "reject": 1, "skip": 1, "total": 6, "unusable": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:9", "file://"]
)
@pytest.mark.parametrize("url", ["/api/decisions", "/api/quit", "/api/lists"])
def test_pages_of_other_origins_can_write_nothing(client, session, origin, url):
    body = {"clip_id": "c0", "decision": "accept"}
    answer = client.post(url, json=body, headers={"Origin": origin}, base_url="http://127.0.0.1:5000")
    assert answer.status_code == 403
    assert session.counts()["accept"] == 0 and not (session.folder / "accepted.csv").exists()


def test_its_own_page_and_no_page_at_all_can_write(client, session):
    own = {"Origin": "http://127.0.0.1:5000"}
    assert decide(client, "c0", headers=own, base_url="http://127.0.0.1:5000").status_code == 200
    assert decide(client, "c1").status_code == 200
    assert session.counts()["reject"] == 2


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example:80"])
def test_other_host_names_are_not_answered(client, host):
    for url in ("/", "/api/state", "/api/audio?id=c0", "/static/triage.js"):
        assert client.get(url, headers={"Host": host}).status_code == 403
    assert client.get("/", headers={"Host": "localhost:8000"}).status_code == 200


def test_a_form_of_another_page_cannot_decide(client, session):
    answer = client.post("/api/decisions", data={"clip_id": "c0", "decision": "accept"})
    assert answer.status_code == 415 and session.counts()["undecided"] == 6
    assert client.post("/api/quit", data={}).status_code == 415


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"clip_id": "c0", "decision": "maybe"}, 400),
        ({"clip_id": "c0"}, 400),
        ({"clip_id": "zz", "decision": "accept"}, 404),
        ({"clip_id": 3, "decision": "accept"}, 404),
        ([1], 404),
        ({"clip_id": "c6", "decision": "accept"}, 403),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(client, session, body, status):
    assert client.post("/api/decisions", json=body).status_code == status
    assert session.counts()["undecided"] == 6


def test_a_decision_is_on_the_disk_when_it_is_answered(client, session, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(descriptor):
        real(descriptor)
        synced.append((session.folder / "decisions.csv").read_text().splitlines()[-1])

    monkeypatch.setattr(os, "fsync", fsync)
    answer = decide(client, "c1", "accept")
    (line,) = synced
    assert line.endswith(",c1,tones/tone1.wav,accept")
    assert answer.json["counts"]["accept"] == 1 and answer.json["coming"][0]["clip_id"] != "c1"


def test_a_full_disk_is_said_and_nothing_is_half_written(client, session, monkeypatch):
    before = (session.folder / "decisions.csv").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        answer = decide(client, "c1", "accept")
    assert answer.status_code == 507 and "No space left" in answer.json["error"]
    assert (session.folder / "decisions.csv").read_bytes() == before
    assert session.counts()["undecided"] == 6
    assert decide(client, "c1", "accept").status_code == 200


def test_the_list_comes_in_pages_in_the_sessions_order(tmp_path):
    (tmp_path / "base").mkdir()
    write_rows(tmp_path / "many.csv", [[str(n), f"deep/clip{n:05d}.wav", "x"] for n in range(10_000)])
    session = Session("m", read_listing(tmp_path / "many.csv", "fake_wav", tmp_path / "base"), tmp_path / "triage")
    client = create_app(session).test_client()
    whole = client.get("/api/clips?limit=100000").json
    assert whole["total"] == 10_000 and len(whole["clips"]) == PAGE_LIMIT
    seen = [
        clip["path"]
        for offset in range(0, 10_000, PAGE_LIMIT)
        for clip in client.get(f"/api/clips?offset={offset}").json["clips"]
    ]
    assert seen == [clip.path for clip in session.queue]
    found = client.get("/api/clips?search=CLIP0012&limit=3").json
    assert found["total"] == 10 and len(found["clips"]) == 3
    assert client.get("/api/clips?offset=-5&limit=0").json["clips"] == whole["clips"][:1]
    assert client.get("/api/clips?offset=99999").json["clips"] == []
    session.close()


def test_the_list_is_filtered_by_state(client, session):
    decide(client, "c0", "accept")
    decide(client, "c2", "skip")

    def listed(state):
        return [clip["path"] for clip in client.get(f"/api/clips?state={state}").json["clips"]]

    assert listed("accept") == ["tones/tone0.wav"] and listed("skip") == ["tones/tone2.wav"]
    assert len(listed("undecided")) == 4 and listed("unusable") == ESCAPES


def test_the_lists_are_written_on_demand(client, session):
    decide(client, "c2", "accept")
    written = client.post("/api/lists", json={}).json["written"]
    assert [row["clip_id"] for row in read_rows(written[0])] == ["c2"]


def test_the_audio_is_the_files_in_parts_if_asked(client):
    content = client.get("/api/audio?id=c1").data
    with wave.open(io.BytesIO(content)) as heard:
        assert (heard.getframerate(), heard.getnchannels(), heard.getnframes()) == (RATE, 1, 2 * RATE)
        samples = np.frombuffer(heard.readframes(2 * RATE), "<i2") / (2**15 - 1)
    expected = 0.5 * np.sin(2 * np.pi * 350 * np.arange(2 * RATE) / RATE)
    np.testing.assert_allclose(samples, expected, atol=2**-14)
    part = client.get("/api/audio?id=c1", headers={"Range": "bytes=100-199"})
    assert part.status_code == 206 and part.data == content[100:200]


def test_a_format_no_browser_plays_and_many_channels_are_heard_too(tmp_path):
    quad = np.zeros((4, RATE), np.float32)
    quad[1] = 0.8
    write_audio(tmp_path / "quad.wav", quad, RATE)
    prepared = prepare(tmp_path / "quad.wav")
    with wave.open(io.BytesIO(wav_bytes(prepared))) as heard:
        assert heard.getnchannels() == 1
        assert np.frombuffer(heard.readframes(RATE), "<i2") == pytest.approx(0.2 * 2**15, abs=2)
    assert prepared.channels == 4 and prepared.duration_s == 1.0


def test_a_file_changed_meanwhile_is_decoded_anew(tmp_path):
    write_tone(tmp_path / "a.wav", duration_s=1.0)
    assert prepare(tmp_path / "a.wav").duration_s == 1.0
    write_tone(tmp_path / "a.wav", duration_s=0.5)
    assert prepare(tmp_path / "a.wav").duration_s == 0.5


def test_the_waveform_reaches_what_the_samples_reach(tmp_path):
    wav = np.zeros(RATE, np.float32)
    wav[0], wav[RATE // 2], wav[-1] = 0.5, -0.75, 0.25
    write_audio(tmp_path / "a.wav", wav, RATE)
    shape = np.array(waveform(prepare(tmp_path / "a.wav")))
    assert shape.shape == (900, 2)
    assert shape[0].tolist() == [0, 0.5] and shape[450].tolist() == [-0.75, 0] and shape[-1].tolist() == [0, 0.25]
    assert np.count_nonzero(shape) == 3


@pytest.mark.parametrize("hz", [300, 1000, 3000])
def test_a_tones_line_in_the_spectrogram_lies_at_its_tick(tmp_path, hz):
    write_tone(tmp_path / "a.wav", hz)
    prepared = prepare(tmp_path / "a.wav")
    picture = spectrogram(prepared)
    assert picture.shape[0] == BANDS and picture.max() == 255 and picture.min() == 0
    place = dict(frequency_ticks(prepared))[f"{hz} Hz" if hz < 1000 else f"{hz // 1000} kHz"]
    middle = picture[:, picture.shape[1] // 2]
    assert abs(int(middle.argmax()) - place * (BANDS - 1)) <= 1


def test_a_click_is_seen_when_it_sounds(tmp_path):
    wav = np.full(2 * RATE, 1e-4, np.float32)
    wav[RATE // 2] = 0.9
    write_audio(tmp_path / "a.wav", wav, RATE)
    picture = spectrogram(prepare(tmp_path / "a.wav"))[BANDS // 2].astype(float)
    loud = np.flatnonzero(picture > picture.max() / 2)
    assert loud.mean() / len(picture) == pytest.approx(0.25, abs=0.01)


def test_the_shortest_clip_is_drawn(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([0.5], np.float32), RATE)
    prepared = prepare(tmp_path / "a.wav")
    assert waveform(prepared) == [[0.5, 0.5]] and spectrogram(prepared).shape == (BANDS, 2)
