// What is asked: a drawing, a picture, an example, an item of the gallery, or numbers.
import { $, banded, blobOf, flat, json, make, named, one, picture, show, state } from "./api.js";
import * as pad from "./pad.js";
import { askCovariates, numbers, readNumbers, setCovariates, withCovariates } from "./vectors.js";

let query = { kind: "drawing" };
let changed = () => {};
const kept = []; // queries by their place in the history
const examples = { x: [], y: [] };
const files = { x: [], y: [] }; // the examples as they are sent
const covariates = { x: [], y: [] }; // theirs

export const current = () => query;
export const isEmpty = () => query.kind === "drawing" && (flat() ? !$("values").value.trim() : pad.isEmpty());
export const domain = () => (query.kind === "item" ? state.about.gallery.domain : $("domain").value);
export const example = (side, i) => examples[side][i];
export const exampleFile = (side, i) => blobOf(files[side][i]);
export const covariatesOf = (side, i) => covariates[side][i];
export function onChange(call) {
  changed = call;
}
export function body() { // what is sent of a query that is no item
  const given = query.kind === "file" || query.kind === "example" ? query.body : null;
  if (flat()) return withCovariates(given ?? numbers($("values").value, domain()));
  return given ?? blobOf(pad.file());
}

// the history: each query that is not a further stroke of the last one has a place in it
function remember(push) {
  if (push) kept.length = (history.state?.n ?? 0) + 1;
  const n = push ? kept.length : (history.state?.n ?? 0);
  kept[n] = { ...query, pad: flat() ? $("values").value : pad.snapshot(), domain: $("domain").value };
  const words = new URLSearchParams();
  if (query.kind === "item") [["item", query.item], ["name", query.name]].forEach((pair) => words.set(...pair));
  if (query.kind === "example") [["example", query.example], ["domain", $("domain").value]].forEach((pair) => words.set(...pair));
  history[push ? "pushState" : "replaceState"]({ n }, "", location.pathname + (words.size ? `?${words}` : "") + location.hash);
}
window.addEventListener("popstate", async (event) => {
  const before = kept[event.state?.n ?? 0];
  if (!before) return opening(false);
  $("domain").value = before.domain;
  if (flat()) $("values").value = before.pad;
  else pad.restore(before.pad);
  query = before;
  await supplyExamples();
  shown();
});
function put(next, push = true) {
  query = next;
  remember(push);
  shown();
}
function shown() {
  const card = query.kind !== "drawing";
  $("wrong").textContent = "";
  if (flat()) {
    $("like-item").hidden = query.kind !== "item";
    $("given").hidden = query.kind === "item"; // whose numbers the gallery does not keep
    if (query.kind === "item") $("like-name").textContent = query.name;
  } else {
    const closed = banded($("domain").value);
    for (const id of ["pad", "ghost"]) $(id).hidden = card || closed;
    for (const id of ["undo", "clear", "pen", "close"]) $(id).hidden = closed;
    $("card").hidden = !card;
    if (card) {
      $("card-name").textContent = query.kind === "item" ? `Like ${query.name}` : query.name;
      if (query.kind === "item") picture($("card-image"), query.item);
      else if (query.shown) show($("card-image"), query.shown);
      $("card-image").hidden = query.kind !== "item" && !query.shown;
      $("card-image").alt = `The query: ${query.name}`;
    }
  }
  for (const [i, button] of [...$("examples").children].entries())
    button.setAttribute("aria-pressed", query.kind === "example" && query.example === i);
  changed();
}
export function like(item, name) {
  put({ kind: "item", item, name });
}
function draw() {
  put({ kind: "drawing" });
  (flat() ? $("values") : $("pad")).focus();
}
$("close").addEventListener("click", draw);
$("unlike").addEventListener("click", draw);

