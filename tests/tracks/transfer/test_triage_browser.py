import csv
import json
import re
import signal

import pytest

from tests.browser import browser_page, needs_chromium, wait_on
from tests.waiting import LIMIT_S

from .triage_clips import Here, Served, read_rows, write_clips, write_rows, write_tone

pytestmark = needs_chromium
READY = "#clip:not([data-ready=''])"


@pytest.fixture(scope="module")
def page():
    with browser_page() as page:
        yield page
        assert not page.thrown


def shown(page, other_than=None):
    """Wait until a clip is on show, drawn and playing or found broken; return its id."""
    suffix = f":not([data-ready='{other_than}'])" if other_than else ""
    return page.wait_for_selector(READY + suffix).get_attribute("data-ready")


def opened(page, served):
    page.goto(served.url)
    return shown(page)


def press(page, key):
    before = shown(page)
    page.keyboard.press(key)
    return shown(page, other_than=before)


def decided(folder):
    return [(row["clip_id"], row["decision"]) for row in read_rows(folder / "triage/first/decisions.csv")]


def playing(page):
    return page.eval_on_selector("#audio", "audio => [audio.currentTime, audio.paused, audio.duration]")


def wait_for(page, selector, condition):
    wait_on(page, lambda: page.eval_on_selector(selector, condition), condition)


def test_each_key_does_what_it_says(page, tmp_path):
    write_clips(tmp_path, n=4)
    with Served(tmp_path) as served:
        first = opened(page, served)
        second = press(page, "a")
        third = press(page, "s")
        fourth = press(page, "R")
        assert len({first, second, third, fourth}) == 4
        assert decided(tmp_path) == [(first, "accept"), (second, "skip"), (third, "reject")]
        assert press(page, "a") == second, "what was skipped comes back at the end"
        assert page.inner_text("#counts").startswith("3 of 4 done · 2 accepted · 1 rejected · 1 skipped")
        page.keyboard.press("q")
        page.wait_for_selector("#finished-title:has-text('Session ended')")
        assert served.process.wait(LIMIT_S) == 0
    assert {row["clip_id"] for row in read_rows(tmp_path / "triage/first/accepted.csv")} == {first, fourth}
    assert {row["clip_id"] for row in read_rows(tmp_path / "triage/first/rejected.csv")} == {third}


def test_a_clip_plays_by_itself_and_o_plays_it_again(page, tmp_path):
    write_clips(tmp_path, n=1, duration_s=30)
    with Here(tmp_path) as served:
        opened(page, served)
        wait_for(page, "#audio", "audio => audio.currentTime > 1")
        assert playing(page)[1:] == [False, pytest.approx(30, abs=0.01)]
        assert page.eval_on_selector("#playhead", "line => parseFloat(line.style.left.slice(5)) > 2")
        page.keyboard.press("o")
        assert playing(page)[0] < 0.9
        page.eval_on_selector("#audio", "audio => audio.pause()")
        page.keyboard.press("o")
        wait_for(page, "#audio", "audio => !audio.paused && audio.currentTime > 0.2")
        assert decided(tmp_path) == []


def test_a_click_into_the_waveform_plays_from_there(page, tmp_path):
    write_clips(tmp_path, n=1, duration_s=30)
    with Here(tmp_path) as served:
        opened(page, served)
        wait_for(page, "#audio", "audio => audio.duration > 0")
        box = page.locator("#waveform").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
        wait_for(page, "#audio", "audio => audio.currentTime > 15")
        assert playing(page)[0] < 18


