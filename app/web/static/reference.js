// Sends the GET requests that are tried on the API reference, and shows what comes back.
"use strict";

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-try]")) return;
  event.preventDefault();
  let path = form.getAttribute("action");
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("input")) {
    if (field.dataset.place === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value) query.set(field.name, field.value);
  }
  const credential = document.getElementById("credential").value.trim();
  const output = form.querySelector("output");
  const shown = document.createElement("pre");
  shown.tabIndex = 0;
  try {
    const answer = await fetch(query.size ? `${path}?${query}` : path, {
      credentials: "omit",
      headers: credential ? { Authorization: `Bearer ${credential}` } : {},
    });
    shown.textContent = `${answer.status}\n${pretty(await answer.text())}`;
  } catch {
    shown.textContent = "The service could not be reached. Try again in a moment.";
  }
  output.replaceChildren(shown);
});

// Indented where it is JSON. Not by parsing it: that would round money.
function pretty(text) {
  if (!/^[[{]/.test(text)) return text;
  let depth = 0;
  return text.replace(/"(?:[^"\\]|\\.)*"|[[\]{},:]/g, (piece) => {
    if (piece === "{" || piece === "[") return `${piece}\n${"  ".repeat(++depth)}`;
    if (piece === "}" || piece === "]") return `\n${"  ".repeat(--depth)}${piece}`;
    if (piece === ",") return `,\n${"  ".repeat(depth)}`;
    return piece === ":" ? ": " : piece;
  });
}
