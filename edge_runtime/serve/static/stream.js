// The line to the server: one state after the other, and the certainty that silence is noticed.

import * as settings from "./settings.js";

const SILENT_MS = 6000; // the server sends at least every 2 s
const RETRY_MS = 1000;

export class Stream {
  constructor(onState) {
    this.onState = onState;
    this.heard = performance.now();
    this.lostAt = null;
    this.connected = false;
    this.camera = null;
    this.open();
  }

  // Whose last rejects are sent: a camera's name, or null for all.
  watch(camera) {
    if (camera === this.camera) return;
    this.camera = camera;
    this.open();
  }

  open() {
    this.source?.close();
    this.since = settings.countedSince();
    this.opened = performance.now();
    const asked = new URLSearchParams({ since: this.since, ...(this.camera === null ? {} : { camera: this.camera }) });
    this.source = new EventSource(`/api/events?${asked}`);
    this.source.onmessage = (event) => {
      this.heard = performance.now();
      this.connected = true;
      this.lostAt = null;
      this.onState(JSON.parse(event.data));
    };
    this.source.onerror = () => this.lose();
  }

  lose() {
    if (this.connected || this.lostAt === null) this.lostAt = new Date();
    this.connected = false;
  }

  // Called every second. EventSource gives up on some errors, so it is replaced rather than trusted.
  check() {
    const now = performance.now();
    if (this.connected && now - this.heard > SILENT_MS) this.lose();
    const stuck = !this.connected && now - this.opened > (this.source.readyState === EventSource.CLOSED ? RETRY_MS : SILENT_MS);
    if (stuck || this.since !== settings.countedSince()) this.open();
  }

  // Seconds since the last state, to be added to the ages in it.
  silence() {
    return (performance.now() - this.heard) / 1000;
  }
}
