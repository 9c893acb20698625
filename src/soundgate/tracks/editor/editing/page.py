"""The page of rendered edits: every pair's players, pictures and figures."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, StrictUndefined

from soundgate.errors import FormatError
from soundgate.files import write_text

PAGE = "index.html"
_FILES = ("sound", "picture", "edit_list")
_FIGURES = {
    "seconds": ("length", "{:.1f} s"),
    "accuracy": ("accuracy", "{:.2f}"),
    "macro_f1": ("macro-F1", "{:.2f}"),
    "copied": ("copied bit for bit", "{:.1%}"),
}
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>
* { box-sizing: border-box; }
body { margin: 0; background: #f2f5f8; color: #17212e; font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1340px; margin: 0 auto; padding: 20px 24px 40px; }
h1 { margin: 0 0 16px; font-size: 24px; }
h2 { margin: 26px 0 10px; font-size: 19px; overflow-wrap: anywhere; }
article { margin-bottom: 14px; padding: 14px 18px; background: #fff; border: 1px solid #d5dce4; border-radius: 10px; }
h3 { margin: 0 0 6px; font-size: 16px; }
dl { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 0 0 10px; }
dl div { display: flex; gap: 7px; }
dt { color: #526071; }
dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
audio { display: block; width: 100%; height: 42px; }
img { display: block; max-width: 100%; height: auto; margin-top: 10px; }
summary { margin-top: 8px; color: #1f5f99; cursor: pointer; }
</style>
</head>
<body>
<main>
  <h1>{{ title }}</h1>
  {% for pair, edits in pairs.items() %}
  <section>
    <h2>{{ pair }}, raw {{ edits[0].raw }}</h2>
    {% for edit in edits %}
    <article>
      <h3>{{ edit.name }}</h3>
      <dl>
        {% for name, value in edit.figures.items() %}
        <div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
        {% endfor %}
      </dl>
      {% if edit.sound %}
      <audio controls preload="metadata" src="{{ edit.sound }}" aria-label="{{ edit.name }} of {{ pair }}"></audio>
      {% else %}
      <p>Nothing is played.</p>
      {% endif %}
      <details>
        <summary>Picture and edit list</summary>
        <img src="{{ edit.picture }}" loading="lazy" alt="Labels and spectrograms: {{ edit.name }} of {{ pair }}">
        <a href="{{ edit.edit_list }}">edit list</a>
      </details>
    </article>
    {% endfor %}
  </section>
  {% endfor %}
</main>
</body>
</html>
"""


def write_page(folder: str | Path, rows: pd.DataFrame, title: str) -> None:
    """Write ``index.html``, which needs nothing but the files beside it.

    Args:
        folder: of the files.
        rows: one for each edit: ``pair_id``, ``edit``, ``raw_seconds``, the files ``sound`` (may be empty), ``picture``
            and ``edit_list``, and the figures ``seconds``, ``accuracy``, ``macro_f1``, ``copied``.
        title: the heading.

    Raises:
        FormatError: a file named is not in the folder.
    """
    folder = Path(folder)
    named = [name for column in _FILES for name in rows[column] if name]
    missing = [name for name in named if not (folder / name).is_file()]
    if missing:
        raise FormatError(folder / PAGE, expected="files of its own folder", found=f"no {missing[0]}")
    pairs = {pair: [_edit(row) for row in own.to_dict("records")] for pair, own in rows.groupby("pair_id", sort=False)}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    write_text(folder / PAGE, environment.from_string(_TEMPLATE).render(title=title, pairs=pairs))


def _edit(row: dict) -> dict:
    figures = {name: shape.format(row[column]) for column, (name, shape) in _FIGURES.items()}
    links = {column: quote(row[column]) for column in _FILES}
    return {"name": row["edit"], "raw": f"{row['raw_seconds']:.1f} s", "figures": figures, **links}
