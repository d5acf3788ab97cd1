// One result: its frame in layers, boxes, account, proof, the five steps, and the mark.

import { account } from "./account.js";
import { el, text } from "./dom.js";
import { duration, fileName, fixed, moment, percent, signed } from "./format.js";
import { Gauge } from "./gauge.js";
import { Marks } from "./marks.js";
import { Picture } from "./picture.js";
import * as settings from "./settings.js";
import { KINDS, shape, WORDS } from "./verdict.js";

export class Detail {
  // home: the address of the page to go back to.
  constructor(id, home) {
    this.id = id;
    this.title = el("h1", { className: "detail-title", tabIndex: -1 });
    this.where = el("p", { className: "detail-where" });
    this.body = el("div", { className: "detail-body" });
    this.older = step("older", "← older");
    this.newer = step("newer", "newer →");
    this.node = el(
      "article",
      { className: "detail" },
      el("nav", { className: "detail-nav", ariaLabel: "Results" }, el("a", { className: "button", href: home }, "‹ Live"), el("div", { className: "detail-head" }, this.title, this.where), this.older, this.newer),
      this.body,
    );
  }

  // Returns whether there is an answer; without one it is worth another try.
  async load() {
    text(this.title, `Result ${this.id}`);
    try {
      const answer = await fetch(`/api/frames/${this.id}`);
      if (!answer.ok) throw new Error(await answer.text());
      const { row, older, newer } = await answer.json();
      this.row = row;
      lead(this.older, older);
      lead(this.newer, newer);
      this.draw(row);
      return true;
    } catch (error) {
      const words = error instanceof TypeError ? "No connection; this page tries again by itself." : error.message;
      this.body.replaceChildren(el("p", { className: "detail-missing" }, words));
      return !(error instanceof TypeError);
    }
  }

  draw(row) {
    text(this.title, fileName(row.frame));
    text(this.where, [row.camera, moment(row.inspected_at)].filter(Boolean).join("  ·  "));
    this.picture = new Picture();
    this.picture.layers(row, `${WORDS[row.verdict]}: ${row.frame}`);
    this.marks = row.score === null ? null : new Marks(row);
    const sides = [verdictCard(row), this.marks?.node, boxes(row, this.picture), account(row), proof(row)];
    this.body.replaceChildren(
      el("div", { className: "detail-main" }, this.picture.node, layers(row, this.picture), lacking(row)),
      el("div", { className: "detail-side" }, sides.filter(Boolean)),
      el("div", { className: "detail-more" }, panel(row), facts(row)),
    );
  }

  // Someone else may mark it, too; and of a pass that is the camera's last frame there is a picture as long as it is.
  update(state) {
    const camera = state.cameras.find((each) => each.preview?.id === this.id);
    if (camera && !Object.keys(this.row.pictures).length) this.picture.preview(camera, `${WORDS[this.row.verdict]}: ${this.row.frame}`);
    const seen = state.rejects.find((each) => each.id === this.id);
    if (seen && this.marks && JSON.stringify(seen.mark) !== JSON.stringify(this.row.mark)) this.marks.update(seen.mark);
  }
}

function step(name, words) {
  return el("a", { className: `button step-${name}` }, words);
}

function lead(link, id) {
  if (id === null) link.removeAttribute("href");
  else link.href = `#/frame/${id}`;
  link.setAttribute("aria-disabled", id === null);
}

function verdictCard(row) {
  const gauge = new Gauge();
  gauge.update(row);
  const kind = KINDS[row.verdict];
  return el(
    "section",
    { className: "card detail-verdict", "data-kind": kind },
    el("div", { className: "detail-word", "data-kind": kind }, shape(kind), el("p", {}, WORDS[row.verdict])),
    row.error ? el("p", { className: "detail-reason" }, row.error) : null,
    row.pictures.error ? el("p", { className: "detail-reason" }, `Its file is kept in the results: ${row.pictures.error}`) : null,
    gauge.node,
  );
}

