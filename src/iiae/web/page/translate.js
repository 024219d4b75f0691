// The query in the other domain, live: in looks of samples, of one or two chosen, or by chance.
import { $, banded, flat, json, latest, make, named, one, other, picture, say, show, state, throttled } from "./api.js";
import * as query from "./query.js";
import { card, readNumbers, withCovariates } from "./vectors.js";

const names = { like: "Look", like2: "Second look, to blend" };
const slots = { like: null, like2: null };
let picked = []; // looks to choose from, as { id } or { example }
let frames = [];
let files = []; // the frames with all their bands
const run = latest("translate-status", () => [$("results")]);
const to = () => other(query.domain());

export const soon = throttled(() => translate());
function request() {
  const form = new FormData();
  form.set("to", to());
  const asked = query.current();
  if (asked.kind === "item" && !flat()) form.set("source_item", asked.item);
  else {
    if (asked.kind === "item") throw new Error("The gallery does not keep the numbers of its items: choose or paste numbers to translate.");
    const body = query.body();
    form.set("source", typeof body === "string" ? new Blob([body]) : body, "source");
  }
  for (const [slot, value] of Object.entries(slots)) {
    if (!value) continue;
    if (value.id) form.set(`${slot}_item`, value.id);
    else form.set(slot, value.body, slot);
  }
  if (slots.like) return form;
  const clamp = (id, least, most) => {
    const value = Math.min(most, Math.max(least, Math.round(Number($(id).value)) || least));
    if (String(value) !== $(id).value) $(id).value = value;
    return value;
  };
  if ($("from").value === "looks") form.set("looks", 6);
  else {
    form.set("draws", clamp("draws", 1, state.about.limits.images));
    form.set("seed", clamp("seed", 0, 2 ** 31 - 1));
  }
  return form;
}
export async function translate() {
  if (!state.about) return;
  arrange();
  if (query.isEmpty()) return run(async () => null, () => {
    finished([], []);
    say("translate-status", "Draw, drop a picture or choose an example first.");
  }, () => {});
  let form;
  try {
    form = request();
  } catch (error) {
    $("wrong").textContent = error.message;
    return run(async () => null, () => finished([], []), () => {});
  }
  await run(
    () => json("translate", { method: "POST", body: form }),
    (answer) => {
      $("wrong").textContent = "";
      files = answer.files ?? answer.images;
      finished(answer.images ?? answer.features, answer.looks);
    },
    (error) => {
      $("between").hidden = $("save").hidden = true;
      if (error.message.startsWith("looks:")) {
        $("from").value = "draws";
        return translate();
      }
      say("translate-status", error.message.replace("source: ", `${query.current().name ?? "The query"}: `), true);
    },
  );
}
let arranged = null;
function arrange() {
  if (arranged !== to()) { // looks are of one domain
    arranged = to();
    picked = [];
    slots.like = slots.like2 = null;
  }
  $("to").textContent = named(to());
  $("chance").hidden = $("from").value === "looks" || Boolean(slots.like);
  $("from").disabled = Boolean(slots.like);
  for (const slot of ["like", "like2"]) filled(slot);
  $("box-like2").hidden = !slots.like;
}
function finished(made, looks) {
  frames = made;
  if (looks?.length) {
    picked = looks;
    pickable();
  }
  const slider = Boolean(slots.like2) && frames.length > 1;
  $("between").hidden = !slider;
  $("step").max = Math.max(0, frames.length - 1);
  $("results").classList.toggle("wide", flat());
  $("results").replaceChildren(...frames.map((value, i) => result(value, i, looks?.[i])));
  if (slider) frame();
  save();
  const many = frames.length === 1 ? "" : "s";
  say("translate-status", frames.length ? `${frames.length} translation${many} to ${named(to())}` : "");
}
function result(value, i, look) {
  const name = look ? `In the look of ${look.name}` : slots.like2 ? `Step ${i + 1} of ${frames.length}` : slots.like ? `In the look of ${slots.like.name}` : `Sample ${i + 1}`;
  if (flat()) return card(value, name, usual(), to());
  const [item, figure, image, text, link] = [make("li"), make("figure"), make("img", undefined, "shot"), make("figcaption"), make("a", "Save")];
  show(image, value);
  image.alt = name;
  if (look) {
    const small = make("img");
    portrait(small, look);
    text.append(small);
  }
  text.append(make("span", name));
  link.href = files[i];
  link.download = `translation-${i + 1}.${banded(to()) ? "npy" : "png"}`;
  link.setAttribute("aria-label", `Save ${name.toLowerCase()}`);
  text.append(link);
  figure.append(image, text);
  item.append(figure);
  return item;
}
const usual = () => Array.from({ length: 64 }, (_, i) => query.example(to(), i)).filter(Boolean);
function portrait(image, look) {
  image.alt = "";
  if (look.id) picture(image, look.id);
  else if (look.shown) show(image, look.shown);
  else if (look.example != null) show(image, query.example(to(), look.example));
}
function save() { // vectors as one table; pictures have a link each
  $("save").hidden = !flat() || !frames.length;
  if (!flat()) return;
  URL.revokeObjectURL($("save").href);
  $("save").textContent = "Save as CSV";
  $("save").download = "translations.csv";
  $("save").href = URL.createObjectURL(new Blob([[state.about.features[to()] ?? [], ...frames].filter((row) => row.length).map((row) => row.join(",")).join("\n") + "\n"], { type: "text/csv" }));
}
function frame() {
  const step = Number($("step").value);
  $("shown").hidden = flat();
  if (flat()) $("results").replaceChildren(card(frames[step], `Step ${step + 1} of ${frames.length}`, usual(), to()));
  else show($("shown"), frames[step]);
}
$("step").addEventListener("input", frame);

