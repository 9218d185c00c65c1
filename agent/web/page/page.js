// Shows what GET view?lang=… says, and asks again by itself. Everything comes
// from this machine: the page never touches the cellular line. Text is only
// ever set as text, never as HTML.
"use strict";

const REFRESH = 5000;      // ms; the agent's own poll is slower
const SLOWEST = 60000;     // ms; while the agent does not answer
const PATIENCE = 8000;     // ms for one answer

const $ = (id) => document.getElementById(id);
let lang = pick();
let wait = REFRESH;
let timer = 0;
let asking = null;
let opened = {};           // which details a person opened
let spoken = "";           // the verdict as last read out
let labels = {};

function pick() {
  const asked = new URLSearchParams(location.search).get("lang");
  let kept = null;
  try { kept = localStorage.getItem("lang"); } catch (e) { /* storage may be off */ }
  const want = asked || kept || navigator.language || "zh";
  return want.toLowerCase().startsWith("zh") ? "zh" : "en";
}

function el(tag, cls, ...children) {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  e.append(...children.filter((c) => c !== "" && c != null));
  return e;
}

function list(tag, items) {
  return el(tag, "", ...items.map((i) => el("li", "", i)));
}

function card(title, ...children) {
  return el("section", "", el("h2", "", title), ...children);
}

function pairs(rows) {
  const dl = el("dl", "");
  for (const r of rows) dl.append(el("dt", "", r.label), el("dd", r.bad ? "bad" : "", r.value));
  return dl;
}

function proofs(all) {
  const ul = el("ul", "");
  for (const p of all) ul.append(el("li", "", p.text + " ", el("span", "src", "[" + p.source + (lang === "zh" ? "，" : ", ") + p.strength + "]")));
  return ul;
}

function verdict(p) {
  const box = $("verdict");
  const said = [p.lang, p.mood, p.title, p.verdict, p.line, p.detail, p.since].join("\n");
  if (said === spoken) return; // a screen reader hears it once
  spoken = said;
  box.className = p.mood;
  box.replaceChildren(el("h1", "", p.title), el("p", "", p.line));
  if (p.detail) box.append(el("p", "", p.detail));
  if (p.mood === "fault") box.append(el("span", "word", p.verdict));
  if (p.since && p.mood !== "good") box.append(el("span", "", labels.since + " " + p.since));
}

function ladder(p) {
  const marks = { passed: "✓", failed: "✗", unknown: "?", masked: "–" };
  const ol = el("ol", "ladder");
  let fact = "";
  for (const r of p.ladder) {
    const mark = el("b", "", marks[r.state] || "?");
    mark.setAttribute("aria-hidden", "true");
    ol.append(el("li", r.state, mark, r.name, el("span", "sr", " " + r.word)));
    if (r.state === "failed" && r.fact) fact = r.name + (p.lang === "zh" ? "：" : ": ") + r.fact;
  }
  return card(labels.ladder, ol, fact ? el("p", "fact bad", fact) : "");
}

function usage(u) {
  const out = [];
  if (u.percent >= 0) {
    const fill = el("div", "");
    fill.style.width = Math.min(100, u.percent) + "%";
    const bar = el("div", u.percent >= 95 ? "bar high" : "bar", fill);
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-label", labels.usage);
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    bar.setAttribute("aria-valuenow", String(Math.floor(Math.min(100, u.percent))));
    out.push(bar);
  }
  out.unshift(el("strong", "", u.text));
  out.push(el("div", "", u.notes));
  return card(labels.usage, ...out);
}

function more(id, title, ...children) {
  const d = el("details", "", el("summary", "", title), ...children);
  d.open = Boolean(opened[id]);
  d.addEventListener("toggle", () => { opened[id] = d.open; });
  return d;
}

function show(p) {
  document.documentElement.lang = p.lang;
  document.title = p.title + (p.device ? " · " + p.device : "");
  $("device").textContent = p.device || "cellwarden";
  $("lang").textContent = labels.language;
  $("lang").lang = p.lang === "zh" ? "en" : "zh";
  verdict(p);

  const out = [];
  if (p.mood !== "good" && (p.who || p.do)) {
    const rows = [{ label: labels.who, value: p.who }];
    const back = [p.resumes_at, p.returns].filter(Boolean).join(p.lang === "zh" ? "。" : ". ");
    if (back) rows.push({ label: labels.returns, value: back });
    out.push(el("section", "", p.do ? el("p", "do", p.do) : "", pairs(rows)));
  }
  if (p.candidates.length) {
    out.push(card(labels.candidates, list("ol", p.candidates.map((c) => c.title + " " + c.percent))));
  }
  if (p.decide && p.mood === "unsure") out.push(card(labels.decide, el("p", "do", p.decide)));
  if (p.warnings.length) out.push(card(labels.warnings, list("ul", p.warnings)));
  if (p.troubles.length) {
    out.push(card(labels.troubles, list("ul", p.troubles.map((t) => el("span", "", el("strong", "bad", t.text), t.hint ? el("br") : "", t.hint || "")))));
  }
  if (p.steps.length && p.mood !== "good") out.push(card(labels.steps, list("ol", p.steps)));
  out.push(ladder(p));
  if (p.usage) out.push(usage(p.usage));
  const why = [];
  if (p.for.length) why.push(el("h2", "", labels.for), proofs(p.for));
  if (p.against.length) why.push(el("h2", "", labels.against), proofs(p.against));
  if (p.unknown.length) why.push(el("h2", "", labels.unknown), list("ul", p.unknown));
  if (p.decide && p.mood !== "unsure") why.push(el("h2", "", labels.decide), el("div", "", p.decide));
  if (why.length) out.push(card(labels.evidence, ...why));
  if (p.rows.length) out.push(card(labels.details, pairs(p.rows)));
  if (p.probes.length) out.push(more("probes", labels.probes, pairs(p.probes)));
  if (p.mood === "good" && p.steps.length) out.push(more("steps", labels.steps, list("ol", p.steps)));
  $("rest").replaceChildren(...out);
  $("footer").textContent = [p.at, labels.refreshed].filter(Boolean).join(p.lang === "zh" ? "，" : ", ");
}

function offline(on) {
  const words = { zh: "连不上本机的 cellwarden，稍后自动重试", en: "cellwarden on this machine does not answer; trying again" };
  $("offline").hidden = !on;
  $("offline").textContent = on ? words[lang] : "";
}

async function refresh() {
  clearTimeout(timer);
  if (asking) asking.abort();
  const mine = asking = new AbortController();
  const limit = setTimeout(() => mine.abort(), PATIENCE);
  try {
    const r = await fetch("view?lang=" + lang, { signal: mine.signal, cache: "no-store" });
    if (!r.ok) throw new Error(String(r.status));
    const answer = await r.json();
    labels = answer.labels;
    show(answer.page);
    offline(false);
    wait = REFRESH;
  } catch (e) {
    if (asking !== mine) return; // a newer question took over
    offline(true);
    wait = Math.min(wait * 2, SLOWEST);
  } finally {
    clearTimeout(limit);
  }
  if (asking === mine) {
    asking = null;
    // A page that nobody sees asks nothing; visibilitychange wakes it.
    if (!document.hidden) timer = setTimeout(refresh, wait);
  }
}

$("lang").addEventListener("click", () => {
  lang = lang === "zh" ? "en" : "zh";
  try { localStorage.setItem("lang", lang); } catch (e) { /* storage may be off */ }
  refresh();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) { wait = REFRESH; refresh(); }
});
refresh();
