// Ties it together: the stream, the pages by their address, keys, and the clock.

import { Detail } from "./detail.js";
import { byId, data, el, show, text } from "./dom.js";
import { clock } from "./format.js";
import { Live } from "./live.js";
import * as settings from "./settings.js";
import { Stream } from "./stream.js";
import { shape } from "./verdict.js";

let state = null;
let detail = null;
let version = null;
let home = "#/"; // the live page that was looked at last
const main = byId("main");

dropToken();
const stream = new Stream((received) => {
  if (version !== null && received.version !== version) return location.reload(); // the server was updated
  version = received.version;
  state = received;
  if (detail && !detail.settled) reload();
  refresh();
});
const live = new Live(stream);

// The link that let us in holds the token; a cookie does from now on, and nobody reads it off the screen.
function dropToken() {
  const address = new URL(location.href);
  if (!address.searchParams.has("token")) return;
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}

function route() {
  const [, page, value] = location.hash.split("/");
  detail = null;
  live.focus = page === "camera" ? decode(value ?? "") : null;
  if (page === "frame" && /^\d+$/.test(value ?? "")) {
    detail = new Detail(Number(value), home);
    main.replaceChildren(detail.node);
    reload();
  } else {
    home = location.hash || "#/";
    main.replaceChildren(live.node);
  }
  document.body.dataset.page = detail ? "detail" : "live";
  stream.watch(live.focus);
  window.scrollTo(0, 0);
  refresh();
}

function decode(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

async function reload() {
  const asked = detail;
  if (asked.loading) return;
  asked.loading = true;
  asked.settled = await asked.load();
  asked.loading = false;
  if (asked === detail) asked.title.focus({ preventScroll: true });
}

function refresh() {
  live.update(state);
  if (state && detail?.row) detail.update(state);
  header();
}

function header() {
  const up = stream.connected && state?.worker.state === "running";
  const word = stream.connected ? (state?.worker.state ?? "connecting") : "no connection";
  data(byId("health"), "up", String(up));
  text(byId("health-word"), word);
  text(byId("product"), state ? [state.product, state.model && `model ${state.model.slice(0, 8)}`].filter(Boolean).join("  ·  ") : "");
  const trouble = stream.connected ? state?.trouble : null;
  show(byId("trouble"), Boolean(trouble));
  text(byId("trouble"), trouble ?? "");
  document.title = `${live.said.includes("REJECT") ? "✗ " : ""}${state?.product || "edge-detect"}`;
}

// The page's own heart. The compositor shows "NOT LIVE" by itself unless this runs: a page that hangs can't look alive.
function beat() {
  for (const animation of byId("deadman").getAnimations()) animation.currentTime = 0;
  text(byId("clock"), clock(new Date()));
  stream.check();
  refresh();
}

const KEYS = {
  ArrowLeft: () => leaf("older"),
  ArrowRight: () => leaf("newer"),
  r: () => detail?.marks?.send("right"),
  w: () => detail?.marks?.send("wrong"),
  f: () => fullScreen(),
  "?": () => byId("help").showModal(),
  Escape: () => (location.hash = detail ? home : "#/"),
};

function leaf(way) {
  if (detail) detail[way].click();
  else if (way === "older" && state?.rejects.length) location.hash = `#/frame/${state.rejects[0].id}`;
}

function fullScreen() {
  const asked = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  asked.catch(() => {}); // a browser may refuse; then all stays as it is
}

function onKey(event) {
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (byId("help").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing && event.key !== "Escape") return;
  const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
}

function dialog() {
  const operator = byId("operator");
  const stale = byId("stale-after");
  byId("help-button").onclick = () => byId("help").showModal();
  byId("full-screen").onclick = fullScreen;
  operator.value = settings.get("operator");
  operator.onchange = () => settings.set("operator", operator.value.trim());
  stale.value = settings.get("staleAfter");
  stale.onchange = () => settings.set("staleAfter", stale.value);
  const meanings = [
    ["pass", "PASS: no defect was found"],
    ["reject", "REJECT: a defect was found"],
    ["error", "ERROR: this frame could not be judged"],
    ["none", "Grey: nothing is known of the part in front of the camera"],
  ];
  byId("legend").append(...meanings.map(([kind, words]) => el("li", { "data-kind": kind }, shape(kind), words)));
}

dialog();
window.addEventListener("hashchange", route);
document.addEventListener("keydown", onKey);
route();
beat();
setInterval(beat, 1000);
