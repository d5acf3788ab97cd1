"use strict";
(() => {
  const AT_ONCE = innerWidth < 600 ? 20 : 60;
  const part = (id) => document.getElementById(id);
  const gallery = part("gallery");
  if (!gallery) return;
  const cards = [...gallery.children];
  const byName = new Intl.Collator(undefined, { numeric: true }).compare;
  const number = (card, key) => Number(card.dataset[key]);
  const orders = {
    score: (a, b) => number(b, "score") - number(a, "score") || number(b, "margin") - number(a, "margin") || number(b, "id") - number(a, "id"),
    "-score": (a, b) => number(a, "score") - number(b, "score") || number(a, "margin") - number(b, "margin") || number(a, "id") - number(b, "id"),
    id: (a, b) => number(b, "id") - number(a, "id"),
    "-id": (a, b) => number(a, "id") - number(b, "id"),
    name: (a, b) => byName(a.dataset.name, b.dataset.name),
  };
  let limit = AT_ONCE;
  let matching = [];

  const show = () => {
    const wanted = (key) => part(key)?.value || null;
    const text = part("name").value.trim().toLowerCase();
    matching = cards
      .filter((card) => ["verdict", "camera", "mark"].every((key) => [null, card.dataset[key]].includes(wanted(key))))
      .filter((card) => card.dataset.name.toLowerCase().includes(text))
      .sort(orders[part("sort").value]);
    gallery.replaceChildren(...matching.slice(0, limit));
    for (const image of gallery.querySelectorAll("img")) image.loading = "eager"; // so that they are there on paper, too
    const left = matching.length - gallery.children.length;
    const shown = gallery.children.length.toLocaleString("en");
    part("shown").textContent = left > 0 ? `${shown} of ${matching.length.toLocaleString("en")} shown` : `${shown} shown`;
    part("more").hidden = left <= 0;
    part("more").textContent = `Show ${Math.min(left, AT_ONCE)} more`;
  };
  const start = () => {
    limit = AT_ONCE;
    show();
  };

  part("tools").addEventListener("input", start);
  part("tools").addEventListener("submit", (event) => event.preventDefault());
  part("more").addEventListener("click", () => {
    const before = gallery.children.length;
    limit += AT_ONCE;
    show();
    gallery.children[before]?.querySelector("a")?.focus();
  });
  part("tools").hidden = false;
  start();
})();
