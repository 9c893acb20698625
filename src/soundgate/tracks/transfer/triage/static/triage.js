"use strict";

const ROW_HEIGHT = 38;
const PAGE = 100;
const DECISIONS = { a: "accept", r: "reject", s: "skip" };
const MARKS = { accept: "✓", reject: "✕", skip: "↷", undecided: "·", unusable: "!" };
const WORDS = { accept: "accepted", reject: "rejected", skip: "skipped", undecided: "undecided", unusable: "unusable" };
const COLOURS = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]; // magma
const byId = (id) => document.getElementById(id);
const audio = byId("audio");

let current = null; // the clip on show
let total = 0;
let waveform = [];
let voices = []; // what plays: the clip, then what it is compared with
let voice = "clip";
let busy = false; // while a decision is on its way, no other is taken
let over = false;

// Talking to the server

async function call(url, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Error("The server does not answer. Start the same command again and reload this page: "
      + "every decision shown as taken is kept.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `the server answered ${response.status}`);
  return answer;
}

function say(text, bad = false) {
  const message = byId("message");
  message.hidden = !text;
  message.textContent = text;
  message.classList.toggle("bad", bad);
}

// The clip on show

async function advance(state) {
  showCounts(state.counts);
  list.refresh();
  const [clip, next] = state.coming;
  if (!clip) return finish("Every clip is accepted or rejected", "Quit to write the lists, or choose a clip to decide anew.");
  await show(clip);
  if (next) fetch(`/api/clip?id=${encodeURIComponent(next.clip_id)}`).catch(() => {}); // decoded ahead of time
}

function showCounts(counts) {
  total = counts.total;
  const done = counts.accept + counts.reject;
  const parts = [`${done} of ${counts.total} done`, `${counts.accept} accepted`, `${counts.reject} rejected`,
    `${counts.skip} skipped`, `${counts.undecided} undecided`];
  if (counts.unusable) parts.push(`${counts.unusable} unusable rows`);
  byId("counts").textContent = parts.join(" · ");
  const bar = byId("bar");
  bar.setAttribute("aria-valuemax", counts.total);
  bar.setAttribute("aria-valuenow", done);
  for (const state of ["accept", "reject"]) {
    bar.querySelector(`.${state}`).style.width = `${100 * counts[state] / Math.max(1, counts.total)}%`;
  }
}

async function show(clip) {
  current = clip;
  byId("finished").hidden = true;
  byId("clip").hidden = false;
  byId("clip").dataset.id = clip.clip_id;
  byId("clip").dataset.ready = "";
  byId("path").textContent = clip.path;
  [voices, voice] = [[], "clip"];
  showVoices();
  byId("tags").value = clip.tags || "";
  byId("note").value = clip.note || "";
  byId("saved").textContent = "";
  byId("place").textContent = `Clip ${clip.number} of ${total}${clip.state === "undecided" ? "" : `, ${WORDS[clip.state]} before`}`;
  showFacts(clip.facts || {});
  audio.pause();
  byId("broken").hidden = true;
  const query = `id=${encodeURIComponent(clip.clip_id)}`;
  try {
    const seen = await call(`/api/clip?${query}`);
    if (current !== clip) return;
    showSound(seen, query);
    showFacts({ ...clip.facts, duration: `${seen.duration_s.toFixed(2)} s`, "sample rate": `${seen.sample_rate} Hz`, channels: seen.channels });
  } catch (error) {
    if (current !== clip) return;
    showBroken(error.message);
  }
  byId("clip").dataset.ready = clip.clip_id;
  list.mark();
}

function showFacts(facts) {
  byId("facts").replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const pair = document.createElement("div");
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    pair.append(term, text);
    return pair;
  }));
}

function showSound(seen, query) {
  byId("sound").hidden = false;
  for (const key of ["a", "o"]) button(key).disabled = false;
  waveform = seen.waveform;
  voices = Object.keys(seen.voices);
  showVoices();
  drawSpectrogram(query, seen.bands);
  byId("ticks").replaceChildren(...seen.ticks.map(([label, at]) => {
    const tick = document.createElement("span");
    tick.textContent = label;
    tick.style.bottom = `${100 * at}%`;
    return tick;
  }));
  audio.src = `/api/audio?${query}`;
  replay(true);
  draw();
}

