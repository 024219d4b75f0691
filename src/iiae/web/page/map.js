// Items of the gallery on the plane of the main directions of a latent.
import { $, json, make, say, state } from "./api.js";
import * as query from "./query.js";

const canvas = $("points");
const MARGIN = 30;
let plane = null;
let places = [];
let at = -1;
let loaded = null;
const OTHERS = "#99999988";
export const placeOf = (i) => places[i];
const COLOURS = ["#4477aa", "#ee6677", "#228833", "#aa8800", "#66ccee", "#aa3377", "#882255", "#ee7733", "#009988", "#cc3311"];

export async function load() {
  const by = $("map-by").value;
  if (loaded !== by) {
    say("map-status", "Loading ...");
    try {
      plane = await json(`map?by=${by}`);
    } catch (error) {
      return say("map-status", error.message, true);
    }
    loaded = by;
    const shares = plane.explained.map((share) => `${Math.round(100 * share)}%`);
    $("map-note").textContent = `${plane.items.length.toLocaleString()} items by the two main directions (PCA), which hold ${shares.join(" and ")} of the variance. Click one for more like it; with the keyboard: arrows and Enter.`;
    columns();
    say("map-status", "");
  }
  paint();
}
function columns() {
  const before = $("map-colour").value;
  const labelled = plane.items.some((item) => item.label !== null);
  const names = [...(labelled ? ["label"] : []), ...state.about.gallery.columns.filter((name) => plane.items[0] && name in plane.items[0].metadata)];
  $("map-colour").replaceChildren(...names.map((name) => make("option", name)));
  if (names.includes(before)) $("map-colour").value = before;
}
const value = (item) => ($("map-colour").value === "label" ? item.label : item.metadata[$("map-colour").value]);
function colouring() {
  const values = plane.items.map(value);
  const some = values.filter((one) => one !== null && one !== undefined);
  const count = new Map();
  for (const one of some) count.set(one, (count.get(one) ?? 0) + 1);
  const different = [...count.keys()].sort((a, b) => count.get(b) - count.get(a)); // the most frequent have colours
  const numeric = some.every((one) => typeof one === "number") && different.length > COLOURS.length;
  if (numeric) {
    const [low, high] = [Math.min(...some), Math.max(...some)];
    const shade = (one) => `hsl(${240 - (240 * (one - low)) / (high - low || 1)} 70% 50%)`;
    const steps = [0, 0.25, 0.5, 0.75, 1].map((part) => low + part * (high - low));
    return { of: (one) => (typeof one === "number" ? shade(one) : OTHERS), legend: steps.map((one) => [Number(one.toPrecision(3)), shade(one)]) };
  }
  const index = new Map(different.slice(0, COLOURS.length).map((one, i) => [one, COLOURS[i]]));
  const legend = [...index].sort(([a], [b]) => (a < b ? -1 : 1));
  if (different.length > COLOURS.length || some.length < values.length) legend.push(["others", OTHERS]);
  return { of: (one) => index.get(one) ?? OTHERS, legend };
}
function paint() {
  const [xs, ys] = [0, 1].map((i) => plane.points.map((point) => point[i]));
  const spread = (values, size) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (one) => MARGIN + ((one - low) * (size - 2 * MARGIN)) / (high - low || 1);
  };
  const [x, y] = [spread(xs, canvas.width), spread(ys, canvas.height)];
  places = plane.points.map((point) => [x(point[0]), canvas.height - y(point[1])]);
  const colours = colouring();
  const brush = canvas.getContext("2d");
  brush.clearRect(0, 0, canvas.width, canvas.height);
  plane.items.forEach((item, i) => {
    brush.fillStyle = colours.of(value(item));
    brush.beginPath();
    brush.arc(...places[i], i === at ? 12 : 7, 0, 7);
    brush.fill();
  });
  if (at >= 0) {
    brush.strokeStyle = getComputedStyle(document.body).getPropertyValue("--ink");
    brush.lineWidth = 4;
    brush.beginPath();
    brush.arc(...places[at], 16, 0, 7);
    brush.stroke();
  }
  $("legend").replaceChildren(...colours.legend.map(([text, colour]) => {
    const [item, dot] = [make("li"), make("i")];
    dot.style.background = colour;
    item.append(dot, String(text));
    return item;
  }));
  canvas.setAttribute("aria-label", `${plane.items.length} items, coloured by ${$("map-colour").value}`);
}
function go(to) {
  if (to === at || !plane) return;
  at = to;
  paint();
  const item = plane.items[at];
  say("map-status", item ? [item.name, item.label, ...Object.entries(item.metadata).filter((pair) => pair[1] !== null).map(([k, v]) => `${k}: ${v}`)].filter(Boolean).join(" · ") : "");
}
function point(event) { // a tap moves no pointer before it
  const box = canvas.getBoundingClientRect();
  const [x, y] = [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  const far = places.map((place) => Math.hypot(place[0] - x, place[1] - y));
  const nearest = far.indexOf(Math.min(...far));
  go(far[nearest] < 30 ? nearest : -1);
}
for (const kind of ["pointermove", "pointerdown"]) canvas.addEventListener(kind, point);
function beside([x, y], [right, down]) { // the nearest item in a direction, or of all
  const cost = places.map(([px, py], i) => {
    const [dx, dy] = [px - x, py - y];
    const along = dx * right + dy * down;
    if (i === at || ((right || down) && along <= 0)) return Infinity;
    return Math.hypot(dx, dy) + (right || down ? 2 * Math.abs(dx * down) + 2 * Math.abs(dy * right) : 0);
  });
  const best = Math.min(...cost);
  return best === Infinity ? at : cost.indexOf(best);
}
function open() {
  const item = plane?.items[at];
  if (item) $("tab-search").click();
  if (item) query.like(item.id, item.name);
}
canvas.addEventListener("click", open);
canvas.addEventListener("keydown", (event) => {
  const way = { ArrowRight: [1, 0], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowUp: [0, -1] }[event.key];
  if (event.key === "Enter") open();
  if (!way || !plane?.items.length) return;
  event.preventDefault();
  go(beside(at < 0 ? [canvas.width / 2, canvas.height / 2] : places[at], at < 0 ? [0, 0] : way));
});
$("map-by").addEventListener("change", load);
$("map-colour").addEventListener("change", paint);
