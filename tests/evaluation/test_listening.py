import functools
import hashlib
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import matplotlib.image
import numpy as np
import pytest

from soundgate.audio.io import write_audio
from soundgate.audio.mel import MelSettings
from soundgate.evaluation.listening.mel_picture import mel_picture
from soundgate.evaluation.listening.page import Card, write_page
from soundgate.runtime.errors import FormatError
from tests.browser import browser_page, needs_chromium, wait_on

NASTY = "<script>window.broken = true</script>"


def mel(band, n_frames=256):
    mel = np.full((96, n_frames), -80, np.float16)
    mel[band] = 0
    return mel


def write_tone(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, (0.5 * np.sin(np.arange(2400) * 0.3)).astype(np.float32), 8000)


@pytest.fixture
def pack(tmp_path):
    """Three samples; the first has an evil name, spaces and signs in its files and no true target."""
    cards = []
    for number, name in enumerate(["a b#1?", "two", "three"]):
        players = {label: f"{label.lower()}/{name}.wav" for label in ("Source", "Transferred", "True target")}
        for file in players.values():
            write_tone(tmp_path / file)
        mel_picture(tmp_path / f"{name}.png", {"source": mel(10), "transferred": mel(40)})
        (tmp_path / f"{name}.json").write_text("{}")
        cards.append(
            Card(
                NASTY if number == 0 else name,
                {"Path": ("mel", "codec", "mel")[number], "To": ("hip&hop", "classical", "")[number]},
                {"mps": (0.91234, 0.85, 0.99)[number], "mel_distance": (3.0, np.nan, 1.0)[number]},
                players | ({"True target": ""} if number == 0 else {}),
                f"{name}.png",
                {"facts": f"{name}.json"},
            )
        )
    return tmp_path, cards


@pytest.fixture
def served(pack):
    folder, cards = pack
    write_page(folder, cards, "Pack of <run1>", {"profile": "tiny & small", "mean mps": 0.917446, "clips": 3})

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def page():
    with browser_page() as page:
        yield page
        assert not page.thrown


def shown(page):
    return [name.inner_text() for name in page.locator("article:visible h2").all()]


def loaded(page):
    """Scroll past every clip; return the sizes of pictures and the lengths of sounds once all are there."""
    for article in page.locator("article").all():
        article.scroll_into_view_if_needed()
    ready = "all => all.every((a) => a.tagName === 'IMG' ? a.complete : a.readyState >= 1 || a.error)"
    wait_on(page, lambda: page.eval_on_selector_all("audio, img", ready), "pictures and sounds")
    return (
        page.eval_on_selector_all("img", "all => all.map((image) => image.naturalWidth)"),
        page.eval_on_selector_all("audio", "all => all.map((audio) => audio.duration)"),
    )


@needs_chromium
@pytest.mark.parametrize("from_disk", [False, True])
def test_every_player_and_picture_loads(page, served, pack, from_disk):
    page.goto(f"file://{pack[0]}/index.html" if from_disk else served)
    widths, durations = loaded(page)
    assert len(widths) == 3 and min(widths) > 0
    assert durations == [pytest.approx(0.3, abs=0.01)] * 8


@needs_chromium
def test_names_are_text_and_numbers_are_readable(page, served):
    page.goto(served)
    assert page.title() == "Pack of <run1>" == page.inner_text("h1")
    assert page.evaluate("window.broken") is None
    first, second, _ = page.locator("article").all()
    assert first.locator("h2").inner_text() == NASTY
    assert first.locator(".kind").all_inner_texts() == ["Path mel", "To hip&hop"]
    assert first.locator("figcaption").all_inner_texts() == ["Source", "Transferred"]
    assert second.locator("figcaption").all_inner_texts()[-1] == "True target"
    assert first.locator("dl").inner_text().split() == ["mps", "0.9123", "mel_distance", "3"]
    assert second.locator("dl").inner_text().split() == ["mps", "0.85", "mel_distance", "–"]
    assert page.locator("header dl").inner_text().split("\n")[:2] == ["profile", "tiny & small"]


