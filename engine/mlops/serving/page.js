"use strict";
const form = document.getElementById("form");
const result = document.getElementById("result");
const text = (name, content) =>
  Object.assign(document.createElement(name), { textContent: content });

function show(...parts) {
  result.replaceChildren(...parts);
}

let key;
function askForKey() {
  if (key) return;
  key = Object.assign(document.createElement("input"), { type: "password", id: "key" });
  key.autocomplete = "off";
  form.lastElementChild.before(Object.assign(text("label", "API key"), { htmlFor: "key" }), key);
  key.focus();
}

function mark(problems) {
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  const wrong = problems.map((p) => form.elements[p.loc[p.loc.length - 1]]).filter(Boolean);
  for (const field of wrong) field.setAttribute("aria-invalid", "true");
  if (wrong.length) wrong[0].focus();
}

function failed(answer) {
  const list = document.createElement("ul");
  for (const p of answer.detail) list.append(text("li", [...p.loc.slice(1), p.msg].join(": ")));
  mark(answer.detail);
  show(text("p", "No prediction:"), list);
}

function predicted(answer) {
  mark([]);
  const key = Object.keys(answer).find((name) => name.startsWith("predicted_"));
  const value = answer[key];
  const shown =
    typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: 4 }) : value;
  const unit = result.dataset.unit || "";
  show(
    text("strong", `${shown} ${unit}`.trim()),
    text("p", `Model ${answer.model_version}, prediction ${answer.prediction_id}`),
  );
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = [...new FormData(form)].filter(([, value]) => value !== "");
  try {
    const headers = key ? { "X-API-Key": key.value } : {};
    const response = await fetch(`predict?${new URLSearchParams(given)}`, { headers });
    const answer = await response.json();
    if (response.status === 401) askForKey();
    if (response.ok) predicted(answer);
    else failed(answer);
  } catch {
    show(text("p", "The service could not be reached. Try again."));
  }
});
