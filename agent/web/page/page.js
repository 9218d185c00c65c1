// Shows what the agent says, live, and has a technician's buttons. Everything comes
// from this machine: the page never touches the cellular line. Text is only ever set as
// text, never as HTML.
"use strict";

const OLD = 15000;         // ms without a word: the agent is dead (it speaks every 5 s)
const PATIENCE = 8000;     // ms for one answer
const SLOWEST = 60000;     // ms between tries while nobody answers
const TIMELINE = 60000;    // ms between looks at what changes slowly

const $ = (id) => document.getElementById(id);
let lang = pick();
let words = {};
let token = "";
let role = "nobody";
let can = [];              // what this agent is able to do
let stream = null;
let wait = 2000;
let again = 0;
let heard = 0;             // when the last picture came
let muted = false;         // the agent itself does not answer, though its page does
let heardAt = "";          // and what time it showed
let shown = {};            // what each part of the page shows, so that nothing is drawn twice
let opened = {};           // which details a person opened
let now = null;            // the last picture
let asking = null;         // layers of the check that runs, by name

function pick() {
  const asked = new URLSearchParams(location.search).get("lang");
  let kept = null;
  try { kept = localStorage.getItem("lang"); } catch (e) { /* storage may be off */ }
  const want = asked || kept || navigator.language || "zh";
  return want.toLowerCase().startsWith("zh") ? "zh" : "en";
}

function say(key, ...args) {
  return (words[key] || key).replace(/\{(\d)\}/g, (m, n) => args[n] === undefined ? "?" : args[n]);
}

function el(tag, cls, ...children) {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  e.append(...children.filter((c) => c !== "" && c != null && c !== false));
  return e;
}

function list(tag, items) { return el(tag, "", ...items.map((i) => el("li", "", i))); }
function head(key) { return el("h2", "", say(key)); }

function button(text, press, cls) {
  const b = el("button", cls || "", text);
  b.type = "button";
  b.addEventListener("click", press);
  return b;
}

function pairs(rows) {
  const dl = el("dl", "");
  for (const r of rows) dl.append(el("dt", "", r.label), el("dd", r.bad ? "bad" : "", r.value));
  return dl;
}

function proofs(all) {
  return list("ul", all.map((p) => el("span", "", p.text + " ", el("span", "src", "[" + p.source + comma() + p.strength + "]"))));
}

function comma() { return lang === "zh" ? "，" : ", "; }
function colon() { return lang === "zh" ? "：" : ": "; }

// part draws one section anew where what it shows has changed: a selection elsewhere
// stays, and a screen reader hears each thing once.
function part(id, data, make) {
  const key = JSON.stringify([lang, role, data]);
  if (shown[id] === key) return;
  shown[id] = key;
  $(id).replaceChildren(...(data === null ? [] : make().filter((c) => c !== "" && c != null && c !== false)));
}

function more(id, title, ...children) {
  const d = el("details", "", el("summary", "", title), ...children);
  d.open = Boolean(opened[id]);
  d.addEventListener("toggle", () => { opened[id] = d.open; });
  return d;
}

function verdict(p) {
  part("verdict", [p.mood, p.title, p.verdict, p.line, p.detail, p.since], () => {
    $("verdict").className = p.mood;
    return [el("h2", "", p.title), el("p", "", p.line), p.detail ? el("p", "", p.detail) : "",
      p.mood === "fault" ? el("span", "word", p.verdict) : "",
      p.since && p.mood !== "good" ? el("span", "", say("since") + " " + p.since) : ""];
  });
}

function act(p) {
  const needed = p.mood !== "good" && (p.who || p.do);
  part("act", needed ? [p.who, p.do, p.steps[0], p.resumes_at, p.returns] : null, () => {
    const rows = [{ label: say("who"), value: p.who }];
    const back = [p.resumes_at, p.returns].filter(Boolean).join(lang === "zh" ? "。" : ". ");
    if (back) rows.push({ label: say("returns"), value: back });
    return [p.do ? el("p", "do", p.do) : "", p.steps.length ? el("p", "first", say("first_step") + colon() + p.steps[0]) : "", pairs(rows)];
  });
}

function chain(p) {
  const marks = { passed: "✓", failed: "✗", unknown: "?", masked: "–", checking: "…" };
  const rungs = p.ladder.map((r) => (asking && asking[r.layer]) || (asking ? { ...r, state: "checking", word: say("waiting_turn"), fact: "" } : r));
  part("chain", rungs, () => {
    const ol = el("ol", "ladder");
    let fact = "";
    for (const r of rungs) {
      const mark = el("b", "", marks[r.state] || "?");
      mark.setAttribute("aria-hidden", "true");
      ol.append(el("li", r.state === "checking" ? "asking" : r.state, mark, r.name, el("span", "sr", " " + r.word)));
      if (r.state === "failed" && r.fact) fact = r.name + colon() + r.fact;
    }
    return [head("ladder"), ol, fact ? el("p", "fact bad", fact) : ""];
  });
}

