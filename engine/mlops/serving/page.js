"use strict";
const form = document.getElementById("form");
const result = document.getElementById("result");
const examples = [...document.querySelectorAll("[data-example]")];
const fields = new Map(
  [...form.querySelectorAll(".fields [name]")].map((field) => [field.name, field]),
);
const range = JSON.parse(result.dataset.range);
const MOST_CLASSES = 10;

const element = (name, content, properties = {}) =>
  Object.assign(document.createElement(name), { textContent: content }, properties);
const withUnit = (text) => `${text} ${result.dataset.unit}`.trim();
const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });
const shown = (value) => (typeof value === "number" ? number(value) : value);
const share = (value) =>
  value.toLocaleString("en", { style: "percent", maximumFractionDigits: 1 });

function show(...parts) {
  result.replaceChildren(...parts);
  result.scrollIntoView({ block: "nearest" });
}

let key;
function askForKey() {
  if (key) return;
  key = element("input", "", { type: "password", id: "key", autocomplete: "off" });
  const label = element("label", "API key", { htmlFor: "key" });
  form.querySelector("[type=submit]").before(label, key);
  key.focus();
}

const fieldOf = (problem) => fields.get(problem.loc[problem.loc.length - 1]);
const errorOf = (field) => document.getElementById(`${field.id}-error`);

function mark(problems) {
  for (const field of fields.values()) {
    field.removeAttribute("aria-invalid");
    errorOf(field).textContent = "";
  }
  const wrong = problems.filter(fieldOf);
  for (const problem of wrong) {
    fieldOf(problem).setAttribute("aria-invalid", "true");
    errorOf(fieldOf(problem)).textContent = problem.msg;
  }
  if (wrong.length) fieldOf(wrong[0]).focus();
}

function failed(answer) {
  const told = answer.detail ?? "The service refused the request.";
  const problems = Array.isArray(told) ? told : [{ loc: [], msg: String(told) }];
  const list = element("ul", "", { className: "error-list" });
  for (const p of problems) {
    const field = fieldOf(p);
    const place = field ? [field.labels[0].firstChild.textContent.trim()] : p.loc.slice(1);
    list.append(element("li", [...place, p.msg].join(": ")));
  }
  show(element("p", "No prediction:"), list);
  mark(problems);
}

function rangeOf(value) {
  const ends = [range.low, range.high].map((off) => (range.relative ? value * off : value + off));
  const low = Math.max(ends[0], range.least ?? -Infinity);
  const high = Math.min(ends[1], range.most ?? Infinity);
  return [
    element("p", withUnit(`Likely ${number(low)} to ${number(high)}`), { className: "range" }),
    element("small", `The actual value was this close for ${share(range.share)} of the test rows.`),
  ];
}

function probabilities(shares) {
  const table = element("table", "");
  table.append(element("caption", "Probability of each class"));
  const known = Object.entries(shares).sort((one, other) => other[1] - one[1]);
  for (const [name, value] of known.slice(0, MOST_CLASSES)) {
    const bar = element("td", "");
    bar.append(element("progress", "", { max: 1, value, ariaHidden: "true" }));
    table.insertRow().append(
      element("th", name, { scope: "row" }), element("td", share(value)), bar,
    );
  }
  if (known.length <= MOST_CLASSES) return [table];
  return [table, element("p", `${known.length - MOST_CLASSES} more are less probable.`)];
}

function predicted(answer, example) {
  mark([]);
  const name = Object.keys(answer).find((one) => one.startsWith("predicted_"));
  const value = answer[name];
  const parts = [element("strong", withUnit(shown(value)))];
  if (range && typeof value === "number") parts.push(...rangeOf(value));
  if (answer.probabilities) parts.push(...probabilities(answer.probabilities));
  if (example) parts.push(element("p", withUnit(`Actual value: ${shown(example.actual)}`)));
  const ids = `Model ${answer.model_version}, prediction ${answer.prediction_id}`;
  parts.push(element("p", ""));
  parts[parts.length - 1].append(element("small", ids));
  show(...parts);
}

let picked = null;
function pick(button) {
  picked = button && JSON.parse(button.dataset.example);
  for (const one of examples) one.setAttribute("aria-pressed", String(one === button));
}

for (const button of examples) {
  button.addEventListener("click", () => {
    pick(button);
    for (const [name, field] of fields) {
      field.value = Object.hasOwn(picked.inputs, name) ? String(picked.inputs[name]) : "";
    }
    form.requestSubmit();
  });
}
for (const section of document.querySelectorAll(".examples")) section.hidden = false;
form.addEventListener("input", () => pick(null));

let latest = 0;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [turn, example] = [++latest, picked];
  const given = [...new FormData(form)].filter(([, value]) => value !== "");
  try {
    const headers = key ? { "X-API-Key": key.value } : {};
    const response = await fetch(`predict?${new URLSearchParams(given)}`, { headers });
    const answer = await response.json();
    if (turn !== latest) return;
    if (response.status === 401) askForKey();
    if (response.ok) predicted(answer, example);
    else failed(answer);
  } catch {
    if (turn === latest) show(element("p", "The service could not be reached. Try again."));
  }
});
