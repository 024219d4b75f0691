// The start of the page, its tabs and its token.
import { $, Locked, flat, json, make, named, other, state } from "./api.js";
import * as map from "./map.js";
import * as query from "./query.js";
import * as search from "./search.js";
import * as translate from "./translate.js";

const TABS = ["search", "translate", "map"];
let tabs = TABS; // that are shown
let tab = "search";
const work = { search: search.soon, translate: translate.soon, map: () => map.load() };

async function start() {
  try {
    state.about = await json("about");
  } catch (error) {
    if (!(error instanceof Locked)) return ($("about").textContent = error.message);
    $("login-wrong").textContent = sessionStorage.getItem("token") ? "That token is not right." : "";
    sessionStorage.removeItem("token");
    $("login").hidden = false;
    return $("token").focus();
  }
  $("login").hidden = true;
  const { about } = state;
  document.title = `${about.title} · iiae`;
  $("title").textContent = about.title;
  $("about").textContent = about.about;
  $("version").textContent = `iiae ${about.version}`;
  for (const side of ["x", "y"]) $("domain").querySelector(`[value=${side}]`).textContent = named(side);
  $("images").hidden = $("pen").hidden = flat();
  $("features").hidden = !flat();
  translate.build();
  if (about.gallery) describe(about.gallery);
  else {
    $("tab-search").hidden = $("tab-map").hidden = true;
    $("label-row").hidden = true;
    $("moved").hidden = false;
    $("moved").textContent = "To search too, index a collection: iiae index RUN GALLERY IMAGES --domain y, then iiae serve RUN --gallery GALLERY.";
    tabs = ["translate"];
  }
  $("domain").disabled = false; // before, the choice above would undo the user's
  $("main").hidden = document.querySelector("[role=tablist]").hidden = false;
  query.ask();
  const asked = location.hash.slice(1); // a tab
  open(tabs.includes(asked) ? asked : tabs[0]);
  query.onChange(() => work[tab]());
  await query.opening(false);
}
function describe(gallery) {
  $("domain").value = other(gallery.domain);
  $("label").append(...gallery.labels.map((label) => make("option", label)));
  $("label-row").hidden = gallery.labels.length < 2;
  if (gallery.gone) {
    $("moved").hidden = false;
    $("moved").textContent = `${gallery.gone} of ${gallery.looked_for} files that were looked for are not where they were indexed; small pictures are shown from the gallery. If the files were moved: iiae serve RUN --gallery GALLERY --root FOLDER.`;
  }
}
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  start();
});

function open(name) {
  tab = name;
  const hash = name === tabs[0] ? "" : `#${name}`;
  history.replaceState(history.state, "", location.pathname + location.search + hash);
  for (const one of TABS) {
    $(one).hidden = one !== name;
    $(`tab-${one}`).setAttribute("aria-selected", one === name);
    $(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
}
for (const one of TABS) {
  $(`tab-${one}`).addEventListener("click", () => {
    open(one);
    work[one]();
  });
  $(`tab-${one}`).addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const shown = TABS.filter((name) => !$(`tab-${name}`).hidden);
    const next = shown[(shown.indexOf(one) + step + shown.length) % shown.length];
    open(next);
    work[next]();
    $(`tab-${next}`).focus();
  });
}
$("options").open = false;
start();