// The slider appears where the heat was stored by itself.
function layers(row, picture) {
  const kinds = Object.keys(row.pictures);
  if (!kinds.includes("input")) return null;
  const tick = el("input", { type: "checkbox", checked: true });
  tick.onchange = () => {
    for (const layer of [picture.boxes, picture.labels]) layer.classList.toggle("off", !tick.checked);
  };
  const boxes = row.defects.length ? el("label", { className: "tick" }, tick, "Boxes") : null;
  if (!kinds.includes("heat")) return el("div", { className: "layers" }, boxes);
  const slider = el("input", { type: "range", min: 0, max: 100, id: "heat" });
  const value = el("output", { htmlFor: "heat" });
  const apply = () => {
    picture.heat.style.opacity = slider.value / 100;
    text(value, `${slider.value} %`);
  };
  slider.value = settings.get("heat");
  slider.oninput = apply;
  slider.onchange = () => settings.set("heat", slider.value);
  apply();
  return el("div", { className: "layers" }, el("label", { className: "slider" }, el("span", {}, "Heat"), slider, value), boxes);
}

// Why there is less to see than for other results.
function lacking(row) {
  const lacks = [["heat slider", "input", "heat"], ["five steps", "panel"]].filter(([, ...kinds]) => !kinds.every((kind) => kind in row.pictures));
  if (row.score === null || !lacks.length) return null;
  const good = row.verdict === "good" ? ", of good frames only with --save-for all" : "";
  return el("p", { className: "hint" }, `No ${lacks.map(([words]) => words).join(", no ")}: what they need is made only while watch runs with --serve and no frame waits to be judged, or with --save input,heat,panel${good}.`);
}

function boxes(row, picture) {
  if (!row.defects.length) return null;
  const proven = row.defects.some((defect) => defect.without_box);
  const heads = ["Box", "Share", "Logits", ...(proven ? ["Without it"] : [])];
  const lines = row.defects.map((defect, index) =>
    el(
      "tr",
      { onmouseenter: () => picture.highlight(index), onmouseleave: () => picture.highlight(null), title: `${defect.map} map; [${defect.box_xyxy.join(", ")}]` },
      el("th", { scope: "row" }, String(index + 1)),
      el("td", {}, percent(defect.contribution)),
      el("td", {}, signed(defect.logits)),
      defect.without_box ? el("td", {}, defect.without_box.flips ? "passes" : "still a reject") : null,
    ),
  );
  return el(
    "section",
    { className: "card" },
    el("h2", {}, row.defects.length === 1 ? "One box" : `${row.defects.length} boxes`),
    el("table", { className: "boxes" }, el("thead", {}, el("tr", {}, heads.map((words) => el("th", { scope: "col" }, words)))), el("tbody", {}, lines)),
    el("p", { className: "hint" }, "Share: of all evidence for a defect. Logits: what the box adds to the margin."),
  );
}

function proof(row) {
  if (!row.proof) return null;
  const { without_boxes: without, control } = row.proof;
  const says = (tried) => `${tried.flips ? "it passes" : "still a reject"} (margin ${signed(tried.margin)})`;
  return el(
    "section",
    { className: "card" },
    el("h2", {}, "The proof"),
    el("dl", { className: "facts" }, fact("Without its boxes", says(without)), fact("Without equal boxes elsewhere", control ? says(control) : "no room to try")),
  );
}

function panel(row) {
  if (!("panel" in row.pictures)) return null;
  const address = `/api/frames/${row.id}/panel`;
  const image = el("img", { src: address, alt: "Input, coarse map, heatmap, cut-out and boxes, side by side" });
  const link = el("a", { href: address, target: "_blank", rel: "noopener", className: "steps-link" }, image);
  const card = el("section", { className: "card steps" }, el("h2", {}, "The five steps"), link);
  image.onerror = () => card.remove(); // old pictures make room for new ones
  return card;
}

const fact = (words, value) => el("div", {}, el("dt", {}, words), el("dd", {}, value));

function facts(row) {
  const ms = Object.entries(row.elapsed_ms);
  const all = ms.reduce((sum, [, each]) => sum + each, 0);
  return el(
    "section",
    { className: "card" },
    el("h2", {}, "The facts"),
    el(
      "dl",
      { className: "facts" },
      fact("Frame", row.frame),
      row.camera ? fact("Camera", row.camera) : null,
      row.size_wh ? fact("Size", `${row.size_wh.join(" × ")} pixels`) : null,
      fact("Inspected", moment(row.inspected_at)),
      row.margin === null ? null : fact("Margin", `${signed(row.margin)} logits, score ${fixed(row.score, 6)}`),
      fact("Took", `${duration(all / 1000)}: ${ms.map(([stage, each]) => `${stage} ${each.toFixed(1)} ms`).join(", ")}`),
      row.sha256 ? fact("SHA-256", row.sha256) : null,
      fact("Model", row.model),
      fact("Number", String(row.id)),
    ),
  );
}
