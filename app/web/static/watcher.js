// What the pages do beyond links and forms. Without it everything but the charts works.
"use strict";

document.documentElement.classList.add("scripted");

// --- charts: drawn from the table behind them

const COLOURS = ["#3b82c4", "#e08a3c", "#4fa36b", "#b35d9e", "#c9a227", "#5b6fd6", "#d1495b", "#3aa6a6", "#8a8f98"];

function dollars(amount) {
  const digits = amount !== 0 && Math.abs(amount) < 1 ? 4 : 2;
  return amount.toLocaleString("en-US", { style: "currency", currency: "USD", maximumFractionDigits: digits });
}

function drawCharts() {
  if (!window.Chart) return;
  for (const canvas of document.querySelectorAll("canvas[data-chart]")) drawChart(canvas);
}

function drawChart(canvas) {
  const table = document.getElementById(canvas.dataset.chart);
  Chart.getChart(canvas)?.destroy();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rows = [...table.tBodies[0].rows];
  const datasets = [...table.querySelectorAll("thead [data-series]")].map((head, index) => ({
    label: head.textContent,
    data: rows.map((row) => Number(row.cells[index + 1].querySelector("data")?.value ?? 0)),
    backgroundColor: COLOURS[index % COLOURS.length],
    stack: "all",
  }));
  const ticks = { color: colour("--pico-muted-color") };
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  new Chart(canvas, {
    type: "bar",
    data: { labels: rows.map((row) => row.cells[0].textContent.trim()), datasets },
    options: {
      maintainAspectRatio: false,
      animation: isStill ? false : { duration: 250 },
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: true, grid: { display: false }, ticks: { ...ticks, maxRotation: 0, autoSkipPadding: 16 } },
        y: {
          stacked: true,
          border: { display: false },
          grid: { color: colour("--pico-muted-border-color") },
          ticks: { ...ticks, callback: dollars },
        },
      },
      plugins: {
        legend: { position: "bottom", labels: { color: colour("--pico-color"), boxWidth: 12, boxHeight: 12 } },
        tooltip: {
          filter: (item) => item.raw !== 0,
          callbacks: {
            label: (item) => `${item.dataset.label}: ${dollars(item.raw)}`,
            footer: (items) => `All: ${dollars(items.reduce((sum, item) => sum + item.raw, 0))}`,
          },
        },
      },
    },
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
document.addEventListener("htmx:after:swap", drawCharts);
drawCharts();

// --- a token that is shown once is gone when the page is left, and no page comes back from the browser's memory

addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("[data-once]")) secret.remove();
  for (const notice of document.querySelectorAll(".gone")) notice.hidden = false;
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// --- copying

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // without https there is no clipboard: select it, so that it is one key press away
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => (button.textContent = words), 3000);
});

// --- questions: pages of their own, shown in place

const dialog = document.getElementById("dialog");

document.addEventListener("click", async (event) => {
  if (event.target.closest("[data-close]") && dialog.open) {
    event.preventDefault();
    dialog.close();
    return;
  }
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const answer = await fetch(link.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const question = page.getElementById("question");
    if (!answer.ok || !question) throw new Error("no question");
    dialog.replaceChildren(document.adoptNode(question));
    dialog.showModal();
  } catch {
    location.assign(link.href); // there it says what is wrong
  }
});

// --- an import says how far it is

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-upload]")) return;
  event.preventDefault();
  const progress = form.querySelector("progress");
  const button = form.querySelector("button");
  const request = new XMLHttpRequest();
  request.responseType = "document";
  const finish = () => {
    button.disabled = false;
    progress.hidden = true;
  };
  request.upload.addEventListener("progress", (sent) => {
    // the service reads while it is sent, so what is sent is about what is read
    if (sent.lengthComputable) progress.value = (100 * sent.loaded) / sent.total;
  });
  request.upload.addEventListener("load", () => progress.removeAttribute("value"));
  request.addEventListener("load", () => {
    finish();
    const answer = request.response?.getElementById("outcome") ?? request.response?.getElementById("problem");
    if (!answer) return location.reload(); // the session has ended: there is the way in
    const outcome = document.getElementById("outcome");
    outcome.replaceChildren(...answer.childNodes);
    outcome.scrollIntoView();
  });
  request.addEventListener("error", () => {
    finish();
    tell("The file could not be sent. Is the service still there? Send it again: what was imported counts once.");
  });
  button.disabled = true;
  progress.hidden = false;
  progress.value = 0;
  request.open("POST", form.action);
  request.send(new FormData(form));
});

// --- what went wrong with a request of a part of a page

function tell(text) {
  const notice = document.createElement("div");
  notice.className = "notice bad";
  notice.append(Object.assign(document.createElement("p"), { textContent: text }));
  document.getElementById("messages").replaceChildren(notice);
}

document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx) tell("The service could not be reached. Wait a moment and try again.");
});

// --- what was done is said once

if (document.querySelector("[data-done]")) {
  const address = new URL(location.href);
  address.searchParams.delete("done");
  history.replaceState(history.state, "", address);
}
