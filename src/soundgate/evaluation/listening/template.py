"""The page's HTML, as Python so that whatever imports it depends on it."""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>
:root { --ink: #17212e; --dim: #526071; --line: #d5dce4; --paper: #fff; --ground: #f2f5f8; --link: #1f5f99; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
header, main { max-width: 1400px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 24px; }
h1 { margin: 0 0 10px; font-size: 24px; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 16px; overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 0; }
dl div { display: flex; gap: 7px; min-width: 0; }
dt { color: var(--dim); }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; min-width: 0; font-variant-numeric: tabular-nums; }
.controls {
  position: sticky; top: 0; z-index: 1; margin-top: 16px; background: var(--paper);
  border: solid var(--line); border-width: 1px 0;
}
.controls form {
  display: flex; flex-wrap: wrap; gap: 10px 16px; align-items: end;
  max-width: 1400px; margin: 0 auto; padding: 12px 24px;
}
label { display: flex; flex-direction: column; gap: 3px; color: var(--dim); font-size: 13px; min-width: 0; }
label.wide { flex: 1 1 160px; }
select, input {
  height: 36px; padding: 0 9px; border: 1px solid #b6c1cd; border-radius: 7px; background: var(--paper);
  color: var(--ink); font: inherit; font-size: 14px; min-width: 0; max-width: 100%;
}
:focus-visible { outline: 3px solid #4b95d6; outline-offset: 2px; }
#shown { margin: 0 0 8px auto; color: var(--dim); font-size: 14px; white-space: nowrap; }
main { padding-top: 18px; padding-bottom: 40px; }
article {
  margin-bottom: 18px; padding: 18px 20px; background: var(--paper); border: 1px solid var(--line);
  border-radius: 10px;
}
.head { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: baseline; margin-bottom: 10px; }
.kind {
  padding: 1px 9px; border: 1px solid #b9d0e6; border-radius: 20px; background: #eef5fb; color: #174a78;
  font-size: 13px;
}
.players { display: grid; grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); gap: 12px 16px; margin: 14px 0; }
figure { margin: 0; min-width: 0; }
figcaption { margin-bottom: 4px; font-size: 14px; font-weight: 600; }
audio { display: block; width: 100%; height: 42px; }
img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
.none { color: var(--dim); }
.kind b { font-weight: 400; color: #4a6a88; }
article > a { display: inline-block; margin-top: 8px; color: var(--link); }
@media (max-width: 700px) { .controls { position: static; } }
@media print { audio, .controls { display: none; } }
</style>
</head>
<body>
<header>
  <h1>{{ title }}</h1>
  {% if facts %}
  <dl>
    {% for name, value in facts.items() %}
    <div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
    {% endfor %}
  </dl>
  {% endif %}
</header>
<div class="controls">
  <form id="controls" role="search" aria-label="Samples">
    {% for label, choices in filters.items() %}
    <label>{{ label }}
      <select data-filter="{{ label }}">
        <option value="">all</option>
        {% for choice in choices %}
        <option value="={{ choice }}">{{ choice or "(none)" }}</option>
        {% endfor %}
      </select>
    </label>
    {% endfor %}
    <label class="wide">Search <input id="search" type="search" autocomplete="off" spellcheck="false"></label>
    <label>Sort by
      <select id="sort">
        <option value="">order of the page</option>
        {% for name in scores %}
        <option value="{{ name }}">{{ name }}</option>
        {% endfor %}
      </select>
    </label>
    <label>Order
      <select id="order"><option value="1">lowest first</option><option value="-1">highest first</option></select>
    </label>
    <p id="shown" role="status"></p>
  </form>
</div>
<main id="cards">
  {% for card in cards %}
  <article data-card="{{ card['values'] }}">
    <div class="head">
      <h2>{{ card.name }}</h2>
      {% for label, value in card.facets.items() %}
      {% if value %}
      <span class="kind"><b>{{ label }}</b> {{ value }}</span>
      {% endif %}
      {% endfor %}
    </div>
    <dl>
      {% for name, value in card.scores.items() %}
      <div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
      {% endfor %}
    </dl>
    {% if card.players %}
    <div class="players">
      {% for label, file in card.players.items() %}
      <figure>
        <figcaption>{{ label }}</figcaption>
        <audio controls preload="metadata" src="{{ file }}" aria-label="{{ label }} of {{ card.name }}"></audio>
      </figure>
      {% endfor %}
    </div>
    {% else %}
    <p class="none">Nothing is played.</p>
    {% endif %}
    {% if card.picture %}
    <img src="{{ card.picture }}" loading="lazy" alt="Spectrograms of {{ card.name }}">
    {% endif %}
    {% for label, file in card.links.items() %}
    <a href="{{ file }}">{{ label }}</a>
    {% endfor %}
  </article>
  {% endfor %}
  <p class="none" id="none" hidden>No sample fits.</p>
</main>
<script>
"use strict";
const main = document.getElementById("cards");
const articles = [...main.querySelectorAll("article")];
const values = new Map(articles.map((article) => [article, JSON.parse(article.dataset.card)]));
const filters = [...document.querySelectorAll("[data-filter]")];
const parts = ["search", "sort", "order", "shown", "none"].map((id) => document.getElementById(id));
const [search, sort, order, shown, none] = parts;

function update() {
  const text = search.value.trim().toLowerCase();
  let count = 0;
  for (const article of articles) {
    const own = values.get(article).facets;
    const fits = ({ value, dataset }) => !value || value === `=${own[dataset.filter]}`;
    article.hidden = !filters.every(fits) || !article.querySelector(".head").textContent.toLowerCase().includes(text);
    if (article.hidden) article.querySelectorAll("audio").forEach((audio) => audio.pause());
    else count += 1;
  }
  const sorted = [...articles];
  const score = (article) => values.get(article).scores[sort.value] ?? null;
  if (sort.value) sorted.sort((one, other) => compare(score(one), score(other)));
  if (sorted.some((article, place) => article !== main.children[place])) main.append(...sorted, none);
  shown.textContent = `${count} of ${articles.length} samples`;
  none.hidden = count > 0;
}

function compare(one, other) { // what has no value comes last either way
  if (one === null || other === null) return (one === null) - (other === null);
  return Number(order.value) * (one - other);
}

document.getElementById("controls").addEventListener("input", update);
document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
main.addEventListener("play", (event) => { // one at a time
  for (const audio of main.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);
update();
</script>
</body>
</html>
"""