@needs_chromium
def test_filters_search_and_sorting_choose_and_order(page, served):
    page.goto(served)
    assert page.inner_text("#shown") == "3 of 3 samples" and shown(page) == [NASTY, "two", "three"]
    page.select_option("[data-filter=Path]", label="mel")
    assert shown(page) == [NASTY, "three"]
    page.select_option("[data-filter=To]", label="(none)")
    assert shown(page) == ["three"]
    page.select_option("[data-filter=Path]", label="codec")
    assert shown(page) == [] and page.is_visible("#none")
    page.select_option("[data-filter=Path]", label="all")
    page.select_option("[data-filter=To]", label="all")
    page.fill("#search", "HIP&")
    assert shown(page) == [NASTY] and page.inner_text("#shown") == "1 of 3 samples"
    page.fill("#search", "")
    page.select_option("#sort", "mps")
    assert shown(page) == ["two", NASTY, "three"]
    page.select_option("#order", "-1")
    assert shown(page) == ["three", NASTY, "two"]
    page.select_option("#sort", "mel_distance")
    assert shown(page) == [NASTY, "three", "two"], "what has no value comes last"
    page.select_option("#sort", "")
    assert shown(page) == [NASTY, "two", "three"]


@needs_chromium
def test_one_player_at_a_time(page, served):
    page.goto(served)
    paused = page.evaluate("""async () => {
        const [one, other] = document.querySelectorAll("audio");
        one.loop = true;
        await one.play();
        await other.play();
        return [one.paused, one.currentTime >= 0];
    }""")
    assert paused == [True, True]


def test_the_same_cards_give_the_same_page_and_no_link_leaves_the_folder(pack):
    folder, cards = pack
    write_page(folder, cards, "t", {})
    first = (folder / "index.html").read_bytes()
    write_page(folder, cards, "t", {}, "samples.html")
    assert (folder / "samples.html").read_bytes() == first
    assert b"://" not in first and str(folder).encode() not in first and b'src="/' not in first
    assert b'href="a%20b%231%3F.json"' in first


@pytest.mark.parametrize("file", ["gone.wav", "../outside.wav", "/etc/passwd"])
@pytest.mark.parametrize("part", ["players", "links", "picture"])
def test_a_file_that_is_not_in_the_pack_is_an_error(pack, file, part):
    folder, cards = pack
    cards[1] = replace(cards[1], **{part: file if part == "picture" else {"x": file}})
    with pytest.raises(FormatError, match="files of the page's own folder"):
        write_page(folder, cards, "t", {})
    assert not (folder / "index.html").exists()


def test_a_page_without_samples_and_repeated_names_are_errors(pack):
    folder, cards = pack
    with pytest.raises(FormatError, match="samples to listen to"):
        write_page(folder, [], "t", {})
    with pytest.raises(FormatError, match="distinct names"):
        write_page(folder, [cards[0], cards[0]], "t", {})


def test_a_picture_shows_each_mel_with_its_loud_band_where_it_belongs(tmp_path):
    mel_picture(tmp_path / "p.png", {"low": mel(5), "high": mel(90), "short": mel(48, 128)})
    picture = matplotlib.image.imread(tmp_path / "p.png")[..., :3].astype(float)
    light = np.array([252, 253, 191]) / 255  # magma's loudest
    is_loud = np.abs(picture - light).max(axis=2) < 0.02
    height, width = is_loud.shape
    # Left of the colour bar, which has that colour too.
    rows = {column: np.flatnonzero(is_loud[:, int(column * width)]).mean() for column in (0.2, 0.45, 0.65)}
    assert rows[0.2] > rows[0.65] > rows[0.45]
    assert rows[0.65] == pytest.approx((rows[0.2] * 42 + rows[0.45] * 43) / 85, abs=2)


def test_a_pictures_bytes_depend_on_the_mels_alone(tmp_path):
    hashes = set()
    for name in ("a.png", "deep/b.png"):
        mel_picture(tmp_path / name, {"x": mel(3)})
        content = (tmp_path / name).read_bytes()
        hashes.add(hashlib.sha256(content).hexdigest())
        assert b"Software" not in content
    assert len(hashes) == 1


def test_a_mel_of_another_shape_is_an_error(tmp_path):
    with pytest.raises(FormatError, match=r"mels \[96, F\]; found x: shape \(64, 5\)"):
        mel_picture(tmp_path / "p.png", {"x": np.zeros((64, 5))})
    with pytest.raises(FormatError, match="found none"):
        mel_picture(tmp_path / "p.png", {})
    mel_picture(tmp_path / "p.png", {"x": np.zeros((64, 5))}, MelSettings(n_mels=64))


def test_titles_may_hold_whatever_names_of_files_hold(tmp_path):
    mel_picture(tmp_path / "p.png", {"$a_b$ {": mel(5), "caf\udce9\x1b": mel(5), "$\\frac{": mel(5)})
    assert (tmp_path / "p.png").stat().st_size > 1000