// examples
export async function supplyExamples() {
  for (const side of ["x", "y"]) {
    if (examples[side].length) continue;
    const answer = await json(`examples?domain=${side}`);
    examples[side] = answer.images ?? answer.features;
    files[side] = answer.files ?? answer.images;
    covariates[side] = answer.covariates ?? [];
  }
  const side = $("domain").value;
  $("examples").replaceChildren(...examples[side].slice(0, 5).map((value, i) => {
    const button = make("button");
    button.setAttribute("aria-label", `Example ${i + 1}, ${named(side)}`);
    if (flat()) button.textContent = `Row ${i + 1}`;
    else {
      const image = make("img");
      image.alt = "";
      show(image, value);
      button.append(image);
    }
    button.addEventListener("click", () => choose(i));
    return button;
  }));
  const drop = banded(side) ? `Drop ${one(side)}` : `Draw ${one(side)}, drop a picture`;
  const what = flat() ? `Numbers of ${one(side)}, or try:` : `${drop}, or try:`;
  $("bands").hidden = !banded(side);
  $("bands").textContent = `A file of ${state.about.shapes[side][0]} bands, TIFF or .npy; one or three of them are shown.`;
  $("invite").textContent = examples[side].length ? what : what.replace(", or try:", flat() ? "" : " or upload one");
}
function choose(i, push = true) {
  const value = examples[$("domain").value][i];
  if (flat()) {
    setCovariates(covariates[$("domain").value][i]);
    $("values").value = value.map((number) => Number(number.toPrecision(6))).join(", ");
    return put({ kind: "example", example: i, name: `row ${i + 1}`, body: value }, push);
  }
  put({ kind: "example", example: i, name: `Example ${i + 1}`, body: exampleFile($("domain").value, i), shown: value }, push);
}
export async function opening(push) { // what the address names, or the first example
  const words = new URLSearchParams(location.search);
  if (["x", "y"].includes(words.get("domain"))) $("domain").value = words.get("domain");
  supply();
  const before = query;
  await supplyExamples();
  if (query !== before) return; // the visitor was faster
  const item = words.get("item");
  if (item && state.about.gallery) return put({ kind: "item", item, name: words.get("name") ?? "an item of the gallery" }, push);
  const wanted = Number(words.get("example") ?? 0);
  if (examples[$("domain").value][wanted]) choose(wanted, push);
  else put({ kind: "drawing" }, push);
}

// drawing
pad.onChange(() => {
  const push = query.kind !== "drawing";
  query = { kind: "drawing" };
  remember(push);
  if (push) shown();
  else changed();
});

// files: chosen, dropped or pasted
const MOST = 1024; // pixels of a side of a picture that is made smaller here
export async function readFile(file, side) {
  const { bytes, pixels } = state.about.limits;
  const image = await createImageBitmap(file).catch(() => null);
  if (banded(side)) return { body: file, shown: image ? URL.createObjectURL(file) : null };
  if (!image && file.size > bytes) throw new Error(`${file.name}: ${(file.size / 1e6).toFixed(1)} MB; at most ${Math.round(bytes / 1e6)} MB.`);
  if (!image) {
    const known = /\.tiff?$|\.bmp$|\.p[pgn]m$/i.test(file.name); // the server reads more than browsers do
    if (!known) throw new Error(`${file.name} cannot be read as a picture. JPEG, PNG, WebP, GIF, TIFF, BMP and PPM work.`);
    return { body: file, shown: null };
  }
  if (file.size <= bytes && image.width * image.height <= pixels) return { body: file, shown: URL.createObjectURL(file) };
  const scale = Math.min(1, MOST / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale))];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  const address = canvas.toDataURL("image/png");
  return { body: blobOf(address), shown: address };
}
async function take(file) {
  if (!file) return;
  try {
    if (flat()) {
      const { values, covariates, rows } = await readNumbers(file, domain());
      $("values").value = values.join(", ");
      setCovariates(covariates);
      put({ kind: "drawing" });
      if (rows > 1) $("expected").textContent = `the first of ${rows} rows of ${file.name}`;
      return;
    }
    put({ kind: "file", name: file.name || "Pasted picture", ...(await readFile(file, $("domain").value)) });
  } catch (error) {
    $("wrong").textContent = error.message; // the last query stays
  }
}
for (const id of ["upload", "values-file"]) $(id).addEventListener("change", () => {
  take($(id).files[0]);
  $(id).value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) window.addEventListener(kind, (event) => {
  event.preventDefault(); // or the browser would leave the page
  $("frame").classList.toggle("over", kind === "dragover");
  if (kind === "drop" && !event.target.closest?.(".slot")) take(event.dataTransfer.files[0]);
});
window.addEventListener("paste", (event) => {
  if (event.target.closest?.("textarea, input")) return;
  take(event.clipboardData.files[0]);
});
$("find").addEventListener("click", () => {
  expect();
  put({ kind: "drawing" });
});
$("values").addEventListener("input", () => (query = { kind: "drawing" }));

// options
export function ask() {
  if (flat()) askCovariates(() => changed());
}
export function expect() {
  const side = $("domain").value;
  $("expected").textContent = `${state.about.shapes[side][0]} numbers`;
  $("values-label").textContent = `Paste ${state.about.shapes[side][0]} numbers, separated by commas or spaces`;
}
export function supply() {
  const side = $("domain").value;
  if (flat()) expect();
  else pad.supply(state.about.drawing[side], state.about.shapes[side][1]);
}
$("domain").addEventListener("change", async () => {
  if (flat()) expect();
  else if (pad.isEmpty()) supply();
  await supplyExamples();
  if (query.kind === "example" || (query.kind === "drawing" && isEmpty())) choose(0);
  else put(query, false);
});
$("label").addEventListener("change", () => changed());