// looks to choose
function pickable() {
  $("picks").classList.toggle("wide", flat());
  $("picks").replaceChildren(...picked.map((look) => {
    const [item, button] = [make("li"), make("button")];
    button.title = look.name;
    if (flat()) button.textContent = look.name;
    else {
      const image = make("img", undefined, "shot");
      portrait(image, look);
      button.append(image);
    }
    button.setAttribute("aria-label", `The look of ${look.name}`);
    button.addEventListener("click", () => choose(look));
    item.append(button);
    return item;
  }));
}
function choose(look) {
  const value = { ...look };
  if (!look.id) {
    const kept = query.example(to(), look.example);
    value.body = flat() ? new Blob([withCovariates(kept, query.covariatesOf(to(), look.example))]) : query.exampleFile(to(), look.example);
  }
  slots[slots.like ? "like2" : "like"] = value;
  translate();
}
export function build() {
  for (const [slot, name] of Object.entries(names)) {
    const box = make("div", undefined, "slot");
    box.id = `box-${slot}`;
    const image = make("img", undefined, "shot");
    image.id = `shot-${slot}`;
    const caption = make("small");
    caption.id = `name-${slot}`;
    const [label, input, remove] = [make("label", "Choose file", "file small"), make("input"), make("button", "Remove", "small")];
    input.type = "file";
    input.accept = flat() ? ".json,.csv,.tsv,.txt" : "image/*";
    input.id = `file-${slot}`;
    input.setAttribute("aria-label", `${name} from a file`);
    remove.id = `remove-${slot}`;
    remove.setAttribute("aria-label", `Remove the ${name.toLowerCase()}`);
    label.append(input);
    const row = make("div", undefined, "row");
    row.append(label, remove);
    box.append(make("h3", name), image, caption, row);
    $("slots").append(box);
    input.addEventListener("change", () => {
      put(slot, input.files[0]);
      input.value = "";
    });
    box.addEventListener("drop", (event) => put(slot, event.dataTransfer.files[0]));
    remove.addEventListener("click", () => {
      if (slot === "like") slots.like = slots.like2;
      slots.like2 = null;
      translate();
    });
  }
}
async function put(slot, file) {
  if (!file) return;
  try {
    if (flat()) slots[slot] = { name: file.name, body: new Blob([withCovariates((await readNumbers(file, to())).values)]) };
    else slots[slot] = { name: file.name, ...(await query.readFile(file, to())) };
    translate();
  } catch (error) {
    say("translate-status", error.message, true); // what was there stays
  }
}
function filled(slot) {
  const value = slots[slot];
  $(`remove-${slot}`).hidden = !value;
  $(`shot-${slot}`).hidden = !value || flat();
  $(`name-${slot}`).textContent = value ? value.name : `Drop ${one(to())}, or pick one above.`;
  if (value && !flat()) {
    $(`shot-${slot}`).removeAttribute("src");
    portrait($(`shot-${slot}`), value);
    $(`shot-${slot}`).alt = `${names[slot]}: ${value.name}`;
  }
}
for (const id of ["from", "draws", "seed"]) $(id).addEventListener("change", translate);
