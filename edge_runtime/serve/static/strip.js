// The last rejects, newest first; or what could not be judged.

import { data, el, text } from "./dom.js";
import { brief, fileName, fixed } from "./format.js";
import { shape, WORDS } from "./verdict.js";

export const MARKS = { right: "✓ right", wrong: "✗ wrong" };

export class Strip {
  constructor() {
    this.chosen = "rejects";
    this.items = new Map();
    this.list = el("ol", { className: "strip-list" });
    this.empty = el("p", { className: "strip-empty" });
    this.buttons = {
      rejects: el("button", { type: "button", className: "tab", onclick: () => this.choose("rejects") }, "Last rejects"),
      unjudged: el("button", { type: "button", className: "tab", onclick: () => this.choose("unjudged") }, "Not judged"),
    };
    this.node = el(
      "section",
      { className: "strip", ariaLabel: "Last rejects, and frames that could not be judged" },
      el("div", { className: "tabs" }, ...Object.values(this.buttons)),
      this.empty,
      this.list,
    );
  }

  choose(what) {
    this.chosen = what;
    if (this.state) this.update(this.state, this.camera);
  }

  // camera: whose rows are wanted, null for those of all.
  update(state, camera) {
    this.state = state;
    this.camera = camera;
    for (const [what, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", what === this.chosen);
    const rows = state[this.chosen].filter((row) => camera === null || (row.camera ?? "") === camera);
    const none = { rejects: ["No reject yet.", "No reject lately."], unjudged: ["Every frame could be judged.", "Every frame lately could be judged."] };
    text(this.empty, none[this.chosen][camera === null ? 0 : 1]);
    this.empty.hidden = rows.length > 0;
    const wanted = new Map(rows.map((row) => [row.id, this.items.get(row.id) ?? item(row)]));
    for (const [id, node] of this.items) if (!wanted.has(id)) node.remove();
    this.items = wanted;
    rows.forEach((row, index) => {
      const node = wanted.get(row.id);
      if (this.list.children[index] !== node) this.list.insertBefore(node, this.list.children[index] ?? null);
      mark(node.querySelector(".strip-mark"), row.mark);
    });
  }
}

export function mark(node, given) {
  data(node, "mark", given?.mark ?? "none");
  text(node, given ? MARKS[given.mark] : "not marked"); // the latter for those who listen; a glance needs no word for it
}

function item(row) {
  const reject = row.verdict === "anomaly";
  const face = reject
    ? el("img", { className: "strip-thumb", src: `/api/frames/${row.id}/thumb`, alt: "", loading: "lazy", decoding: "async" })
    : el("div", { className: "strip-thumb strip-sign" }, shape("error"));
  return el(
    "li",
    {},
    el(
      "a",
      { className: "strip-item", href: `#/frame/${row.id}`, title: row.error ?? row.frame },
      face,
      el("strong", { className: "strip-score" }, reject ? fixed(row.score, 2) : WORDS[row.verdict]),
      el("span", { className: "strip-time" }, brief(row.inspected_at)),
      row.camera ? el("span", { className: "strip-camera" }, row.camera) : null,
      el("span", { className: "unseen" }, `, ${fileName(row.frame)}, `),
      el("span", { className: "strip-mark", hidden: !reject }),
    ),
  );
}
