// Hits of the query: by content, by look, and by both.
import { $, flat, json, latest, make, named, one, picture, say, state, throttled } from "./api.js";
import * as query from "./query.js";

let look = null; // an item whose look is asked for
const hits = { shared: [], exclusive: [] };
const run = latest("search-status", () => [$("shared"), $("exclusive")]);

export const lastHits = () => [...hits.exclusive, ...hits.shared];
const ownDomain = () => query.domain() === state.about.gallery.domain;
const compares = () => ownDomain() || look; // the exclusive latents are of one domain
const weight = () => (compares() ? Number($("weight").value) / 100 : 0);
const controlShown = () => $("control").getAttribute("aria-expanded") === "true";

export const soon = throttled(() => search());
function address(by) {
  const words = new URLSearchParams({ by, top: 12 });
  if ($("label").value) words.set("label", $("label").value);
  if (look) words.set("like_item", look.id);
  const asked = query.current();
  if (asked.kind === "item") words.set("item", asked.item);
  else words.set("domain", query.domain());
  return `search?${words}`;
}
function arrange() {
  const both = compares();
  $("mix-row").hidden = !both;
  $("sides").classList.toggle("one", !both);
  $("control").hidden = Boolean(both);
  $("exclusive").hidden = !both && !controlShown();
  const w = weight();
  $("shared-title").textContent = w === 0 ? "Same content" : w === 1 ? "Same look" : "Content and look together";
  $("shared-note").textContent = w === 0 ? `Nearest by the shared latent, z_s.${scale("shared") ? " A full bar: as near as true partners; an empty one: as far as strangers." : ""}` : `Shared latent ${Math.round(100 - 100 * w)}%, exclusive latent ${Math.round(100 * w)}%.`;
  $("own-title").textContent = both ? (look ? `Same look as ${look.name}` : "Same look") : "Control:";
  $("own-note").textContent = both
    ? "Nearest by the exclusive latent, whatever the content."
    : `by the exclusive latent. Your query is ${one(query.domain())}, the gallery holds ${named(state.about.gallery.domain)}, so this order should look random.`;
  $("look-of").replaceChildren();
  $("no-look").hidden = !look;
  if (look) {
    const image = make("img");
    if (!flat()) {
      picture(image, look.id);
      $("look-of").append(image, " ");
    }
    $("look-of").append(look.name);
  }
}
export async function search() {
  if (!state.about?.gallery) return;
  arrange();
  $("far").hidden = true;
  if (query.isEmpty()) return run(async () => [[], []], () => {
    empty();
    say("search-status", flat() ? "Give numbers or choose an example first." : "Draw, drop a picture or choose an example first.");
  }, () => {});
  const w = weight();
  const by = w ? `shared=${(1 - w).toFixed(2)},exclusive=${w.toFixed(2)}` : "shared";
  let sent;
  try {
    if (query.current().kind !== "item") sent = { method: "POST", body: query.body() };
  } catch (error) {
    $("wrong").textContent = error.message;
    return run(async () => [[], []], empty, () => {});
  }
  const started = performance.now();
  const second = compares() || controlShown() ? json(address("exclusive"), sent) : null;
  await run(
    () => Promise.all([json(address(by), sent), second]),
    ([first, own]) => {
      $("wrong").textContent = "";
      fill("shared", first.hits, w ? null : "shared");
      fill("exclusive", own?.hits ?? [], compares() ? "exclusive" : null);
      report(first, performance.now() - started, w);
    },
    (error) => {
      say("search-status", "");
      $("wrong").textContent = people(error.message);
    },
  );
}
function people(text) {
  const name = query.current().name ?? "the query";
  return text.replace("the body", name).replace("not an image that can be read", "not a picture that can be read. JPEG, PNG, WebP and GIF work.");
}
function empty() {
  for (const by of ["shared", "exclusive"]) fill(by, [], null);
  say("search-status", "");
}
function report(answer, ms, w) {
  const total = state.about.gallery.items.toLocaleString();
  say("search-status", answer.hits.length ? `${answer.hits.length} of ${total} items` : `No item${$("label").value ? ` with label ${$("label").value}` : ""}.`);
  $("search-status").title = `${answer.method} search, ${Math.round(ms)} ms`;
  const levels = scale("shared");
  const nearest = answer.hits[0]?.distance;
  $("far").hidden = w > 0 || !levels || !answer.hits.length || nearest < Math.max(levels.strangers[0], Math.min(levels.partners?.[3] ?? 0, levels.strangers[1]));
  const advice = query.current().kind === "drawing" && !flat() ? "Draw larger and simpler, or try an example." : "Try an example.";
  $("far").textContent = `Nothing near: the closest is as far as two unrelated items. ${advice}`;
}

