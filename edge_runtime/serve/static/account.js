// What the margin is made of: bars that begin where the one before ends.

import { el, svg } from "./dom.js";
import { signed } from "./format.js";

const PARTS = [
  ["fine_map", "fine map", "mean of the heatmap's values"],
  ["biases", "biases", "of the convolutions above the map"],
  ["offset", "offset", "of the dense layers"],
  ["rounding", "rounding", "what sums of floats leave over"],
];

export function account(row) {
  if (!row.account) return null;
  let at = 0;
  const steps = PARTS.map(([name, words, meaning]) => {
    const from = at;
    at += row.account[name];
    return { words, meaning, from, to: at, value: row.account[name], total: false };
  });
  steps.push({ words: "margin", meaning: "logit(anomaly) − logit(good)", from: 0, to: row.margin, value: row.margin, total: true });
  const ends = steps.flatMap(({ from, to }) => [from, to]);
  const low = Math.min(0, ...ends);
  const span = Math.max(0, ...ends) - low || 1;
  return el(
    "section",
    { className: "card" },
    el("h2", {}, "The account"),
    el("p", { className: "hint" }, "The map adds up to the verdict, in logits:"),
    el("table", { className: "account" }, el("tbody", {}, steps.map((step) => line(step, (value) => (100 * (value - low)) / span)))),
  );
}

function line({ words, meaning, from, to, value, total }, x) {
  const left = Math.min(x(from), x(to));
  const bar = svg(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "account-bar", "aria-hidden": "true" },
    svg("rect", { x: left, y: 0, width: Math.max(0.4, Math.abs(x(to) - x(from))), height: 10, class: total ? "bar-total" : value < 0 ? "bar-minus" : "bar-plus" }),
    svg("path", { d: `M${x(0)} -2v14`, class: "bar-zero" }),
  );
  return el(
    "tr",
    { className: total ? "total" : "" },
    el("th", { scope: "row", title: meaning }, words),
    el("td", { className: "number" }, total ? `= ${signed(value)}` : signed(value)),
    el("td", { className: "account-cell" }, bar),
  );
}
