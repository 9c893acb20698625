import hashlib
import multiprocessing
import re
import socket
import subprocess

import pytest
from click.testing import CliRunner

from soundgate.cli import main
from soundgate.runtime.errors import ConfigError, FormatError
from soundgate.tracks.transfer.triage.clips import file_inside, read_listing, session_order
from soundgate.tracks.transfer.triage.session import Session
from tests.waiting import LIMIT_S

from .triage_clips import command, options, read_rows, write_clips, write_rows, write_tone


def listing_of(folder, **others):
    return read_listing(write_clips(folder, **others), "fake_wav", folder / "base")


def opened(folder, listing, name="first", **others):
    return Session(name, listing, folder / "triage", **others)


def paths(clips):
    return [clip.path for clip in clips]


def test_paths_that_lead_out_of_the_base_folder_are_unusable_rows(tmp_path):
    write_tone(tmp_path / "secret.wav")
    (tmp_path / "base").mkdir()
    (tmp_path / "base/link.wav").symlink_to(tmp_path / "secret.wav")
    (tmp_path / "base/out").symlink_to(tmp_path)
    (tmp_path / "base/loop").symlink_to("loop")
    inside = str(tmp_path / "base/tones/tone1.wav")
    extra = ["../secret.wav", "/etc/passwd", "link.wav", "out/secret.wav", "tones/../../secret.wav", "", " ", ".",
             "tones/../tones/tone0.wav", inside, "a\nb.wav", "x\x1b[2J.wav", "gone.wav", "loop/x.wav"]  # fmt: skip
    listing = listing_of(tmp_path, n=2, extra=extra)
    problems = {clip.path: clip.problem for clip in listing.clips}
    outside = "outside the base folder"
    assert problems == {
        "tones/tone0.wav": "", "tones/tone1.wav": "", "gone.wav": "", "loop/x.wav": "",
        "../secret.wav": outside, "/etc/passwd": outside, "link.wav": outside, "out/secret.wav": outside,
        "tones/../../secret.wav": outside, ".": outside, "": "no path", " ": "no path",
        "tones/../tones/tone0.wav": "the file of row 1 again", inside: "the file of row 2 again",
        "a\nb.wav": "control characters in the path", "x\x1b[2J.wav": "control characters in the path",
    }  # fmt: skip
    assert len(listing.unusable) == 12


def test_a_name_that_only_starts_like_the_base_folder_is_outside(tmp_path):
    (tmp_path / "base").mkdir()
    write_tone(tmp_path / "base2/a.wav")
    base = (tmp_path / "base").resolve()
    assert file_inside(base, "../base2/a.wav") is None
    assert file_inside(base, "./x/../a.wav") == base / "a.wav"


def test_the_order_belongs_to_the_session_and_is_not_the_tables(tmp_path):
    rows = [[str(number), f"t{number:03d}.wav", "x"] for number in range(200)]
    (tmp_path / "base").mkdir()
    write_rows(tmp_path / "t.csv", rows)
    listing = read_listing(tmp_path / "t.csv", "fake_wav", tmp_path / "base")
    one, again, other = (paths(session_order(listing.clips, name)) for name in ("one", "one", "other"))
    assert one == again and sorted(one) == paths(listing.clips)
    assert one != other and one != sorted(one)
    # An independent order shares about one place in 200 with another.
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 8


def test_rows_added_to_the_table_leave_the_order_of_the_others(tmp_path):
    before = paths(session_order(listing_of(tmp_path, n=6).clips, "s"))
    after = paths(session_order(listing_of(tmp_path, n=9).clips, "s"))
    assert [path for path in after if path in before] == before


def test_the_tables_own_ids_are_used_where_they_are_distinct(tmp_path):
    assert [clip.clip_id for clip in listing_of(tmp_path, n=2).clips] == ["c0", "c1"]
    write_rows(tmp_path / "t.csv", [["same", "tones/tone0.wav", "x"], ["same", "tones/tone1.wav", "x"]])
    clips = read_listing(tmp_path / "t.csv", "fake_wav", tmp_path / "base").clips
    assert [clip.clip_id for clip in clips] == [
        hashlib.sha256(f"tones/tone{number}.wav".encode()).hexdigest()[:12] for number in range(2)
    ]


def test_what_was_skipped_comes_back_at_the_end_the_oldest_first(tmp_path):
    session = opened(tmp_path, listing_of(tmp_path))
    first, second, third, fourth = session.queue
    for clip, decision in ((first, "skip"), (second, "accept"), (third, "skip")):
        assert session.upcoming() == [clip]
        session.decide(clip, decision)
    assert session.upcoming(9) == [fourth, first, third]
    session.decide(fourth, "reject")
    session.decide(first, "skip")
    assert session.upcoming(9) == [third, first]
    session.decide(third, "accept")
    session.decide(first, "accept")
    assert session.upcoming() == []
    assert session.counts() == {"undecided": 0, "accept": 3, "reject": 1, "skip": 0, "total": 4, "unusable": 0}


def test_a_session_goes_on_where_it_stood_and_a_later_decision_counts(tmp_path):
    listing = listing_of(tmp_path)
    session = opened(tmp_path, listing)
    first, second, third, fourth = session.queue
    session.decide(first, "accept")
    session.decide(second, "skip")
    session.decide(first, "reject")
    session.close()
    again = opened(tmp_path, listing)
    assert again.upcoming(9) == [third, fourth, second]
    assert [again.state(clip) for clip in again.queue] == ["reject", "skip", "undecided", "undecided"]
    lines = (tmp_path / "triage/first/decisions.csv").read_text().splitlines()
    assert lines[0] == "time,clip_id,path,decision" and len(lines) == 4
    assert lines[3].split(",")[1:] == [first.clip_id, first.path, "reject"]


