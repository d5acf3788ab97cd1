// What is to be said of a camera now. Colour, shape and word always come together.

import { clock, duration } from "./format.js";
import * as settings from "./settings.js";
import { svg } from "./dom.js";

export const BEHIND_S = 5;
const HOLD_S = 3; // a reject stays up so long, however fast frames follow, and every verdict, whatever becomes of its folder

export const KINDS = { good: "pass", anomaly: "reject", error: "error", skipped: "error" };
export const WORDS = { good: "PASS", anomaly: "REJECT", error: "ERROR", skipped: "SKIPPED" };

const OUTLINES = {
  pass: ["M50 4a46 46 0 1 0 0 92a46 46 0 1 0 0-92z", "M28 52l15 16 30-34"],
  reject: ["M31 4h38l27 27v38l-27 27h-38l-27-27v-38z", "M33 33l34 34M67 33l-34 34"],
  error: ["M50 5l47 87h-94z", "M50 34v30M50 76v3"],
  none: ["M8 8h84v84h-84z", "M38 32v36M62 32v36"],
};

// kind: pass a disc with a tick, reject an octagon with a cross, error a triangle, none a broken square.
export function shape(kind) {
  const [outline, sign] = OUTLINES[kind];
  return svg(
    "svg",
    { viewBox: "0 0 100 100", class: "shape", "aria-hidden": "true", "data-kind": kind },
    svg("path", { d: outline, class: "shape-outline" }),
    svg("path", { d: sign, class: "shape-sign" }),
  );
}

const none = (word, why, row = null) => ({ kind: "none", word, why, row, held: "" });

// Why there is nothing to say of any camera, or null.
export function outage(state, stream) {
  if (!stream.connected) {
    return none("NO CONNECTION", stream.lostAt ? `since ${clock(stream.lostAt)}; trying again every second` : "connecting");
  }
  const { state: worker, reason } = state.worker;
  if (worker === "failed") return none("FAILED", reason || "the inspection does not run");
  if (worker === "running") return null;
  const why = { starting: "the model is being loaded", restarting: "the inspection comes back by itself" };
  return none(worker.toUpperCase(), reason || why[worker] || "nothing is being inspected");
}

// silence: seconds since the state was received.
export function judge(camera, silence) {
  const { row, reject, away } = camera;
  const age = row ? camera.age_s + silence : Infinity;
  const last = row ? `the last was ${WORDS[row.verdict]}` : "no frame yet";
  if (away && age > HOLD_S) return none("NO FOLDER", `its folder: ${away}; ${last}`, row);
  const torn = camera.not_whole_s;
  if (torn > BEHIND_S && torn < age) return none("NOT READ YET", `a newer frame, for ${duration(torn)}; ${last}`, row);
  if (!row) return none("WAITING", "for the first frame");
  if (age > Number(settings.get("staleAfter"))) return none("NO NEW FRAME", `for ${duration(Math.floor(age))}; ${last}`, row);
  if (reject && reject.id !== row.id && camera.reject_age_s + silence < HOLD_S) {
    return { kind: "reject", word: WORDS.anomaly, why: "", row: reject, held: `stays ${HOLD_S} s; the newest frame is ${WORDS[row.verdict]}` };
  }
  return { kind: KINDS[row.verdict], word: WORDS[row.verdict], why: row.error ? "this frame could not be judged" : "", row, held: "" };
}
