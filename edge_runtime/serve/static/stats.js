// Counts of the shift, and how the inspection keeps up.

import { data, el, text } from "./dom.js";
import { duration, share, whole } from "./format.js";
import * as settings from "./settings.js";
import { BEHIND_S } from "./verdict.js";

const FIGURES = [
  ["good", "Pass"],
  ["anomaly", "Reject"],
  ["unjudged", "Not judged"],
  ["speed", "Speed"],
  ["pending", "Waiting"],
  ["lag", "Lag"],
];

const OF_ALL = FIGURES.slice(3);

export class Stats {
  // recount: called when another time to count from was chosen.
  constructor(recount) {
    this.values = {};
    this.counted = el("span", {}, "Counted");
    this.choice = el("select", { id: "since", onchange: () => this.choose(recount) });
    this.node = el(
      "section",
      { className: "stats", ariaLabel: "Counts and speed" },
      el("label", { className: "since" }, this.counted, this.choice),
      el("dl", { className: "figures" }, FIGURES.map(([name, words]) => this.figure(name, words))),
    );
    this.list();
  }

  figure(name, words) {
    const value = el("span", { className: "figure-value" }, "–");
    const more = el("span", { className: "figure-more" });
    const label = el("dt", {}, words);
    this.values[name] = { label, value, more };
    return el("div", { className: `figure figure-${name}` }, label, el("dd", {}, value, more));
  }

  choose(recount) {
    if (this.choice.value === "now") {
      settings.set("from", new Date().toISOString());
      settings.set("since", "reset");
    } else {
      settings.set("since", this.choice.value);
    }
    this.list();
    recount();
  }

  list() {
    const choices = settings.sinceChoices();
    const key = choices.join("|");
    if (key === this.listed) return; // an open list stays open
    this.listed = key;
    this.choice.replaceChildren(...choices.map(([value, words]) => el("option", { value }, words)));
    this.choice.value = settings.get("since");
  }

  // live: whether the figures are of now. name: of the camera that is looked at, null for all.
  update(state, live, name) {
    this.list();
    data(this.node, "live", String(live));
    const camera = state.cameras.find((each) => each.name === name);
    const counts = (name === null ? state : camera)?.counts;
    const { good = 0, anomaly = 0, error = 0, skipped = 0 } = counts ?? {};
    text(this.counted, name === null ? "Counted" : "Counted, this camera");
    for (const [figure, words] of OF_ALL) text(this.values[figure].label, name === null ? words : `${words} (all)`);
    const judged = good + anomaly;
    const counted = (value) => (counts ? whole(value) : "…"); // a long record takes seconds, once
    this.set("good", counted(good), share(good, judged));
    this.set("anomaly", counted(anomaly), share(anomaly, judged));
    this.set("unjudged", counted(error + skipped), error && skipped ? `${error} errors` : "");
    data(this.node, "unjudged", String(error + skipped > 0));
    const lag = Math.max(state.status.lag_s, ...state.cameras.map((each) => each.not_whole_s));
    data(this.node, "behind", String(live && lag > BEHIND_S));
    if (!live) return ["speed", "pending", "lag"].forEach((name) => this.set(name, "–", ""));
    this.set("speed", state.per_second.toFixed(1), "frames/s");
    this.set("pending", whole(state.status.pending), state.status.pending === 1 ? "frame" : "frames");
    this.set("lag", duration(Math.round(10 * lag) / 10), "");
  }

  set(name, value, more) {
    text(this.values[name].value, value);
    text(this.values[name].more, more);
  }
}