function usage(u) {
  part("usage", u || null, () => {
    const out = [head("usage"), el("strong", "", u.text)];
    if (u.percent >= 0) {
      const fill = el("div", "");
      fill.style.width = Math.min(100, u.percent) + "%";
      const bar = el("div", u.percent >= 95 ? "bar high" : "bar", fill);
      bar.setAttribute("role", "progressbar");
      bar.setAttribute("aria-label", say("usage"));
      bar.setAttribute("aria-valuemin", "0");
      bar.setAttribute("aria-valuemax", "100");
      bar.setAttribute("aria-valuenow", String(Math.floor(Math.min(100, u.percent))));
      out.push(bar);
    }
    out.push(el("div", "", u.notes), plotBox("usage"));
    return out;
  });
}

function deeds(all) {
  $("deeds").hidden = role !== "act" || !can.includes("work");
  part("deeds", all, () => [head("deeds"), el("p", "row", ...all.map((d, i) =>
    button(d.text, (e) => press(e.currentTarget, "did", { what: d.what }), i === 0 ? "main" : ""))),
    el("p", "said")]);
}

function recovery(r) {
  part("recovery", r || null, () => {
    const out = [head("recovery"), el("div", "", r.line)];
    if (r.lines.length) out.push(list("ul", r.lines.map((l) => el("span", "", el("span", "time", l.when + " "), l.text))));
    if (role === "act" && can.includes("work")) {
      out.push(el("p", "row", button(say(r.paused ? "repair_end" : "repair_begin"), (e) => press(e.currentTarget, "repair", { on: !r.paused }))), el("p", "said"));
    }
    return out;
  });
}

function show(v) {
  now = v;
  const p = v.page;
  document.documentElement.lang = p.lang;
  document.title = (p.device || "cellwarden") + " · " + p.title;
  $("device").textContent = p.device || "cellwarden";
  verdict(p);
  act(p);
  chain(p);
  const unsure = p.mood === "unsure";
  part("candidates", p.candidates.length ? p.candidates : null, () => [head("candidates"), list("ol", p.candidates.map((c) => c.title + " " + c.percent))]);
  part("decide", p.decide && unsure ? p.decide : null, () => [head("decide"), el("p", "do", p.decide)]);
  part("warnings", p.warnings.length ? p.warnings : null, () => [head("warnings"), list("ul", p.warnings)]);
  part("troubles", p.troubles.length ? p.troubles : null, () => [head("troubles"),
    list("ul", p.troubles.map((t) => el("span", "", el("strong", "bad", t.text), t.hint ? el("br") : "", t.hint || "")))]);
  const steps = p.steps.length ? [p.mood, p.steps] : null;
  part("steps", steps, () => p.mood === "good" ? [more("steps", say("steps"), list("ol", p.steps))] : [head("steps"), list("ol", p.steps)]);
  deeds(v.deeds);
  recovery(p.recovery);
  tools();
  usage(p.usage);
  const why = p.for.length + p.against.length + p.unknown.length || (p.decide && !unsure);
  part("why", why ? [p.for, p.against, p.unknown, p.decide] : null, () => [head("evidence"),
    p.for.length && el("h3", "sr", say("for")), p.for.length ? proofs(p.for) : "",
    p.against.length ? head("against") : "", p.against.length ? proofs(p.against) : "",
    p.unknown.length ? head("unknown") : "", p.unknown.length ? list("ul", p.unknown) : "",
    p.decide && !unsure ? head("decide") : "", p.decide && !unsure ? el("div", "", p.decide) : ""]);
  part("rows", p.rows.length ? p.rows : null, () => [head("details"), pairs(p.rows)]);
  part("probes", p.probes.length ? p.probes : null, () => [more("probes", say("probes"), pairs(p.probes))]);
  $("footer").textContent = [p.at, say("refreshed")].filter(Boolean).join(comma());
  $("check").disabled = v.checking || asking !== null;
  heard = Date.now();
  muted = false;
  heardAt = p.at || "";
  level();
  fresh();
}

// fresh greys the verdict out, with its age, when the agent has said nothing for long.
function fresh() {
  const age = Date.now() - heard;
  const old = heard > 0 && (muted || age > OLD);
  $("main").classList.toggle("old", old);
  const text = old ? say("stale", heardAt, Math.round(age / 1000) < 120 ? say("second", Math.round(age / 1000)) : say("minute", Math.round(age / 60000))) : "";
  if ($("stale").textContent !== text) $("stale").textContent = text;
  $("stale").hidden = !old;
}

async function ask(path, options) {
  const stop = new AbortController();
  const limit = setTimeout(() => stop.abort(), PATIENCE);
  try {
    const r = await fetch(path, { signal: stop.signal, cache: "no-store", ...options });
    return r;
  } finally { clearTimeout(limit); }
}

