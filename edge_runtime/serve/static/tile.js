// One camera: its last frame, large, and what is said of it.

import { data, el, show, text } from "./dom.js";
import { duration, fileName, moment } from "./format.js";
import { Gauge } from "./gauge.js";
import { Picture } from "./picture.js";
import { BEHIND_S, shape } from "./verdict.js";

export class Tile {
  constructor() {
    this.picture = new Picture();
    this.gauge = new Gauge();
    this.sign = el("div", { className: "verdict-sign" });
    this.word = el("p", { className: "verdict-word" });
    this.why = el("p", { className: "verdict-why" });
    this.behind = el("p", { className: "verdict-behind" });
    this.name = el("a", { className: "tile-name" });
    this.frame = el("a", { title: "Open this result: why, and was it right?" });
    this.caption = el("figcaption", { className: "tile-caption" }, this.frame);
    this.node = el(
      "section",
      { className: "tile" },
      el("div", { className: "tile-inside" },
        el("figure", { className: "tile-figure" }, this.picture.node, this.caption),
        el("div", { className: "verdict" },
          this.name,
          el("div", { className: "verdict-main" }, this.sign, this.word),
          el("div", { className: "verdict-more" }, this.why, this.gauge.node, this.behind),
        ),
      ),
    );
  }

  // camera: null before the first frame. link: where its name leads, or null where it stands alone.
  update(camera, verdict, lag, link) {
    data(this.node, "kind", verdict.kind);
    if (this.sign.dataset.kind !== verdict.kind) this.sign.replaceChildren(shape(verdict.kind));
    data(this.sign, "kind", verdict.kind);
    text(this.word, verdict.word);
    text(this.why, verdict.why);
    show(this.why, verdict.why !== "");
    this.gauge.update(verdict.kind === "none" ? null : verdict.row);
    const torn = camera?.not_whole_s ?? 0;
    show(this.behind, verdict.kind !== "none" && Math.max(lag, torn) > BEHIND_S);
    text(this.behind, torn > lag ? `a frame can't be read yet, for ${duration(torn)}` : `${duration(lag)} behind the camera`);
    show(this.name, link !== null);
    if (link !== null) this.name.href = link;
    text(this.name, camera?.name || "no camera");
    this.node.setAttribute("aria-label", camera?.name ? `Camera ${camera.name}` : "Last frame");
    this.draw(camera, verdict);
  }

  draw(camera, verdict) {
    if (!verdict.row && this.picture.shown) return; // nothing is known now: what was last seen stays, grey
    const row = verdict.row ?? camera?.row;
    const preview = camera?.preview;
    text(this.frame, row ? [verdict.held, fileName(row.frame), row.size_wh?.join(" × "), moment(row.inspected_at)].filter(Boolean).join("  ·  ") : "");
    if (row) this.frame.href = `#/frame/${row.id}`;
    if (!row) return this.picture.say("no frame yet");
    const alt = `${verdict.word}: ${row.frame}`;
    const ready = () => this.picture.preview(camera, alt);
    if (preview?.id === row.id) return ready();
    if (row.pictures.length) return this.picture.layers(row, alt);
    if (preview && preview.verdict === row.verdict) return ready(); // a moment older, and says the same
    return this.picture.say(row.error ?? "no picture of this frame yet");
  }
}
