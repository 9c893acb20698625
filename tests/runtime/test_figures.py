"""Figures are written whole and twice the same; labels show any name as it is."""

import os
import warnings

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from soundgate.runtime.figures import label_text, save_figure

NOT_UTF8 = os.fsdecode(b"caf\xe9")


def titled(name, **text):
    figure = Figure((4, 2), layout="constrained")
    figure.suptitle(name, **text)
    return figure


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain name_1", "plain name_1"),
        ("語音", "語音"),
        ("a$b_{$", r"a\$b_{\$"),
        ("100 $", r"100 \$"),
        (NOT_UTF8, r"caf\xe9"),
        ("a\nb", r"a\x0ab"),
    ],
)
def test_known_labels(name, text):
    assert label_text(name) == text


@pytest.mark.parametrize("name", ["a$b_{$", "100 $", "$", "$$", "$x^2$", r"a\$b$", "a\\", r"\\$", "plain"])
def test_what_is_drawn_is_the_name_itself(tmp_path, name):
    save_figure(titled(label_text(name)), tmp_path / "label.png")
    save_figure(titled(name, parse_math=False), tmp_path / "name.png")
    assert (tmp_path / "label.png").read_bytes() == (tmp_path / "name.png").read_bytes()


@pytest.mark.parametrize("name", ["a$b_{$", "100 $", "語音", NOT_UTF8])
def test_any_name_may_be_title_legend_and_tick(tmp_path, name):
    for file in ("one.png", "deep/two.png"):
        figure = titled(label_text(name))
        axis = figure.subplots()
        axis.plot([0, 1], label=label_text(name))
        axis.set_title(label_text(name))
        axis.set_xticks([0, 1], [label_text(name)] * 2)
        axis.legend()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")
            save_figure(figure, tmp_path / file)
    content = (tmp_path / "one.png").read_bytes()
    assert content == (tmp_path / "deep/two.png").read_bytes() and b"Software" not in content


def test_a_figure_is_a_png_of_the_size_asked_for_whatever_its_suffix(tmp_path):
    save_figure(titled("x"), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_bytes().startswith(b"\x89PNG")
    save_figure(titled("x"), tmp_path / "a.png")
    save_figure(titled("x"), tmp_path / "b.png", dpi=50)
    assert imread(tmp_path / "a.png").shape[:2] == (200, 400) and imread(tmp_path / "b.png").shape[:2] == (100, 200)


def test_a_figure_that_cannot_be_drawn_leaves_the_old_file(tmp_path):
    save_figure(titled("x"), tmp_path / "a.png")
    old = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ValueError, match="b_"):
        save_figure(titled("a$b_{$"), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and (tmp_path / "a.png").read_bytes() == old
