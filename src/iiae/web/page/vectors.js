// Features: read from text, shown as bars.
import { $, make, one, state } from "./api.js";

export function numbers(text, domain) { // an array
  if (/;/.test(text) && !/\./.test(text)) text = text.replaceAll(",", "."); // 1,5; 2,5
  const values = text.replace(/[[\]]/g, " ").trim().split(/[\s,;]+/).filter(Boolean).map(Number);
  const size = state.about.shapes[domain][0];
  if (!values.every(Number.isFinite)) throw new Error("Features are finite numbers, separated by commas or spaces.");
  if (values.length !== size) throw new Error(`${values.length} numbers given; ${one(domain)} has ${size}.`);
  return values;
}
// the first sample of a file: numbers, JSON as the server takes it, or a table with named columns
export async function readNumbers(file, domain) {
  const text = await file.text();
  if (text.includes("\0") || /\.(npy|npz|parquet|h5ad|h5mu)$/i.test(file.name)) throw new Error(`${file.name}: a table of numbers is wanted: CSV, TSV, JSON or text.`);
  if (/^\s*\{/.test(text)) {
    const { features, covariates } = JSON.parse(text);
    return { values: numbers((features ?? []).join(" "), domain), covariates, rows: 1 };
  }
  const lines = text.trim().split(/\r?\n/).map((line) => line.split(/[,;\t]/).map((cell) => cell.trim().replace(/^"|"$/g, "")));
  const named = lines.length > 1 && lines[0].some((cell) => cell && !Number.isFinite(Number(cell)));
  const whole = lines.length > 1 && lines[0].length === state.about.shapes[domain][0]; // a row is a sample
  if (!named) return { values: numbers(whole ? lines[0].join(" ") : text, domain), rows: whole ? lines.length : 1 };
  const [head, row] = lines;
  let names = state.about.features[domain] ?? head.filter((name, i) => name && Number.isFinite(Number(row[i])));
  if (names.length === state.about.shapes[domain][0] + 1) names = names.slice(1); // of rows with numbers for names
  const lacking = names.filter((name) => !head.includes(name));
  if (lacking.length) throw new Error(`${file.name} lacks column${lacking.length > 1 ? "s" : ""} ${lacking.slice(0, 3).join(", ")}${lacking.length > 3 ? ` and ${lacking.length - 3} more` : ""}.`);
  return { values: numbers(names.map((name) => row[head.indexOf(name)]).join(" "), domain), rows: lines.length - 1 };
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
export function setCovariates(known) { // as an example or a file has them
  for (const [i, { name }] of state.about.covariates.entries())
    if (known?.[name] !== undefined) $(`covariate-${i}`).value = known[name];
}
export function withCovariates(features, own) { // JSON of numbers as the server takes it; covariates as chosen, or its own
  const known = state.about.covariates.map(({ name, levels }, i) => {
    if (own?.[name] !== undefined) return [name, own[name]];
    const value = $(`covariate-${i}`).value;
    if (value === "") throw new Error(`${name}: give a number.`);
    return [name, levels.length ? value : Number(value)];
  });
  return JSON.stringify(known.length ? { features, covariates: Object.fromEntries(known) } : features);
}
export function chart(canvas, values) {
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const brush = canvas.getContext("2d");
  const [w, h] = [canvas.width, canvas.height];
  const at = (value) => 26 + ((high - value) * (h - 52)) / (high - low || 1);
  const styles = getComputedStyle(document.body);
  brush.clearRect(0, 0, w, h);
  brush.fillStyle = styles.getPropertyValue("--go");
  values.forEach((value, i) => {
    const [top, bottom] = [at(Math.max(0, value)), at(Math.min(0, value))];
    brush.fillRect((i * w) / values.length, top, Math.max(1, w / values.length - 1), Math.max(1, bottom - top));
  });
  brush.fillStyle = styles.getPropertyValue("--ink");
  brush.font = "24px system-ui"; // shown at half its size
  brush.fillText(high.toPrecision(3), 2, 22);
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
  [canvas.width, canvas.height] = [640, 192];
  canvas.setAttribute("role", "img");
  const copy = make("button", "Copy numbers", "small");
  copy.setAttribute("aria-label", `Copy the numbers of ${name.toLowerCase()}`);
  copy.addEventListener("click", async () => {
    const allowed = await navigator.clipboard?.writeText(JSON.stringify(values)).then(() => true, () => false); // only over HTTPS
    copy.textContent = allowed ? "Copied" : "The browser does not allow copying here: use Save as CSV";
  });
  canvas.addEventListener("pointermove", (event) => {
    const i = Math.min(values.length - 1, Math.floor((event.offsetX / canvas.clientWidth) * values.length));
    canvas.title = `${state.about.features[domain]?.[i] ?? `number ${i + 1}`}: ${values[i].toPrecision(3)}`;
  });
  item.append(make("h3", name), canvas);
  if (usual.length > 2) item.append(make("p", `Most unusual features, in standard deviations: ${topFeatures(values, usual, state.about.features[domain])}`));
  item.append(copy);
  chart(canvas, values);
  return item;
}
