// What this browser remembers, and since when rows are counted.

import { clockShort } from "./format.js";

const defaults = { operator: "", staleAfter: "30", since: "shift", from: "", heat: "60" };
const SHIFT_HOURS = [6, 14, 22];

export function get(name) {
  try {
    return localStorage.getItem(`edge-detect ${name}`) ?? defaults[name];
  } catch {
    return defaults[name]; // storage may be forbidden
  }
}

export function set(name, value) {
  defaults[name] = value;
  try {
    localStorage.setItem(`edge-detect ${name}`, value);
  } catch {
    // then it is forgotten when the page is left
  }
}

function shiftStart(now) {
  const start = new Date(now);
  const hour = SHIFT_HOURS.findLast((each) => each <= now.getHours());
  if (hour === undefined) start.setDate(start.getDate() - 1); // the night shift began yesterday
  start.setHours(hour ?? SHIFT_HOURS.at(-1), 0, 0, 0);
  return start;
}

// The time from which rows count, ISO 8601 in UTC; empty for all.
export function countedSince(now = new Date()) {
  switch (get("since")) {
    case "today":
      return new Date(now.getFullYear(), now.getMonth(), now.getDate()).toISOString();
    case "reset":
      return get("from");
    case "all":
      return "";
    default:
      return shiftStart(now).toISOString();
  }
}

export function sinceChoices(now = new Date()) {
  const from = get("from");
  return [
    ["shift", `this shift, from ${clockShort(shiftStart(now))}`],
    ["today", "today"],
    ...(from ? [["reset", `from ${clockShort(new Date(from))}`]] : []),
    ["all", "everything"],
    ["now", "from now on"],
  ];
}
