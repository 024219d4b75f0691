// The drawing area. Strokes are kept as points, so that they can be fitted before they are sent.
import { $ } from "./api.js";

const pad = $("pad");
const pen = pad.getContext("2d", { willReadFrequently: true });
const SIDE = 512;
let drawing = { ground: "#ffffff", strokes: [] };
let extent = null; // where ink lies on images of the domain
let changed = () => {};
const past = [];
const key = { x: 256, y: 256, down: false };

export const isEmpty = () => !drawing.strokes.length;
export const snapshot = () => structuredClone(drawing);
export function restore(kept) {
  key.down = false; // the stroke under the pen may be gone
  drawing = structuredClone(kept);
  $("ground").value = drawing.ground;
  paint();
}
export function supply(colours, size) { // pen and paper as images of the domain have them
  if (colours) [$("ink").value, $("ground").value, extent] = [colours.pen, colours.paper, colours.extent];
  $("width").value = Math.min(64, extent ? extent.stroke * SIDE : 768 / size); // if unknown, one and a half pixels of the model
  drawing = { ground: $("ground").value, strokes: [] };
  past.length = 0;
  paint();
}
export function onChange(call) {
  changed = call;
}

function render(brush, at = (point) => point, scale = 1) {
  brush.fillStyle = drawing.ground;
  brush.fillRect(0, 0, SIDE, SIDE);
  brush.lineCap = brush.lineJoin = "round";
  for (const stroke of drawing.strokes) {
    brush.strokeStyle = stroke.colour;
    brush.lineWidth = stroke.width * scale;
    brush.beginPath();
    stroke.points.map(at).forEach(([x, y], i) => (i ? brush.lineTo(x, y) : brush.moveTo(x, y)));
    const [x, y] = at(stroke.points[0]);
    if (stroke.points.length === 1) brush.lineTo(x + 0.1, y); // a dot is a short line
    brush.stroke();
  }
}
function paint() {
  render(pen);
  $("ghost").style.color = light(drawing.ground) ? "#333" : "#eee";
  $("ghost").classList.toggle("gone", !isEmpty());
  $("undo").disabled = !past.length;
}
function light(colour) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return 0.3 * r + 0.6 * g + 0.1 * b > 128;
}
function fitted() { // ink as large, as wide and where images of the domain have it
  const usual = extent.stroke * SIDE;
  const widths = drawing.strokes.map((stroke) => stroke.width);
  const wider = usual / (widths.reduce((a, b) => a + b) / widths.length);
  const points = drawing.strokes.flatMap((stroke) => stroke.points);
  const [xs, ys] = [0, 1].map((i) => points.map((point) => point[i]));
  const box = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const [w, h] = [Math.max(1, box[1] - box[0]), Math.max(1, box[3] - box[2])];
  const room = (part) => Math.max(1, part * SIDE - usual);
  const scale = Math.min(room(extent.width) / w, room(extent.height) / h);
  if (Math.max(w, h) < 24) return [(point) => point, 1]; // a dot says nothing of size
  const at = ([x, y]) => [
    extent.x * SIDE + (x - (box[0] + box[1]) / 2) * scale,
    extent.y * SIDE + (y - (box[2] + box[3]) / 2) * scale,
  ];
  return [at, wider];
}
export function file() { // not toBlob, which waits for an idle moment, up to a second
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const [at, scale] = extent && !$("as-drawn").checked ? fitted() : [undefined, 1];
  render(canvas.getContext("2d"), at, scale);
  return canvas.toDataURL("image/png");
}

function keep() {
  past.push(snapshot());
  if (past.length > 50) past.shift();
}
function begin(point) {
  keep();
  drawing.strokes.push({ colour: $("ink").value, width: Number($("width").value), points: [point] });
  paint();
  changed();
}
function go(point) {
  drawing.strokes.at(-1).points.push(point);
  paint();
  changed();
}
const place = (event) => {
  const box = pad.getBoundingClientRect();
  return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
};
let down = false;
pad.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  pad.setPointerCapture(event.pointerId);
  down = true;
  begin(place(event));
});
pad.addEventListener("pointermove", (event) => down && go(place(event)));
for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => (down = false));

function cursor(shown) {
  $("cursor").hidden = !shown;
  [$("cursor").style.left, $("cursor").style.top] = [`${(key.x / SIDE) * 100}%`, `${(key.y / SIDE) * 100}%`];
  $("cursor").style.background = key.down ? $("ink").value : "none";
}
pad.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-16, 0], ArrowRight: [16, 0], ArrowUp: [0, -16], ArrowDown: [0, 16] }[event.key];
  if (!step && event.key !== " ") return;
  event.preventDefault();
  if (event.key === " ") {
    key.down = !key.down;
    $("wrong").textContent = "";
    pad.setAttribute("aria-description", key.down ? "pen down" : "pen up");
    if (key.down) begin([key.x, key.y]);
  } else {
    const inside = (value) => Math.min(SIDE, Math.max(0, value));
    [key.x, key.y] = [inside(key.x + step[0]), inside(key.y + step[1])];
    if (key.down) go([key.x, key.y]);
  }
  cursor(true);
});
pad.addEventListener("focus", () => cursor(pad.matches(":focus-visible")));
pad.addEventListener("blur", () => cursor(false));
$("undo").addEventListener("click", () => {
  restore(past.pop());
  changed();
  if ($("undo").disabled) pad.focus(); // or the focus would be nowhere
});
function emptied() {
  keep();
  drawing = { ground: $("ground").value, strokes: [] };
  key.down = false;
  paint();
  changed();
}
$("clear").addEventListener("click", emptied);
$("ground").addEventListener("change", () => {
  keep();
  drawing.ground = $("ground").value;
  paint();
  changed();
});
$("as-drawn").addEventListener("change", () => changed());
