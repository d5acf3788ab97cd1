// The live page: a tile per camera, figures, and the last rejects.

import { byId, data, el, show, text } from "./dom.js";
import { Stats } from "./stats.js";
import { Strip } from "./strip.js";
import { Tile } from "./tile.js";
import { judge, outage } from "./verdict.js";

const ANNOUNCE_MS = 4000;

export const linkTo = (camera) => `#/camera/${encodeURIComponent(camera.name)}`;

export class Live {
  constructor(stream) {
    this.stream = stream;
    this.tiles = new Map();
    this.focus = null;
    this.said = "";
    this.saidAt = -Infinity;
    this.place = el("div", { className: "tiles" });
    this.all = el("a", { className: "tab all-cameras", href: "#/" }, "All cameras");
    this.stats = new Stats(() => stream.open());
    this.strip = new Strip();
    this.node = el("div", { className: "live" }, el("h1", { className: "unseen" }, "Live"), this.all, this.place, this.stats.node, this.strip.node);
  }

  // Once a second, and with every state: verdicts also change because nothing comes.
  update(state) {
    if (!state) return this.draw([[null, this.silent()]], 0);
    const down = outage(state, this.stream);
    const silence = this.stream.silence();
    const verdicts = state.cameras.map((camera) => [camera, down ?? judge(camera, silence)]);
    const shown = verdicts.filter(([camera]) => this.focus === null || camera.name === this.focus);
    const waiting = [null, down ?? judge({ row: null }, 0)];
    show(this.all, this.focus !== null);
    this.draw(shown.length ? shown : [waiting], state.status.lag_s, verdicts.length > 1);
    this.stats.update(state, this.stream.connected, this.focus);
    this.strip.update(state, this.focus);
    this.announce(verdicts);
    this.pill(verdicts, waiting[1]);
  }

  silent() {
    const { lostAt } = this.stream;
    return { kind: "none", word: lostAt ? "NO CONNECTION" : "CONNECTING", why: "to the inspection", row: null, held: "" };
  }

  draw(shown, lag, several = false) {
    const tiles = shown.map(([camera]) => this.tile(camera));
    const nodes = tiles.map((tile) => tile.node);
    if (nodes.length !== this.place.children.length || nodes.some((node, index) => node !== this.place.children[index])) {
      this.place.replaceChildren(...nodes);
      data(this.place, "count", String(Math.min(nodes.length, 9)));
    }
    shown.forEach(([camera, verdict], index) => {
      tiles[index].update(camera, verdict, lag, camera && several ? linkTo(camera) : null);
    });
  }

  // Kept while the page is open, also of cameras that are not in sight.
  tile(camera) {
    const key = camera ? camera.name : null;
    if (!this.tiles.has(key)) this.tiles.set(key, new Tile());
    return this.tiles.get(key);
  }

  // For those who listen: what has changed, at most every few seconds.
  announce(verdicts) {
    const words = verdicts.map(([camera, { word }]) => `${camera.name} ${word}`).join(", ");
    const now = performance.now();
    if (words === this.said || now - this.saidAt < ANNOUNCE_MS) return;
    this.said = words;
    this.saidAt = now;
    text(byId("announcer"), words);
  }

  // While something else is looked at, or not all tiles are in sight, the worst of all cameras is. One that is idle hides no other.
  pill(verdicts, waiting) {
    const kinds = ["pass", "none", "error", "reject"];
    const rank = ({ kind, word }) => kinds.indexOf(kind) - (word === "WAITING" || word === "SKIPPED" ? 0.5 : 0);
    const several = verdicts.length > 1;
    const [camera, worst] = [...verdicts].sort(([, a], [, b]) => rank(b) - rank(a))[0] ?? [null, waiting];
    const alike = verdicts.filter(([, { word }]) => word === worst.word).length;
    const where = { [verdicts.length]: "all", 1: camera?.name }[alike] ?? `${alike} of ${verdicts.length}`;
    const pill = byId("live-pill");
    data(pill, "kind", worst.kind);
    data(pill, "several", String(several));
    const hidden = this.focus !== null || this.place.scrollHeight > this.place.clientHeight + 1;
    data(pill, "elsewhere", String(several && hidden));
    text(pill, several ? `${worst.word}: ${where}` : `Live: ${worst.word}`);
    pill.href = several && alike === 1 ? linkTo(camera) : "#/";
  }
}
