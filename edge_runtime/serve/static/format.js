// Numbers and times as people read them.

export const fixed = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
export const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
export const percent = (share) => `${Math.round(share * 100)} %`;
export const whole = (value) => (value ?? 0).toLocaleString("en").replaceAll(",", " ");

export function share(part, all) {
  if (!all) return "";
  const value = (100 * part) / all;
  return `${value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
}

export function duration(seconds) {
  if (seconds < 100) return `${seconds < 10 && seconds % 1 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

const two = (number) => String(number).padStart(2, "0");
export const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
export const clockShort = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
export const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

// Of today the time, of other days the day, too.
export function moment(iso, now = new Date()) {
  const date = new Date(iso);
  return day(date) === day(now) ? clock(date) : `${day(date)} ${clockShort(date)}`;
}

// The shortest that tells: the time of today, the date of other days.
export function brief(iso, now = new Date()) {
  const date = new Date(iso);
  return day(date) === day(now) ? clockShort(date) : day(date).slice(5);
}

export const fileName = (frame) => frame.slice(frame.lastIndexOf("/") + 1);
