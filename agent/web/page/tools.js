// The technician's tools: plots and timeline, antenna, identities, hand-over, bundle.
"use strict";

let plots = {};            // the last drawing of each, as elements
let next = 0;              // timer of what changes slowly
let aim = null;            // while the antenna is aimed: best so far, tone

function svg(text) {
  const doc = new DOMParser().parseFromString(text, "image/svg+xml");
  const root = doc.documentElement;
  return root.nodeName === "svg" ? document.importNode(root, true) : null;
}

function plotBox(name) {
  const d = el("div", "");
  d.id = "plot-" + name;
  if (plots[name]) d.append(plots[name].cloneNode(true));
  return d;
}

async function plot(name) {
  const r = await ask("plot?of=" + name + "&lang=" + lang);
  plots[name] = r.ok && r.status !== 204 ? svg(await r.text()) : null;
  const box = $("plot-" + name);
  if (box) box.replaceChildren(...(plots[name] ? [plots[name].cloneNode(true)] : []));
}

// slow looks at what changes in minutes.
async function slow() {
  clearTimeout(next);
  try {
    if (!can.includes("log")) return;
    await plot("signal");
    await plot("usage");
    part("signal", plots.signal ? plots.signal.outerHTML.length : null, () => [head("signal_day"), plotBox("signal")]);
    const r = await ask("log?lang=" + lang);
    const all = r.ok ? await r.json() : { entries: [] };
    part("timeline", all.entries.length ? all.entries : null, () => {
      const item = (e) => el("span", "", el("span", "time", e.when + " "), el("span", e.bad ? "bad" : "", e.text));
      const first = all.entries.slice(0, 6);
      const rest = all.entries.slice(6);
      return [head("timeline"), list("ul", first.map(item)), rest.length ? more("timeline", say("earlier", rest.length), list("ul", rest.map(item))) : ""];
    });
  } catch (e) { /* the next look tries again */ }
  if (!document.hidden) next = setTimeout(slow, TIMELINE);
}

function dialog(title, ...children) {
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...children.filter((c) => c !== "" && c != null));
  $("dialog").close();
  $("dialog").showModal();
}

$("dialog-close").addEventListener("click", () => $("dialog").close());
$("dialog").addEventListener("close", () => {
  if ($("dialog").open) return; // the word of the one before, which came late
  endAim();
  $("dialog-body").replaceChildren();
});

function tools() {
  $("tools").hidden = role !== "act";
  part("tools", 1, () => [head("tools"), el("p", "row",
    can.includes("aim") && button(say("aim"), beginAim), can.includes("identities") && button(say("identities"), identities),
    can.includes("handover") && button(say("hand_over"), handOver), button(say("bundle"), bundle)), el("p", "said")]);
}

async function qr(of) {
  const r = await post("qr?of=" + of);
  return r.ok ? svg(await r.text()) : null;
}

async function identities() {
  const r = await post("identities");
  if (!r.ok) { dialog(say("identities"), el("p", "bad", await r.text())); return; }
  const rows = (await r.json()).rows;
  const box = el("div", "");
  const drawing = el("div", "");
  for (const i of rows) {
    const said = el("span", "src");
    said.setAttribute("role", "status");
    box.append(el("h2", "", i.label), el("div", "code", i.value), el("p", "row",
      button(say("copy"), async () => { said.textContent = await copied(i.value) ? say("copied") : say("select_it"); }),
      button(say("as_qr"), async () => { const q = await qr(i.key); drawing.replaceChildren(...(q ? [q] : [])); drawing.scrollIntoView(); }), said));
  }
  dialog(say("identities"), rows.length ? box : el("p", "", say("none_read")), drawing);
}

// copied puts text on the clipboard; over plain HTTP browsers only know the old way.
async function copied(text) {
  try { await navigator.clipboard.writeText(text); return true; } catch (e) { /* not a secure context */ }
  const t = el("textarea", "sr");
  t.value = text;
  $("dialog-body").append(t);
  t.select();
  const done = document.execCommand("copy");
  t.remove();
  return done;
}

async function handOver() {
  const r = await post("handover");
  const text = r.ok ? await r.text() : "";
  const q = await qr("handover");
  dialog(say("hand_over"), el("p", "", say("hand_over_how")), q || "", el("p", "code", text));
}

async function bundle(e) {
  const said = e.currentTarget.closest("section").querySelector(".said");
  said.setAttribute("role", "status");
  said.textContent = say("bundle_runs");
  try {
    const r = await fetch("bundle", { method: "POST", headers: { "X-Cellwarden-Token": token } });
    if (!r.ok) throw new Error(await r.text());
    const a = el("a", "", "");
    a.href = URL.createObjectURL(await r.blob());
    a.download = "cellwarden-" + new Date().toISOString().slice(0, 16).replace(/[^0-9]/g, "") + ".bundle";
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 60000);
    said.textContent = say("bundle_saved", a.download);
  } catch (err) { said.textContent = err.message || say("no_answer"); }
}

// Aiming: the agent asks for the level every second while this is open.
function beginAim() {
  endAim();
  const big = el("div", "big", "–");
  const mid = el("p", "mid");
  const best = el("p", "mid");
  const said = el("p", "said");
  aim = { best: null, tone: null, big, mid, best_: best, timer: 0 };
  const keep = async () => { const r = await post("aim"); if (!r.ok) said.textContent = await r.text(); };
  keep().catch(() => {});
  aim.timer = setInterval(() => keep().catch(() => {}), 45000);
  const tone = button(say("tone_on"), (e) => {
    aim.tone = aim.tone ? (aim.tone.close(), null) : new AudioContext();
    e.currentTarget.textContent = say(aim.tone ? "tone_off" : "tone_on");
  });
  dialog(say("aim"), el("p", "", say("aim_how")), big, mid, best,
    el("p", "row", tone, button(say("aim_again"), () => { aim.best = null; level(); })), said,
    el("h2", "", say("cross")), el("p", "", say("cross_how")),
    el("p", "row", ...["cross_card_here_ok", "cross_card_here_bad", "cross_card_there_ok", "cross_card_there_bad"].map((d) =>
      button(say("deed." + d), (e) => press(e.currentTarget, "did", { what: d })))));
  level();
}

function endAim() {
  if (!aim) return;
  clearInterval(aim.timer);
  if (aim.tone) aim.tone.close();
  aim = null;
  post("aim?off=1").catch(() => {});
}

function level() {
  if (!aim || !now) return;
  const r = now.radio;
  const v = r.rsrp_dbm != null ? r.rsrp_dbm : r.rssi_dbm;
  aim.big.textContent = v == null ? "–" : String(Math.round(v));
  aim.mid.textContent = [(r.rsrp_dbm != null ? "RSRP" : "RSSI") + " dBm", r.sinr_db != null ? "SINR " + Math.round(r.sinr_db) + " dB" : "", now.grade].filter(Boolean).join(" · ");
  if (v != null && (aim.best === null || v > aim.best)) aim.best = v;
  aim.best_.textContent = say("best", aim.best === null ? "–" : Math.round(aim.best));
  if (aim.tone && v != null) beep(aim.tone, v);
}

// beep: the stronger, the higher: 300 Hz at -125 dBm, an octave every 20 dB.
function beep(audio, v) {
  const o = audio.createOscillator();
  const g = audio.createGain();
  o.frequency.value = 300 * Math.pow(2, (v + 125) / 20);
  g.gain.value = 0.15;
  o.connect(g);
  g.connect(audio.destination);
  o.start();
  o.stop(audio.currentTime + 0.12);
}
