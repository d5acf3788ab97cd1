// Score against limit on a bar from 0 to 1.

import { el, text } from "./dom.js";
import { fixed } from "./format.js";

export class Gauge {
  constructor() {
    this.fill = el("span", { className: "gauge-fill" });
    this.limit = el("span", { className: "gauge-limit" });
    this.score = el("strong");
    this.words = el("span");
    this.node = el(
      "div",
      { className: "gauge" },
      el("p", { className: "gauge-words" }, this.score, this.words),
      el("div", { className: "gauge-bar", ariaHidden: "true" }, this.fill, this.limit),
    );
  }

  update(row) {
    const judged = row !== null && row.score !== null;
    this.node.hidden = !judged;
    if (!judged) return;
    text(this.score, `score ${fixed(row.score)}`);
    text(this.words, ` ${row.score >= row.threshold ? "≥" : "<"} limit ${fixed(row.threshold)}`);
    this.fill.style.width = `${100 * row.score}%`;
    this.limit.style.left = `${100 * Math.min(1, row.threshold)}%`;
  }
}