function showBroken(reason) {
  byId("sound").hidden = true;
  for (const key of ["a", "o"]) button(key).disabled = true;
  waveform = [];
  audio.removeAttribute("src");
  audio.load();
  const broken = byId("broken");
  broken.hidden = false;
  broken.textContent = `This clip cannot be heard: ${reason}. Reject it (r) or skip it (s).`;
}

function showVoices() {
  byId("voices").hidden = voices.length < 2;
  byId("voices").replaceChildren(...voices.map((name, place) => {
    const choice = document.createElement("button");
    const label = document.createElement("span");
    const key = document.createElement("kbd");
    choice.type = "button";
    choice.dataset.voice = name;
    choice.setAttribute("aria-pressed", String(name === voice));
    label.textContent = name;
    key.textContent = place + 1;
    choice.append(label, key);
    choice.addEventListener("click", () => hear(name));
    return choice;
  }));
}

async function hear(name) {
  const [clip, at] = [current, audio.currentTime];
  const query = `id=${encodeURIComponent(clip.clip_id)}&voice=${encodeURIComponent(name)}`;
  const seen = await call(`/api/clip?${query}`).catch((error) => say(error.message, true));
  if (!seen || current !== clip) return;
  voice = name;
  showVoices();
  waveform = seen.waveform;
  drawSpectrogram(query, seen.bands);
  draw();
  audio.src = `/api/audio?${query}`;
  audio.currentTime = Math.min(at, seen.duration_s); // goes on at the same moment
  audio.play().catch(() => {});
}

function pauseOrPlay() {
  if (!audio.hasAttribute("src")) return;
  if (audio.paused) audio.play().catch((error) => say(error.message, true));
  else audio.pause();
}

function replay(unasked = false) {
  if (!audio.hasAttribute("src")) return;
  const played = current;
  audio.currentTime = 0;
  audio.play().catch((error) => {
    if (current !== played) return;
    if (error.name === "NotAllowedError" && unasked) say("The browser plays no sound before a first key or click: press o.");
    else if (error.name !== "AbortError") showBroken(`it does not play, ${error.message}`); // the message is the server's
  });
}

function draw() {
  const canvas = byId("waveform");
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const colours = getComputedStyle(document.documentElement);
  context.fillStyle = colours.getPropertyValue("--line");
  context.fillRect(0, height / 2 - 0.5, width, 1);
  context.fillStyle = colours.getPropertyValue("--link");
  const step = width / waveform.length;
  waveform.forEach(([low, high], column) => {
    const top = (1 - high) * height / 2;
    context.fillRect(column * step, top, Math.max(step, 1), Math.max((high - low) * height / 2, 1));
  });
}

async function drawSpectrogram(query, bands) {
  const shown = current;
  const canvas = byId("spectrogram");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const response = await fetch(`/api/spectrogram?${query}`).catch(() => null);
  if (!response?.ok) return;
  const levels = new Uint8Array(await response.arrayBuffer());
  if (current !== shown) return;
  canvas.width = levels.length / bands;
  canvas.height = bands;
  const image = context.createImageData(canvas.width, bands);
  levels.forEach((level, at) => {
    const row = bands - 1 - Math.floor(at / canvas.width); // the lowest band at the bottom
    image.data.set(colour(level / 255), 4 * (row * canvas.width + at % canvas.width));
  });
  context.putImageData(image, 0, 0);
}

function colour(level) {
  const place = level * (COLOURS.length - 1);
  const [from, to] = [COLOURS[Math.floor(place)], COLOURS[Math.ceil(place)]];
  return [...from.map((value, channel) => value + (to[channel] - value) * (place % 1)), 255];
}

function follow() {
  const share = audio.duration ? audio.currentTime / audio.duration : 0;
  byId("playhead").style.left = `calc(${100 * share}% - 1px)`;
  requestAnimationFrame(follow);
}

