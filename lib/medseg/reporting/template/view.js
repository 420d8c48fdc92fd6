// One case at a time on a canvas: the picture, and masks from run lengths (starts from 1, row by row).
"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const at = (id) => document.getElementById(id);
const shown = { truth: true, predicted: true, difference: false };
const zooms = ["Fit", "Own size", "Twice"];
let order = [], place = 0, zoom = 0, picture = new Image();

const css = (colour) => `rgb(${colour.join(" ")})`;
for (const [kind, colour] of [["truth", "truth"], ["predicted", "predicted"], ["found", "found"], ["missed", "missed"],
  ["false", "false alarm"]]) {
  for (const swatch of document.querySelectorAll(`i.${kind}`)) swatch.style.background = css(content.colours[colour]);
}
const sets = [...new Set(content.cases.map((one) => one.set))];
for (const [id, all, names] of [["set", "all", sets], ["class", "all together", content.classes]]) {
  at(id).append(new Option(all, ""), ...names.map((name) => new Option(name, name)));
  at(id).closest("label").hidden = names.length < 2;
  if (names.length < 2) at(id).closest("label").style.display = "none";
}

const chosen = () => (at("class").value ? [at("class").value] : content.classes);
const dice = (one) => (at("class").value in one.by_class ? one.by_class[at("class").value] : one.dice);
const text = (value) => (value === null ? "not scored" : value.toFixed(3));

function mask(one, kind) {
  const pixels = new Uint8Array(one.width * one.height);
  for (const name of chosen()) {
    const numbers = one[kind][name] ? one[kind][name].split(" ").map(Number) : [];
    for (let n = 0; n < numbers.length; n += 2) pixels.fill(1, numbers[n] - 1, numbers[n] - 1 + numbers[n + 1]);
  }
  return pixels;
}

function outline(pixels, width, height, thick) {
  const edge = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const here = y * width + x;
    if (!pixels[here]) continue;
    const inside = x > 0 && y > 0 && x < width - 1 && y < height - 1 && pixels[here - 1] && pixels[here + 1] &&
      pixels[here - width] && pixels[here + width];
    if (inside) continue;
    for (let dy = -thick; dy <= thick; dy++) for (let dx = -thick; dx <= thick; dx++) {
      const u = x + dx, v = y + dy;
      if (u >= 0 && v >= 0 && u < width && v < height) edge[v * width + u] = 1;
    }
  }
  return edge;
}

function draw() {
  const one = order[place], canvas = at("canvas"), context = canvas.getContext("2d");
  if (!one) return;
  canvas.width = one.width;
  canvas.height = one.height;
  context.drawImage(picture, 0, 0);
  const image = context.getImageData(0, 0, one.width, one.height), data = image.data;
  const truth = mask(one, "truth"), found = mask(one, "predicted");
  const paint = (here, colour, share) => {
    for (let c = 0; c < 3; c++) data[4 * here + c] = data[4 * here + c] * (1 - share) + colour[c] * share;
  };
  if (shown.difference) {
    for (let here = 0; here < truth.length; here++) {
      const name = truth[here] ? (found[here] ? "found" : "missed") : found[here] ? "false alarm" : "";
      if (name) paint(here, content.colours[name], 0.6);
      else paint(here, [0, 0, 0], 0.45);
    }
  }
  const thick = Math.floor(Math.max(one.width, one.height) / 700);
  for (const [kind, pixels] of [["truth", truth], ["predicted", found]]) {
    if (!shown[kind]) continue;
    const edge = outline(pixels, one.width, one.height, thick);
    for (let here = 0; here < edge.length; here++) if (edge[here]) paint(here, content.colours[kind], 1);
  }
  context.putImageData(image, 0, 0);
  scale();
  canvas.setAttribute("aria-label", `${one.id}, Dice ${text(dice(one))}: picture with ${
    Object.keys(shown).filter((kind) => shown[kind]).join(", ") || "no masks"}`);
}

function scale() {
  const one = order[place], stage = at("stage");
  const fit = Math.min(stage.clientWidth / one.width, Math.max(stage.clientHeight, 280) / one.height);
  const factor = [fit, 1, 2][zoom];
  at("canvas").style.width = `${Math.floor(one.width * factor)}px`;
  at("canvas").style.height = `${Math.floor(one.height * factor)}px`;
  at("zoom").textContent = zooms[zoom];
}

function show(number) {
  if (!order.length) return;
  place = Math.min(Math.max(number, 0), order.length - 1);
  const one = order[place];
  at("case").textContent = `${one.id} · Dice ${text(dice(one))} · ${one.set} · ${place + 1} of ${order.length}`;
  for (const [n, item] of [...at("list").children].entries()) {
    if (n === place) {
      item.setAttribute("aria-current", "true");
      item.scrollIntoView({ block: "nearest" });
    } else item.removeAttribute("aria-current");
  }
  picture = new Image();
  picture.onload = draw;
  picture.src = one.picture;
}

function sort() {
  const keep = order[place];
  const worst = (a, b) => (dice(a) ?? 2) - (dice(b) ?? 2);
  const rules = {
    worst, best: (a, b) => (dice(b) ?? -1) - (dice(a) ?? -1),
    case: (a, b) => a.id.localeCompare(b.id, "en", { numeric: true }),
    group: (a, b) => a.group.localeCompare(b.group, "en", { numeric: true }) || worst(a, b),
  };
  order = content.cases.filter((one) => !at("set").value || one.set === at("set").value);
  order.sort(rules[at("order").value]);
  at("list").replaceChildren(...order.map((one, number) => {
    const item = document.createElement("li");
    for (const words of [one.id, text(dice(one))]) {
      const part = document.createElement("span");
      part.textContent = words;
      item.append(part);
    }
    item.onclick = () => show(number);
    return item;
  }));
  show(Math.max(0, order.indexOf(keep)));
}

function toggle(kind) {
  shown[kind] = !shown[kind];
  at(kind).setAttribute("aria-pressed", shown[kind]);
  at("legend").hidden = !shown.difference;
  draw();
}

const keys = {
  ArrowRight: () => show(place + 1), ArrowLeft: () => show(place - 1), Home: () => show(0),
  End: () => show(order.length - 1), t: () => toggle("truth"), p: () => toggle("predicted"),
  d: () => toggle("difference"), z: () => { zoom = (zoom + 1) % 3; scale(); }, "?": () => at("help").showModal(),
};
document.addEventListener("keydown", (event) => {
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT" || at("help").open) return;
  event.preventDefault();
  act();
});
for (const kind of Object.keys(shown)) at(kind).onclick = () => toggle(kind);
at("previous").onclick = keys.ArrowLeft;
at("next").onclick = keys.ArrowRight;
at("zoom").onclick = keys.z;
at("keys").onclick = keys["?"];
for (const id of ["set", "class", "order"]) at(id).onchange = sort;
addEventListener("resize", () => order.length && scale());
sort();
