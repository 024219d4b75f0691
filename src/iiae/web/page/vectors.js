// Features: read from text, shown as bars.
import { $, make, one, state } from "./api.js";

export function numbers(text, domain) {
  const values = text.replace(/[[\]]/g, " ").trim().split(/[\s,;]+/).filter(Boolean).map(Number);
  const size = state.about.shapes[domain][0];
  if (!values.every(Number.isFinite)) throw new Error("Features are finite numbers, separated by commas or spaces.");
  if (values.length !== size) throw new Error(`${values.length} numbers given; ${one(domain)} has ${size}.`);
  return JSON.stringify(values);
}
// covariates of the sample: a choice of levels, or a number
export function askCovariates(changed) {
  $("covariates").replaceChildren(...state.about.covariates.map(({ name, levels, mean }, i) => {
    const [row, label, field] = [make("div", undefined, "row"), make("label", name), make(levels.length ? "select" : "input")];
    if (levels.length) field.append(...levels.map((level) => make("option", level)));
    else Object.assign(field, { type: "number", step: "any", value: Number(mean.toPrecision(3)) });
    label.htmlFor = field.id = `covariate-${i}`;
    field.addEventListener("change", changed);
    row.append(label, field);
    return row;
  }));
}
export function withCovariates(body) { // the JSON of numbers as the server takes it
  const known = state.about.covariates.map(({ name, levels }, i) => {
    const value = $(`covariate-${i}`).value;
    return [name, levels.length ? value : Number(value)];
  });
  return known.length ? JSON.stringify({ features: JSON.parse(body), covariates: Object.fromEntries(known) }) : body;
}
export function chart(canvas, values) {
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const brush = canvas.getContext("2d");
  const [w, h] = [canvas.width, canvas.height];
  const at = (value) => 14 + ((high - value) * (h - 28)) / (high - low || 1);
  const styles = getComputedStyle(document.body);
  brush.clearRect(0, 0, w, h);
  brush.fillStyle = styles.getPropertyValue("--go");
  values.forEach((value, i) => {
    const [top, bottom] = [at(Math.max(0, value)), at(Math.min(0, value))];
    brush.fillRect((i * w) / values.length, top, Math.max(1, w / values.length - 1), Math.max(1, bottom - top));
  });
  brush.fillStyle = styles.getPropertyValue("--ink");
  brush.font = "13px system-ui";
  brush.fillText(high.toPrecision(3), 2, 12);
  brush.fillText(low.toPrecision(3), 2, h - 3);
  canvas.setAttribute("aria-label", `${values.length} values from ${low.toPrecision(3)} to ${high.toPrecision(3)}`);
}
function topFeatures(values, usual, names) { // the ten farthest from the mean of samples, in deviations
  const z = values.map((value, i) => {
    const column = usual.map((row) => row[i]);
    const mean = column.reduce((a, b) => a + b, 0) / column.length;
    const spread = Math.sqrt(column.reduce((a, b) => a + (b - mean) ** 2, 0) / column.length);
    return spread ? (value - mean) / spread : 0;
  });
  const order = z.map((_, i) => i).sort((a, b) => Math.abs(z[b]) - Math.abs(z[a])).slice(0, 10);
  return order.map((i) => `${names?.[i] ?? i + 1} (${z[i] > 0 ? "+" : ""}${z[i].toFixed(1)})`).join(", ");
}
export function card(values, name, usual, domain) {
  const item = make("li", undefined, "vector");
  const canvas = make("canvas", undefined, "chart");
  [canvas.width, canvas.height] = [640, 160];
  canvas.setAttribute("role", "img");
  const copy = make("button", "Copy numbers", "small");
  copy.setAttribute("aria-label", `Copy the numbers of ${name.toLowerCase()}`);
  copy.addEventListener("click", () => navigator.clipboard.writeText(JSON.stringify(values))
    .then(() => (copy.textContent = "Copied"), () => (copy.textContent = "The browser did not allow copying")));
  item.append(make("h3", name), canvas);
  if (usual.length > 2) item.append(make("p", `Most unusual features, in standard deviations: ${topFeatures(values, usual, state.about.features[domain])}`));
  item.append(copy);
  chart(canvas, values);
  return item;
}