function finish(title, text, written = []) {
  current = null;
  audio.pause();
  byId("clip").hidden = true;
  byId("finished").hidden = false;
  byId("finished-quit").hidden = over;
  byId("finished-title").textContent = title;
  byId("finished-text").textContent = text;
  byId("written").replaceChildren(...written.map((path) => {
    const item = document.createElement("li");
    item.textContent = path;
    return item;
  }));
  list.mark();
}

// Keys and buttons

const button = (key) => document.querySelector(`#clip [data-key="${key}"]`);

async function act(key) {
  if (key === "?") return byId("help").open ? byId("help").close() : byId("help").showModal();
  if (busy || over || byId("help").open) return;
  if (key === "o") return replay();
  if (key === " ") return pauseOrPlay();
  if (key === "t" || key === "n") return current && byId(key === "t" ? "tags" : "note").focus();
  if (key === "b" || "123".includes(key)) {
    const place = key === "b" ? (voices.indexOf(voice) + 1) % voices.length : Number(key) - 1;
    return voices.length > 1 && voices[place] && hear(voices[place]);
  }
  if (key in DECISIONS && (!current || button(key).disabled)) return;
  busy = true;
  try {
    if (key === "q") await quit();
    else if (key === "u" || key === "z") await undo();
    else if (key === "arrowleft" || key === "arrowright") await step(key === "arrowleft" ? -1 : 1);
    else {
      const state = await call(`/api/decisions?${list.view()}`, { clip_id: current.clip_id, decision: DECISIONS[key] });
      say("");
      busy = false;
      await advance(state);
    }
  } catch (error) {
    say(error.message, true);
  } finally {
    busy = false;
  }
}

async function undo() {
  const { clip, counts } = await call("/api/undo", {});
  showCounts(counts);
  list.refresh();
  say(`Undone: ${clip.path}`);
  busy = false;
  await show(clip);
}

async function step(places) {
  if (!current) return;
  const { clip } = await call(`/api/neighbour?id=${encodeURIComponent(current.clip_id)}&step=${places}&${list.view()}`);
  say(clip ? "" : `This is the ${places < 0 ? "first" : "last"} clip of the list.`);
  busy = false;
  if (clip) await show(clip);
}

async function saveRemark() {
  const clip = current;
  try {
    const kept = await call("/api/remarks", { clip_id: clip.clip_id, tags: byId("tags").value, note: byId("note").value });
    Object.assign(clip, kept);
    if (current !== clip) return;
    byId("tags").value = kept.tags;
    byId("note").value = kept.note;
    byId("saved").textContent = "saved";
    list.refresh();
  } catch (error) {
    say(error.message, true);
  }
}

async function quit() {
  const { written } = await call("/api/quit", {});
  over = true;
  say("");
  for (const element of document.querySelectorAll("aside button, aside input, aside select, #lists")) element.disabled = true;
  finish("Session ended", "You can close this page. The same command goes on from here. Lists written:", written);
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  const key = event.key.toLowerCase();
  const pressing = key === " " && event.target.closest("button, audio"); // space presses what has the focus
  const known = key in DECISIONS || [..."oquzbtn123? ", "arrowleft", "arrowright"].includes(key);
  if (typing || pressing || event.repeat || event.ctrlKey || event.altKey || event.metaKey || !known) return;
  event.preventDefault();
  act(key);
});
for (const field of ["tags", "note"]) {
  byId(field).addEventListener("change", saveRemark);
  byId(field).addEventListener("input", () => { byId("saved").textContent = ""; });
  byId(field).addEventListener("keydown", (event) => {
    if (event.key === "Escape") byId(field).value = current?.[field] || "";
    if (event.key === "Escape" || event.key === "Enter") byId(field).blur();
  });
}
for (const element of document.querySelectorAll("[data-key]")) {
  element.addEventListener("click", () => act(element.dataset.key));
}
byId("lists").addEventListener("click", async () => {
  try {
    const { written } = await call("/api/lists", {});
    say(`Written: ${written.join(", ")}`);
  } catch (error) {
    say(error.message, true);
  }
});
byId("pictures").addEventListener("click", (event) => {
  const box = byId("pictures").getBoundingClientRect();
  if (!audio.duration) return;
  audio.currentTime = audio.duration * (event.clientX - box.left) / box.width;
  audio.play().catch(() => {});
});
window.addEventListener("resize", draw);