def test_a_cut_at_any_byte_loses_no_finished_decision(tmp_path):
    listing = listing_of(tmp_path, n=3)
    session = opened(tmp_path, listing)
    for clip, decision in zip(session.queue, ("accept", "reject"), strict=False):
        session.decide(clip, decision)
    session.close()
    log = tmp_path / "triage/first/decisions.csv"
    whole = log.read_bytes()
    for length in range(len(whole) + 1):
        log.write_bytes(whole[:length])
        finished = max(0, whole[:length].count(b"\n") - 1)
        again = opened(tmp_path, listing)
        states = [again.state(clip) for clip in again.queue]
        assert states == ["accept", "reject"][:finished] + ["undecided"] * (3 - finished)
        again.decide(again.queue[2], "accept")
        again.close()
        kept = [row["decision"] for row in read_rows(log)]
        assert kept == ["accept", "reject"][:finished] + ["accept"]


def test_a_damaged_line_is_named(tmp_path):
    listing = listing_of(tmp_path)
    opened(tmp_path, listing).close()
    log = tmp_path / "triage/first/decisions.csv"
    log.write_text(log.read_text() + "2026,c1,tones/tone1.wav,maybe\n")
    with pytest.raises(FormatError, match=r"decisions.csv, line 2: .*maybe"):
        opened(tmp_path, listing)


def test_the_lists_are_rows_of_the_table_in_its_order(tmp_path):
    session = opened(tmp_path, listing_of(tmp_path, n=3, extra=["../x.wav"]))
    for clip in session.queue:
        session.decide(clip, "reject" if clip.clip_id == "c1" else "accept")
    written = {path.name: read_rows(path) for path in session.close()}
    assert written["accepted.csv"] == [
        {"clip_id": name, "fake_wav": f"tones/tone{name[1]}.wav", "target_genre": "lofi"} for name in ("c0", "c2")
    ]
    assert [row["clip_id"] for row in written["rejected.csv"]] == ["c1"]
    assert written["unusable.csv"] == [{"row": "4", "path": "../x.wav", "reason": "outside the base folder"}]


def test_max_clips_is_a_part_of_the_same_order(tmp_path):
    listing = listing_of(tmp_path, n=6)
    few = opened(tmp_path, listing, max_clips=2)
    few.decide(few.queue[0], "accept")
    few.close()
    every = opened(tmp_path, listing)
    assert every.queue[:2] == few.queue and len(every.queue) == 6
    assert every.counts()["accept"] == 1


def _hold(folder, ready, done):
    session = opened(folder, read_listing(folder / "clips.csv", "fake_wav", folder / "base"))
    ready.set()
    done.wait(LIMIT_S)
    session.close()


def test_a_session_open_elsewhere_is_refused(tmp_path):
    listing = listing_of(tmp_path)
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, done), daemon=True)
    holder.start()
    try:
        assert ready.wait(LIMIT_S)
        with pytest.raises(ConfigError, match="another process at work on it"):
            opened(tmp_path, listing)
        opened(tmp_path, listing, name="second").close()
    finally:
        done.set()
        holder.join()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 101, "a b"])
def test_a_session_name_is_no_path(tmp_path, name):
    with pytest.raises(ConfigError, match="--session-name"):
        opened(tmp_path, listing_of(tmp_path), name=name)
    assert not (tmp_path / "triage").exists()


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (b"clip_id,fake_wav\nc0,tones/tone0.wav\n", "true_wav", "--path-col: .*clip_id, fake_wav.*'true_wav'"),
        (b"", "fake_wav", "FormatError: .*an empty file"),
        (b"\xff\xfe\x00", "fake_wav", "FormatError: .*UTF-8"),
        (b'fake_wav\n"open', "fake_wav", "FormatError: .*unexpected end of data"),
        (b"fake_wav\n", "fake_wav", "ConfigError: .*no row"),
        (b"fake_wav\n../up.wav\n", "fake_wav", "ConfigError: .*outside the base folder"),
    ],
)
def test_a_wrong_table_is_one_clear_line(tmp_path, content, column, message):
    write_clips(tmp_path)
    (tmp_path / "clips.csv").write_bytes(content)
    done = CliRunner().invoke(main, ["triage", *options(tmp_path, "--path-col", column)])
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1
    assert re.search(message, done.output)


def test_a_row_of_another_width_is_unusable_and_a_byte_order_mark_is_none_of_the_header(tmp_path):
    write_clips(tmp_path, n=1)
    (tmp_path / "clips.csv").write_bytes(b"\xef\xbb\xbffake_wav,genre\ntones/tone0.wav,lofi\na.wav\nb.wav,x,y\n\n")
    clips = read_listing(tmp_path / "clips.csv", "fake_wav", tmp_path / "base").clips
    assert [clip.problem for clip in clips] == ["", *(f"{n} cells in a table of 2 columns" for n in (1, 3))]


def test_a_taken_port_is_one_clear_line(tmp_path):
    write_clips(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(command(tmp_path, "--port", port), capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 1
    assert done.stderr.strip().startswith(f"ConfigError: --port: expected a free port; found {port}")