def test_waveform_and_spectrogram_are_drawn(page, tmp_path):
    write_clips(tmp_path, n=1)
    colours = """canvas => new Set(new Uint32Array(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    with Here(tmp_path) as served:
        opened(page, served)
        wait_for(page, "#spectrogram", f"canvas => ({colours})(canvas) > 50")
        assert page.eval_on_selector("#waveform", colours) >= 3
        # A tone of 300 Hz: the loudest row is low in the picture, and at its label.
        row = page.eval_on_selector("#spectrogram", """canvas => {
            const { data } = canvas.getContext("2d").getImageData(canvas.width / 2, 0, 1, canvas.height);
            const light = Array.from({ length: canvas.height }, (_, y) => data[4 * y] + data[4 * y + 1]);
            return light.indexOf(Math.max(...light)) / canvas.height;
        }""")  # fmt: skip
        label = page.eval_on_selector("#ticks span:nth-child(2)", "tick => [tick.textContent, tick.style.bottom]")
        assert label[0] == "300 Hz" and 1 - row == pytest.approx(float(label[1][:-1]) / 100, abs=0.02)


def test_buttons_do_the_same_and_show_their_keys(page, tmp_path):
    write_clips(tmp_path, n=3)
    with Here(tmp_path) as served:
        first = opened(page, served)
        for key, word in zip("arsoq", ("Accept", "Reject", "Skip", "Replay", "Quit"), strict=True):
            button = page.get_by_role("button", name=f"{word} {key}")
            assert button.is_visible() and button.locator("kbd").inner_text() == key
        page.get_by_role("button", name="Reject r").click()
        second = shown(page, other_than=first)
        page.get_by_role("button", name="Skip s").click()
        shown(page, other_than=second)
        page.get_by_role("button", name="Quit q").click()
        page.wait_for_selector("#finished-title:has-text('Session ended')")
        assert decided(tmp_path) == [(first, "reject"), (second, "skip")]


def test_typing_a_search_and_holding_a_key_decide_nothing(page, tmp_path):
    write_clips(tmp_path, n=3)
    with Here(tmp_path) as served:
        first = opened(page, served)
        page.locator("#search").press_sequentially("arsoq")
        page.wait_for_selector("#listed:has-text('0 rows')")
        page.fill("#search", "tone2")
        page.wait_for_selector("#listed:has-text('1 row')")
        page.click("h1")
        page.keyboard.press("Control+a")
        assert decided(tmp_path) == []
        page.keyboard.down("a")
        page.keyboard.down("a")  # the repeat of a key held down
        page.keyboard.up("a")
        shown(page, other_than=first)
        assert decided(tmp_path) == [(first, "accept")]


def test_a_killed_server_goes_on_where_it_stood(page, tmp_path):
    write_clips(tmp_path, n=4)
    with Served(tmp_path) as served:
        first = opened(page, served)
        second = press(page, "a")
        third = press(page, "r")
        served.process.send_signal(signal.SIGKILL)
        assert served.process.wait(LIMIT_S) == -signal.SIGKILL
        page.keyboard.press("s")
        page.wait_for_selector("#message.bad:has-text('does not answer')")
        assert shown(page) == third
    log = tmp_path / "triage/first/decisions.csv"
    log.write_bytes(log.read_bytes() + b"2026-01-01T00:00:00+00:00,c1,tones/to")  # killed within a line
    with Served(tmp_path) as served:
        assert "4 clips, 1 accepted, 1 rejected, 0 skipped, 2 undecided" in served.said[0]
        assert opened(page, served) == third
        assert decided(tmp_path) == [(first, "accept"), (second, "reject")]
        press(page, "a")
    assert decided(tmp_path)[2:] == [(third, "accept")]


@pytest.mark.parametrize("sound_first", [True, False])
def test_a_clip_that_does_not_play_hides_no_word_of_the_server(page, tmp_path, sound_first):
    write_clips(tmp_path, n=2)
    held = []
    with Here(tmp_path) as served:
        page.route("**/api/audio*", lambda route: held.append(route))
        opened(page, served)
        page.route("**/api/decisions*", lambda route: route.abort())
        if sound_first:
            held.pop().abort()
            page.wait_for_selector("#broken:has-text('cannot be heard: it does not play')")
        page.keyboard.press("s")
        page.wait_for_selector("#message.bad:has-text('does not answer')")
        if not sound_first:
            held.pop().abort()
            page.wait_for_selector("#broken:has-text('cannot be heard: it does not play')")
        assert page.is_visible("#message.bad:has-text('does not answer')")
        assert not page.is_enabled("#clip [data-key=a]"), "what was not heard is not accepted"
        page.unroute_all()


def test_broken_and_missing_clips_are_said_and_skipped(page, tmp_path):
    write_clips(tmp_path, n=1, extra=["gone.wav", "broken.wav", "../out.wav"])
    (tmp_path / "base/broken.wav").write_bytes(b"no audio at all")
    with Here(tmp_path) as served:
        opened(page, served)
        problems = {}
        for _ in range(3):
            path = page.inner_text("#path")
            problems[path] = page.inner_text("#broken") if page.is_visible("#broken") else ""
            assert page.is_enabled("#clip [data-key=a]") == (not problems[path])
            press(page, "s")
        assert problems.pop("tones/tone0.wav") == "" and set(problems) == {"gone.wav", "broken.wav"}
        assert "cannot be heard: missing" in problems["gone.wav"] and "unreadable" in problems["broken.wav"]
        assert "1 unusable rows" in page.inner_text("#counts")
        page.select_option("#filter", "unusable")
        page.wait_for_selector("#rows button[disabled]:has-text('../out.wav: outside the base folder')")


def test_no_page_of_another_origin_and_no_path_reaches_a_file(page, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "base/link.wav").symlink_to(tmp_path / "secret.wav")
    write_clips(tmp_path, n=1, extra=["../secret.wav", "/etc/passwd", "link.wav"])
    with Here(tmp_path) as served:
        opened(page, served)
        fetched = """async (url) => { const answer = await fetch(url); return [answer.status, await answer.text()]; }"""
        for url in ("/../secret.wav", "/%2e%2e/secret.wav", "/static/%2e%2e/session.py", "/etc/passwd",
                    "/api/audio?id=../secret.wav", "/api/audio?id=%2e%2e/secret.wav"):  # fmt: skip
            assert page.evaluate(fetched, url)[0] == 404
        for clip_id in ("c1", "c2", "c3"):
            status, text = page.evaluate(fetched, f"/api/audio?id={clip_id}")
            assert status == 403 and json.loads(text) == {"error": "outside the base folder"}
        page.goto("data:text/html,<title>elsewhere</title>")
        body = json.dumps({"clip_id": "c0", "decision": "accept"})
        for kind in ("application/json", "text/plain"):
            sent = "async ([url, body, kind]) => { try { await fetch(url, { method: 'POST', body, mode: kind === 'text/plain' ? 'no-cors' : 'cors', headers: { 'Content-Type': kind } }); } catch {} }"  # noqa: E501
            page.evaluate(sent, [f"{served.url}api/decisions", body, kind])
        assert decided(tmp_path) == []


def test_ten_thousand_clips_are_listed_a_screen_at_a_time(page, tmp_path):
    write_clips(tmp_path, n=1)
    with open(tmp_path / "clips.csv", "a", newline="") as file:
        csv.writer(file).writerows([[f"c{n}", f"deep/folder/clip{n:05d}.wav", "lofi"] for n in range(1, 10_000)])
    answers = []
    page.on("response", lambda response: answers.append(response) if "/api/clips" in response.url else None)
    with Here(tmp_path) as served:
        opened(page, served)
        page.wait_for_selector("#listed:has-text('10,000 rows')")
        assert 10 < page.locator("#rows li").count() < 60
        page.eval_on_selector("#list", "list => { list.scrollTop = list.scrollHeight; }")
        page.wait_for_selector("#rows button:has-text('10000')")
        assert page.locator("#rows li").count() < 60
        assert 2 <= len(answers) <= 4 and all(len(answer.json()["clips"]) <= 100 for answer in answers)
        page.fill("#search", "clip04321")
        page.wait_for_selector("#listed:has-text('1 row')")
        page.locator("#rows button").click()
        page.wait_for_selector("#clip[data-ready=c4321]")
        assert page.inner_text("#path") == "deep/folder/clip04321.wav"
        press(page, "r")
        assert decided(tmp_path) == [("c4321", "reject")]


# Clips that can be compared: with columns of styles, paths, scores and references.
COMPARED = ["clip_id", "fake_wav", "path_kind", "source_genre", "target_genre", "sf", "source_wav", "true_wav"]


def write_compared(folder):
    """Write four clips of two pairs and two paths, a source and a target beside each."""
    write_clips(folder, n=4, duration_s=20)
    for name, hz in (("source", 500.0), ("target", 700.0)):
        write_tone(folder / f"base/{name}.wav", hz, 20)
    rows = [
        [f"c{n}", f"tones/tone{n}.wav", "codec" if n % 2 else "mel", "lofi", "classical" if n < 2 else "hiphop",
         str([0.5, 0.25, 0.75, 0.1][n]), "source.wav", "target.wav"]
        for n in range(4)
    ]  # fmt: skip
    write_rows(folder / "clips.csv", rows, COMPARED)


def step_to(page, key):
    before = shown(page)
    page.keyboard.press(key)
    return shown(page, other_than=before)


@pytest.mark.parametrize("key", ["u", "z"])
def test_undo_takes_the_last_decision_back_and_shows_its_clip(page, tmp_path, key):
    write_clips(tmp_path, n=3)
    with Here(tmp_path) as served:
        first = opened(page, served)
        second = press(page, "a")
        press(page, "r")
        assert step_to(page, key) == second and page.inner_text("#counts").startswith("1 of 3 done")
        assert step_to(page, key) == first and page.inner_text("#counts").startswith("0 of 3 done")
        page.keyboard.press(key)
        page.wait_for_selector("#message.bad:has-text('nothing to undo')")
        assert press(page, "r") == second
        assert [decision for _, decision in decided(tmp_path)] == ["accept", "reject", "undo", "undo", "reject"]


def test_arrows_walk_the_list_and_decide_nothing(page, tmp_path):
    write_clips(tmp_path, n=3)
    with Here(tmp_path) as served:
        order = [clip.clip_id for clip in served.session.queue]
        assert opened(page, served) == order[0]
        assert [step_to(page, "ArrowRight"), step_to(page, "ArrowRight")] == order[1:]
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#message:has-text('last clip')")
        assert step_to(page, "ArrowLeft") == order[1] and decided(tmp_path) == []


def test_space_pauses_and_goes_on(page, tmp_path):
    write_clips(tmp_path, n=1, duration_s=30)
    with Here(tmp_path) as served:
        opened(page, served)
        wait_for(page, "#audio", "audio => audio.currentTime > 0.3")
        page.keyboard.press("Space")
        at, paused, _ = playing(page)
        assert paused
        page.keyboard.press("Space")
        wait_for(page, "#audio", f"audio => !audio.paused && audio.currentTime > {at + 0.1}")


def test_comparison_goes_on_at_the_same_moment_at_the_same_loudness(page, tmp_path):
    write_compared(tmp_path)
    with Here(tmp_path) as served:
        opened(page, served)
        wait_for(page, "#audio", "audio => audio.currentTime > 0.5")
        for key, voice in (
            ("b", "source"),
            ("b", "target"),
            ("b", "clip"),
            ("2", "source"),
            ("3", "target"),
            ("1", "clip"),
        ):
            page.keyboard.press(key)
            page.wait_for_selector(f"#voices [data-voice={voice}][aria-pressed=true]")
            wait_for(page, "#audio", f"audio => audio.src.endsWith('voice={voice}') && audio.currentTime > 0.5")
        assert decided(tmp_path) == []


def test_the_list_is_narrowed_and_sorted_and_the_walk_follows(page, tmp_path):
    write_compared(tmp_path)
    with Here(tmp_path) as served:
        opened(page, served)
        listed = "rows => [...rows.querySelectorAll('button')].map(row => row.dataset.id)"
        page.select_option("#pair", "lofi → hiphop")
        page.wait_for_selector("#listed:has-text('2 rows')")
        page.select_option("#kind", "codec")
        page.wait_for_selector("#listed:has-text('1 row')")
        assert page.eval_on_selector("#rows", listed) == ["c3"]
        page.select_option("#kind", "")
        page.select_option("#pair", "")
        page.select_option("#sort", label="sf, highest first")
        wait_on(page, lambda: page.eval_on_selector("#rows", listed) == ["c2", "c0", "c1", "c3"], "sorted by sf")
        page.click("#rows [data-id=c2]")
        page.wait_for_selector("#clip[data-ready=c2]")
        page.click("h1")
        assert [step_to(page, "ArrowRight"), step_to(page, "ArrowRight")] == ["c0", "c1"]
        assert press(page, "a") == "c2", "the next undecided one of the list"


def test_tags_and_a_note_are_kept_found_and_exported(page, tmp_path):
    write_clips(tmp_path, n=2)
    with Here(tmp_path) as served:
        first = opened(page, served)
        page.keyboard.press("t")
        page.keyboard.type("drums, clicks drums")
        page.keyboard.press("Enter")
        page.wait_for_selector("#saved:has-text('saved')")
        page.keyboard.press("n")
        page.keyboard.type("a quiet start")
        page.keyboard.press("Enter")
        wait_on(page, lambda: len(read_rows(tmp_path / "triage/first/remarks.csv")) == 2, "the note on disk")
        assert page.input_value("#tags") == "clicks drums" and decided(tmp_path) == []
        page.fill("#tag", "clicks")
        page.wait_for_selector("#listed:has-text('1 row')")
        page.click("#lists")
        page.wait_for_selector("#message:has-text('export.json')")
    (row,) = [row for row in read_rows(tmp_path / "triage/first/export.csv") if row["clip_id"] == first]
    assert (row["tags"], row["note"], row["decision"]) == ("clicks drums", "a quiet start", "undecided")
    written = json.loads((tmp_path / "triage/first/export.json").read_text())
    assert written["clips"] == read_rows(tmp_path / "triage/first/export.csv")


def test_a_blind_session_says_no_name_until_the_export(page, tmp_path):
    write_compared(tmp_path)
    fetched = "url => fetch(url).then(answer => answer.text())"
    with Here(tmp_path, seed=5, blind=True) as served:
        opened(page, served)
        press(page, "a")
        press(page, "r")
        texts = [page.content(), *(page.evaluate(fetched, f"/api/{name}") for name in ("state", "clips"))]
        assert page.inner_text("#path") == "clip 3" and all(texts)
        for hidden in ("tone", "codec", "lofi", "hiphop", "0.75", "c0"):
            assert not any(re.search(rf"\b{hidden}", text) for text in texts)
        queue = [clip.clip_id for clip in served.session.queue]
    rows = read_rows(tmp_path / "triage/first/export.csv")
    assert [(row["number"], row["clip_id"]) for row in rows] == [(str(n), name) for n, name in enumerate(queue, 1)]
    assert [row["decision"] for row in rows] == ["accept", "reject", "undecided", "undecided"]


def test_the_keys_are_shown_and_hidden_by_a_question_mark(page, tmp_path):
    write_clips(tmp_path, n=1)
    with Here(tmp_path) as served:
        opened(page, served)
        page.keyboard.press("?")
        page.wait_for_selector("#help[open]")
        assert [key in page.inner_text("#help") for key in ("undo", "previous and next", "compare", "pause")] == [
            True
        ] * 4
        page.keyboard.press("a")
        page.keyboard.press("?")
        page.wait_for_selector("#help:not([open])", state="attached")
        assert decided(tmp_path) == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 1300), ("dark", 360)])
def test_it_is_readable_light_dark_and_narrow(page, tmp_path, scheme, width):
    write_compared(tmp_path)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    with Here(tmp_path) as served:
        opened(page, served)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        light = """colour => { const [r, g, b] = colour.match(/\\d+/g).map(v => { v /= 255;
            return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; }"""
        contrasts = page.evaluate(f"""() => {{ const light = {light};
            const seen = name => getComputedStyle(document.querySelector(name));
            const paper = light(seen(".card").backgroundColor);
            return ["#path", "#facts dt", "#listed", "#place"].map(name => {{ const ink = light(seen(name).color);
                return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05); }}); }}""")
        assert min(contrasts) >= 4.5, "the contrast that WCAG 2.2 asks of text"
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1300, "height": 900})