// All clips: only the rows in sight are in the page, only the pages in sight are fetched

const list = {
  total: 0,
  pages: new Map(),
  version: 0,
  box: byId("list"),
  rows: byId("rows"),

  view() {
    const query = new URLSearchParams({ state: byId("filter").value });
    for (const name of ["search", "pair", "kind", "tag", "sort"]) query.set(name, byId(name)?.value || "");
    query.set("descending", byId("sort")?.selectedOptions[0].dataset.descending || "");
    return query;
  },

  refresh() {
    this.version += 1;
    this.pages.clear();
    this.fill();
  },

  async fetchPage(number) {
    const version = this.version;
    const query = new URLSearchParams({ offset: number * PAGE, limit: PAGE, ...Object.fromEntries(this.view()) });
    this.pages.set(number, null);
    try {
      const answer = await call(`/api/clips?${query}`);
      if (version !== this.version) return;
      this.total = answer.total;
      this.pages.set(number, answer.clips);
      byId("listed").textContent = `${answer.total.toLocaleString("en")} ${answer.total === 1 ? "row" : "rows"}`;
      this.fill();
    } catch (error) {
      this.pages.delete(number);
      if (!over) say(error.message, true);
    }
  },

  fill() {
    if (over) return;
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_HEIGHT) - 5);
    const last = first + Math.ceil(this.box.clientHeight / ROW_HEIGHT) + 10;
    const wanted = this.version && !this.pages.size ? [Math.floor(first / PAGE)] : [];
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.min(last, this.total - 1) / PAGE); page += 1) wanted.push(page);
    for (const page of new Set(wanted)) if (!this.pages.has(page)) this.fetchPage(page);
    const there = [];
    for (let row = first; row < Math.min(last, this.total); row += 1) {
      const clip = this.pages.get(Math.floor(row / PAGE))?.[row % PAGE];
      if (clip) there.push(this.row(row, clip));
    }
    if ([...this.pages.values()].some((page) => page === null) && !there.length && this.total) return; // keep what is seen until the answer
    this.rows.style.height = `${this.total * ROW_HEIGHT}px`;
    this.rows.replaceChildren(...there);
    this.mark();
  },

  row(place, clip) {
    const item = document.createElement("li");
    item.style.top = `${place * ROW_HEIGHT}px`;
    const choice = document.createElement("button");
    choice.type = "button";
    choice.dataset.id = clip.clip_id;
    choice.title = `${clip.path} (${clip.problem || WORDS[clip.state]})`;
    const [number, mark, name] = ["number", "mark", "name"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      return part;
    });
    number.textContent = clip.number ?? "";
    mark.textContent = MARKS[clip.state];
    mark.classList.add(clip.state);
    mark.setAttribute("aria-label", WORDS[clip.state]);
    mark.setAttribute("role", "img");
    const text = document.createElement("bdi");
    text.textContent = clip.problem ? `${clip.path || "(empty)"}: ${clip.problem}` : clip.path;
    name.append(text);
    choice.append(number, mark, name);
    choice.disabled = Boolean(clip.problem);
    choice.addEventListener("click", () => { say(""); show(clip); });
    item.append(choice);
    return item;
  },

  mark() {
    for (const choice of this.rows.querySelectorAll("button")) {
      choice.setAttribute("aria-current", String(Boolean(current) && choice.dataset.id === current.clip_id));
    }
  },
};

list.box.addEventListener("scroll", () => list.fill(), { passive: true });
const anew = () => { list.box.scrollTop = 0; list.refresh(); };
let typed = 0;
for (const name of ["filter", "pair", "kind", "sort"]) byId(name)?.addEventListener("change", anew);
for (const name of ["search", "tag"]) {
  byId(name)?.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(anew, 150);
  });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

call(`/api/state?${list.view()}`).then(advance).catch((error) => say(error.message, true));
follow();
