// "This reject was right", "this pass was wrong": who says so is asked once.

import { el, show, text } from "./dom.js";
import { moment } from "./format.js";
import * as settings from "./settings.js";
import { MARKS } from "./strip.js";

export class Marks {
  constructor(row) {
    this.row = row;
    this.state = el("p", { className: "mark-state", role: "status" });
    this.problem = el("p", { className: "mark-problem", role: "alert", hidden: true });
    this.who = el("input", { type: "text", maxLength: 60, value: settings.get("operator"), autocomplete: "name", spellcheck: false, id: "who" });
    this.who.onchange = () => settings.set("operator", this.who.value.trim());
    this.who.onkeydown = (event) => {
      if (event.key === "Enter") this.named();
    };
    const what = row.verdict === "anomaly" ? "reject" : "pass";
    this.buttons = {
      right: button("right", `This ${what} was right`, "R", () => this.send("right")),
      wrong: button("wrong", `This ${what} was wrong`, "W", () => this.send("wrong")),
    };
    this.node = el(
      "section",
      { className: "card marks" },
      el("h2", {}, "Was it right?"),
      el("div", { className: "mark-buttons" }, this.buttons.right, this.buttons.wrong),
      el("label", { className: "field" }, "Your name", this.who),
      this.problem,
      this.state,
    );
    this.update(row.mark);
  }

  update(mark) {
    this.row.mark = mark;
    for (const [name, node] of Object.entries(this.buttons)) node.setAttribute("aria-pressed", mark?.mark === name);
    text(this.state, mark ? `${MARKS[mark.mark]}, says ${mark.who}, ${moment(mark.at)}` : "Not marked yet. Marks are kept with the results, for the next training.");
  }

  // The name is there: so is what was waiting for it. The keys mark again.
  named() {
    this.who.blur();
    if (this.waiting) this.send(this.waiting);
  }

  async send(mark) {
    const who = this.who.value.trim();
    this.waiting = who ? null : mark;
    if (!who) {
      this.fail("Enter your name, and press Enter: a mark says whose it is.");
      this.who.focus();
      return;
    }
    settings.set("operator", who);
    try {
      const answer = await fetch(`/api/frames/${this.row.id}/mark`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ mark, who }),
      });
      if (!answer.ok) throw new Error(await answer.text());
      const { row } = await answer.json();
      this.fail("");
      this.update(row.mark);
    } catch (error) {
      this.fail(`The mark was not stored: ${error instanceof TypeError ? "no connection" : error.message}`);
    }
  }

  fail(words) {
    text(this.problem, words);
    show(this.problem, words !== "");
  }
}

function button(mark, words, key, onclick) {
  return el(
    "button",
    { type: "button", className: `mark-button mark-${mark}`, onclick },
    el("span", { className: "mark-sign", ariaHidden: "true" }, MARKS[mark][0]),
    el("span", {}, words),
    el("kbd", { ariaHidden: "true" }, key),
  );
}