function post(path, what) {
  return ask(path + (path.includes("?") ? "&" : "?") + "lang=" + lang, { method: "POST", headers: { "X-Cellwarden-Token": token, "Content-Type": "application/json" },
    body: what === undefined ? "" : typeof what === "string" ? what : JSON.stringify(what) });
}

// press sends what a button says and tells beside it how it went.
async function press(b, path, what) {
  const said = b.closest("section, dialog").querySelector(".said");
  b.disabled = true;
  let text = say("noted");
  let good = true;
  try {
    const r = await post(path, what);
    if (!r.ok) { good = false; text = await r.text(); }
    if (r.status === 401 || r.status === 403) begin();
  } catch (e) { good = false; text = say("no_answer"); }
  b.disabled = false;
  if (said) {
    said.textContent = text;
    said.classList.toggle("bad", !good);
    said.setAttribute("role", "status");
  }
}

function listen() {
  if (stream) stream.close();
  clearTimeout(again);
  stream = new EventSource("live?lang=" + lang);
  const mine = stream;
  stream.addEventListener("view", (e) => { wait = 2000; show(JSON.parse(e.data)); });
  stream.addEventListener("silent", () => { muted = true; fresh(); });
  stream.addEventListener("begin", () => { asking = {}; $("check").disabled = true; $("check-state").textContent = say("check_runs"); if (now) chain(now.page); });
  stream.addEventListener("layer", (e) => {
    const r = JSON.parse(e.data);
    if (!asking) asking = {};
    asking[r.layer] = r;
    $("check-state").textContent = r.name + colon() + (r.fact || r.word);
    if (now) chain(now.page);
  });
  stream.addEventListener("end", (e) => {
    const said = JSON.parse(e.data).error;
    asking = null;
    $("check-state").textContent = said || say("check_done");
    if (now) { $("check").disabled = false; chain(now.page); }
  });
  stream.onerror = () => {
    if (mine !== stream || mine.readyState !== EventSource.CLOSED) return; // it tries again by itself
    again = setTimeout(begin, wait);
    wait = Math.min(wait * 2, SLOWEST);
  };
}

// begin asks who we are, lets a PIN be given where one is needed, and listens.
async function begin() {
  clearTimeout(again);
  try {
    const w = await ask("words?lang=" + lang);
    words = await w.json();
    if (!w.ok) throw new Error(String(w.status));
    const s = await (await ask("session")).json();
    role = s.role;
    token = s.token;
    can = s.can || [];
  } catch (e) {
    if (!heard) { $("stale").hidden = false; $("stale").textContent = lang === "zh" ? "连不上本机的 cellwarden，稍后自动重试" : "cellwarden on this machine does not answer; trying again"; }
    again = setTimeout(begin, wait);
    wait = Math.min(wait * 2, SLOWEST);
    return;
  }
  $("stale").hidden = true;
  $("lang").textContent = say("language");
  $("lang").lang = lang === "zh" ? "en" : "zh";
  document.documentElement.lang = lang;
  $("check").textContent = say("check");
  $("pin-label").textContent = say("pin");
  $("enter").textContent = say("enter");
  $("dialog-close").textContent = say("close");
  const stranger = role === "nobody";
  $("door").hidden = !stranger;
  $("main").hidden = stranger;
  $("check-box").hidden = role !== "act";
  if (stranger) { $("pin").focus(); return; }
  shown = {};
  listen();
  slow();
}

$("door").addEventListener("submit", async (e) => {
  e.preventDefault();
  $("door-said").textContent = "";
  try {
    const r = await ask("login", { method: "POST", body: $("pin").value });
    $("pin").value = "";
    if (r.ok) { begin(); return; }
    const s = Number(r.headers.get("Retry-After") || 0);
    $("door-said").textContent = r.status === 429 ? say("pin_locked", s) : say("pin_wrong");
  } catch (err) { $("door-said").textContent = say("no_answer"); }
});
$("lang").addEventListener("click", () => {
  lang = lang === "zh" ? "en" : "zh";
  try { localStorage.setItem("lang", lang); } catch (e) { /* storage may be off */ }
  begin();
});
$("check").addEventListener("click", async () => {
  $("check").disabled = true;
  try {
    const r = await post("check");
    if (!r.ok) { $("check-state").textContent = await r.text(); $("check").disabled = false; }
  } catch (e) { $("check-state").textContent = say("no_answer"); $("check").disabled = false; }
});
document.addEventListener("visibilitychange", () => {
  // A page that nobody sees asks nothing.
  if (document.hidden) { if (stream) stream.close(); clearTimeout(again); } else { wait = 2000; begin(); }
});
setInterval(fresh, 1000);
document.addEventListener("DOMContentLoaded", begin);
