// A frame with its heat and boxes in layers, fitted into the place that there is.

import { el, svg, text } from "./dom.js";
import { percent } from "./format.js";

export class Picture {
  constructor() {
    this.image = el("img", { className: "frame-layer", alt: "" });
    this.heat = el("img", { className: "frame-layer frame-heat", alt: "" });
    this.boxes = svg("svg", { class: "frame-boxes", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.labels = el("div", { className: "frame-labels", ariaHidden: "true" });
    this.frame = el("div", { className: "frame" }, this.image, this.heat, this.boxes, this.labels);
    this.note = el("p", { className: "frame-note" });
    this.node = el("div", { className: "frame-place" }, this.frame, this.note);
    this.shown = "";
    this.image.onload = () => this.fit();
    this.image.onerror = () => this.say("its picture is not there (any more)");
  }

  say(words) {
    this.shown = `note ${words}`;
    this.frame.hidden = true;
    this.note.hidden = false;
    text(this.note, words);
  }

  // The small picture of a camera's last frame. A slow browser skips some.
  preview(camera, alt) {
    const loading = this.shown.startsWith("preview") && !this.image.complete;
    if (!loading) this.plain(`preview ${camera.preview.number}`, `/api/cameras/${camera.key}/preview?number=${camera.preview.number}`, alt);
  }

  // A ready-made picture. key: shown once, it is not loaded again.
  plain(key, address, alt) {
    if (this.shown === key) return;
    this.begin(key, alt);
    this.heat.hidden = true;
    this.draw(null);
    this.image.src = address;
  }

  // The stored pictures of a result.
  layers(row, alt) {
    const key = `row ${row.id}`;
    if (this.shown === key) return;
    const kinds = Array.isArray(row.pictures) ? row.pictures : Object.keys(row.pictures);
    const address = (kind) => `/api/frames/${row.id}/${kind}`;
    if (kinds.includes("input")) {
      this.begin(key, alt);
      this.heat.hidden = !kinds.includes("heat");
      if (!this.heat.hidden) this.heat.src = address("heat");
      this.draw(row);
      this.image.src = address("input");
    } else if (kinds.includes("overlay")) {
      this.plain(key, address("overlay"), alt);
    } else {
      this.say("no picture of this frame was stored");
    }
  }

  begin(key, alt) {
    this.shown = key;
    this.frame.hidden = false;
    this.frame.classList.add("loading"); // boxes and heat wait for their frame
    this.note.hidden = true;
    this.image.alt = alt;
  }

  fit() {
    this.frame.classList.remove("loading");
    const { naturalWidth: width, naturalHeight: height } = this.image;
    if (width && height) this.frame.style.setProperty("--ratio", width / height);
  }

  draw(row) {
    this.boxes.replaceChildren();
    this.labels.replaceChildren();
    if (!row?.size_wh) return;
    const [width, height] = row.size_wh;
    this.boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const rim = Math.max(width, height) * 0.004; // outside the box, so that nothing of the defect is covered
    row.defects.forEach((defect, index) => {
      const [x0, y0, x1, y1] = defect.box_xyxy;
      const corners = { x: x0 - rim, y: y0 - rim, width: x1 - x0 + 2 * rim, height: y1 - y0 + 2 * rim };
      this.boxes.append(
        svg("g", { class: "box", "data-box": index }, svg("rect", { ...corners, class: "box-rim" }), svg("rect", { ...corners, class: "box-line" })),
      );
      this.labels.append(label(defect, x0 / width, y0 / height, x1 / width, y1 / height, index));
    });
  }

  highlight(index) {
    for (const node of this.node.querySelectorAll("[data-box]")) node.classList.toggle("lit", node.dataset.box === String(index));
  }
}

// Beside the box, never on it, and within the picture. All in parts of the frame's size.
function label(defect, left, top, right, bottom, index) {
  const node = el("span", { className: "box-label" }, percent(defect.contribution));
  node.dataset.box = index;
  if (top > 0.1) node.style.bottom = `${100 * (1 - top) + 0.6}%`;
  else node.style.top = `${100 * bottom + 0.6}%`;
  if (left < 0.8) node.style.left = `${100 * left}%`;
  else node.style.right = `${100 * (1 - right)}%`;
  return node;
}
