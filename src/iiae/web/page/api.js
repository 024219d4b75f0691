// Requests, and what the whole page knows.
export const $ = (id) => document.getElementById(id);
export const make = (tag, text, name) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text; // never as HTML: names and metadata are anyone's
  if (name) node.className = name;
  return node;
};
export const state = { about: null };
export const other = (domain) => (domain === "y" ? "x" : "y");
export const named = (domain) => state.about.names[domain];
export function one(domain) { // "a sketch", "an image"
  const name = named(domain);
  return name.length < 4 ? `a sample of ${name}` : `${/^[aeiou]/i.test(name) ? "an" : "a"} ${name}`;
}
// images of two bands, or of more than three, are not drawn, and shown in part
export const banded = (domain) => !flat() && ![1, 3].includes(state.about.shapes[domain][0]);
export const flat = () => state.about.shapes.x.length === 1;

export class Locked extends Error {}

async function answered(path, options) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    return await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is iiae serve still running?");
  }
}
export async function ask(path, options = {}) {
  const answer = await answered(path, options);
  if (answer.status === 401) throw new Locked("a token is needed");
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? answer.statusText);
  return answer;
}
export const json = async (path, options) => (await ask(path, options)).json();

export function say(place, text, bad = false) {
  $(place).textContent = text;
  $(place).classList.toggle("bad", bad);
}

const pictures = new Map(); // of items, as promises of addresses
export function picture(image, id) {
  image.alt ||= "";
  if (!pictures.has(id)) {
    if (pictures.size > 500) pictures.clear();
    const file = ask(`items/${id}/image`).then((answer) => answer.blob());
    pictures.set(id, file.then((blob) => URL.createObjectURL(blob)));
  }
  pictures.get(id).then((address) => show(image, address), () => image.classList.add("none"));
}
export function show(image, address) {
  image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth < 65), { once: true });
  image.src = address;
}
export function blobOf(address) { // of a data URL; fetch would be against the page's policy
  const [head, data] = address.split(",");
  return new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type: head.slice(5).split(";")[0] });
}

// calls `work` soon, and again while calls go on, as while someone draws
export function throttled(work, ms = 150) {
  let timer = null;
  return () => (timer ??= setTimeout(() => {
    timer = null;
    work();
  }, ms));
}

// one job at a time: a newer one makes older answers count for nothing
export function latest(place, dimmed) {
  let newest = 0;
  let slow = null;
  return async (work, done, failed) => {
    const mine = ++newest;
    for (const node of dimmed()) {
      node.classList.add("waiting");
      node.setAttribute("aria-busy", "true");
    }
    clearTimeout(slow); // of an older job
    slow = setTimeout(() => {
      for (const node of dimmed()) node.replaceChildren();
      say(place, "Working ...");
    }, 150);
    const over = () => {
      if (mine !== newest) return false;
      clearTimeout(slow);
      for (const node of dimmed()) {
        node.classList.remove("waiting");
        node.removeAttribute("aria-busy");
      }
      return true;
    };
    try {
      const answer = await work();
      if (over()) done(answer);
    } catch (error) {
      if (over()) {
        for (const node of dimmed()) node.replaceChildren();
        failed(error);
      }
    }
  };
}