// distance on the scale of true partners and strangers
function scale(by) {
  const { scale } = state.about;
  if (by === null) return null;
  if (by === "shared" && !ownDomain()) return scale.other?.strangers ? scale.other : null;
  return scale.own?.[by] ? { strangers: scale.own[by] } : null;
}
function nearness(distance, by) {
  const levels = scale(by);
  const zero = levels?.strangers[2] ?? (by === null ? 1 : 0);
  if (!zero) return null;
  const one = Math.min(levels?.partners?.[0] ?? 0, zero);
  return Math.max(0.02, Math.min(1, (zero - distance) / (zero - one)));
}
function words(distance, by) {
  const levels = scale(by);
  if (!levels) return `distance ${distance.toFixed(3)}`;
  // 19 of 20 partners are as near; where strangers often are too, that says little
  if (levels.partners && distance <= Math.min(levels.partners[3], levels.strangers[0])) return "as near as true partners";
  if (distance >= levels.strangers[1]) return "as far as strangers";
  return distance < levels.strangers[0] ? "nearer than most strangers" : "hardly nearer than strangers";
}
function bar(distance, by) {
  const node = make("span", undefined, "bar");
  const near = nearness(distance, by);
  if (near === null) return make("span");
  const inner = make("i");
  inner.style.width = `${Math.round(near * 100)}%`;
  node.append(inner);
  node.title = `distance ${distance.toFixed(3)}: ${words(distance, by)}`;
  return node;
}

function titles(hit) { // what tells hits apart comes first
  if (hit.label === null) return [hit.name];
  return state.about.gallery.labels.length < 2 ? [hit.name] : [hit.label, hit.name];
}
const short = (value) => (typeof value === "number" ? Number(value.toPrecision(4)) : value);
const facts = (hit) => Object.entries(hit.metadata).filter((pair) => pair[1] !== null).map(([name, value]) => [name, short(value)]);
function use(hit) {
  look = hit;
  if (Number($("weight").value) === 0) $("weight").value = 50;
  search();
}
function fill(by, some, scaled) {
  hits[by] = some;
  const content = !some.length ? [] : flat() ? [table(some, scaled)] : [list(some, scaled)];
  $(by).replaceChildren(...content);
}
function list(some, scaled) {
  const all = make("ol", undefined, "cards");
  all.append(...some.map((hit) => {
    const item = make("li", undefined, "hit");
    const button = make("button");
    const image = make("img");
    picture(image, hit.id);
    button.append(
      image, make("span", "More like this", "hint"),
      ...titles(hit).map((text, i) => make(i ? "small" : "b", text)),
      bar(hit.distance, scaled), make("small", words(hit.distance, scaled)),
      ...facts(hit).map(([name, value]) => make("small", `${name}: ${value}`)),
    );
    button.title = hit.path;
    button.setAttribute("aria-label", `${titles(hit).join(" ")}, ${words(hit.distance, scaled)}. More like this`);
    button.addEventListener("click", () => query.like(hit.id, hit.name));
    item.append(button, lookButton(hit));
    return item;
  }));
  return all;
}
function lookButton(hit) {
  const button = make("button", "Use as look", "small");
  button.setAttribute("aria-label", `Use the look of ${hit.name}`);
  button.addEventListener("click", () => use(hit));
  return button;
}
function table(some, scaled) {
  const names = [...new Set(some.flatMap((hit) => Object.keys(hit.metadata)))];
  const [frame, all, head] = [make("div", undefined, "scroll"), make("table"), make("tr")];
  const labels = some.some((hit) => hit.label !== null) ? ["label"] : [];
  for (const name of ["item", ...labels, "distance", ...names, ""]) head.append(make("th", name));
  all.append(head, ...some.map((hit) => {
    const row = make("tr");
    const button = make("button", hit.name, "small");
    button.setAttribute("aria-label", `${hit.name}, ${words(hit.distance, scaled)}. More like this`);
    button.addEventListener("click", () => query.like(hit.id, hit.name));
    const near = bar(hit.distance, scaled);
    const cells = [button, ...labels.map(() => hit.label ?? ""), near, ...names.map((name) => short(hit.metadata[name]) ?? ""), lookButton(hit)];
    for (const cell of cells) {
      const place = make("td");
      place.append(cell);
      if (cell === near) place.append(make("small", words(hit.distance, scaled)));
      row.append(place);
    }
    return row;
  }));
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", "Table of hits");
  frame.append(all);
  return frame;
}

$("weight").addEventListener("input", soon);
$("no-look").addEventListener("click", () => {
  look = null;
  $("weight").value = 0;
  search();
});
$("control").addEventListener("click", () => {
  const open = !controlShown();
  $("control").setAttribute("aria-expanded", open);
  $("control").textContent = open ? "hide" : "show";
  search();
});
