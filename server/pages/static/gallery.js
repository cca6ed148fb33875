// Adds to pages that work without it: live jobs, copying, comparing by keys, dropping files.
// Text from the server goes into textContent only; nothing here writes HTML.

const root = document.body.dataset.root;
const find = (name, from = document) => from.querySelector(name);
const all = (name, from = document) => [...from.querySelectorAll(name)];
const announcer = find("[data-announcer]");
const announce = (text) => { announcer.textContent = text; };
const titleOf = (tool) => {
  const words = tool.replace(/^create_/, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

// Copy buttons. Where the page may not use the clipboard, the text is selected instead.
for (const button of all("[data-copy]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    let copied = true;
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      copied = document.execCommand("copy");
    }
    const label = button.firstChild;
    label.textContent = copied ? "Copied" : "Selected";
    announce(copied ? "Copied to the clipboard." : "Selected; press Control and C.");
    setTimeout(() => { label.textContent = "Copy"; }, 1600);
  });
}

// Choosing pictures to compare.
for (const form of all("[data-select]")) {
  const tray = find("[data-tray]", form);
  const most = Number(tray.dataset.most ?? 4);
  const least = tray.dataset.most ? 1 : 2;
  const button = find("button:not([type])", tray);
  const update = () => {
    const boxes = all("input[type=checkbox]", form);
    const chosen = boxes.filter((box) => box.checked).length;
    for (const box of boxes) box.disabled = chosen >= most && !box.checked;
    tray.hidden = chosen === 0;
    button.disabled = chosen < least;
    find("[data-chosen]", tray).textContent =
      chosen < least ? `${chosen} chosen, one more to compare` : `${chosen} chosen`;
  };
  form.addEventListener("change", update);
  form.addEventListener("reset", () => setTimeout(update));
  addEventListener("pageshow", update);
  update();
}

// Arrow keys: from picture to picture, unless somebody types.
const typing = (target) => target.closest("input, textarea, select, pre") !== null;
addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || typing(event.target)) return;
  find(`a[data-key="${CSS.escape(event.key)}"]`)?.click();
});

// Compare: side by side, one at a time, or wiping over each other.
const board = find("[data-compare]");
if (board) {
  const figures = all("figure", board);
  const wipe = find("[data-wipe]");
  let current = 0;
  const show = (index) => {
    current = (index + figures.length) % figures.length;
    figures.forEach((figure, n) => figure.classList.toggle("current", n === current));
    if (board.dataset.show !== "wipe") figures[current].focus({ preventScroll: board.dataset.show === "single" });
    announce(figures[current].getAttribute("aria-label"));
  };
  find("[data-modes]").hidden = false;
  for (const button of all("[data-mode]")) {
    button.addEventListener("click", () => {
      board.dataset.show = button.dataset.mode;
      for (const other of all("[data-mode]")) other.setAttribute("aria-pressed", other === button);
      if (wipe) wipe.hidden = button.dataset.mode !== "wipe";
      figures.forEach((figure, n) => figure.classList.toggle("current", n === current));
    });
  }
  if (wipe) {
    find("input", wipe).addEventListener("input", (event) => {
      board.style.setProperty("--wipe", `${event.target.value}%`);
    });
  }
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || typing(event.target)) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(current + step);
  });
}

// Dropping a file anywhere on the page that reads files.
const drop = find("[data-drop]");
if (drop) {
  const field = find("input[type=file]", drop);
  field.addEventListener("change", () => { if (field.files.length) drop.requestSubmit(); });
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", () => drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    field.files = event.dataTransfer.files;
    drop.requestSubmit();
  });
}

// Live jobs: one stream for the page, the whole list in each event.
const calls = find("[data-calls]");
let before = null;

const patch = (item, call) => {
  const set = (name, text) => {
    const field = find(name, item);
    if (field.textContent !== text) field.textContent = text;
  };
  set("[data-tool]", titleOf(call.tool));
  set("[data-subject]", call.subject);
  set("[data-message]", call.message || "Starting");
  set("[data-seconds]", String(Math.round(call.seconds)));
  find("progress", item).value = call.done;
  const preview = find("[data-preview]", item);
  if (call.preview && preview.getAttribute("src") !== root + call.preview) {
    preview.src = root + call.preview;
    preview.hidden = false;
  }
};

const showRunning = (running) => {
  const known = new Map(all("[data-call]", calls).map((item) => [item.dataset.call, item]));
  for (const call of running) {
    let item = known.get(call.call_id);
    known.delete(call.call_id);
    if (!item) {
      item = find("[data-call-template]").content.firstElementChild.cloneNode(true);
      item.dataset.call = call.call_id;
      const form = find("form", item);
      form.setAttribute("action", form.getAttribute("action").replace("CALL_ID", call.call_id));
      find("button .unseen", item).textContent = ` ${titleOf(call.tool)} ${call.subject}`;
      calls.append(item);
    }
    patch(item, call);
  }
  for (const item of known.values()) item.remove();
  find("[data-idle]").hidden = running.length > 0;
};

const showEnded = (finished) => {
  const list = find("[data-ended]");
  list.replaceChildren(...finished.map((call) => {
    const item = document.createElement("li");
    item.className = call.state;
    const add = (tag, text, style = "") => {
      const element = document.createElement(tag);
      element.textContent = text;
      element.className = style;
      item.append(element, " ");
      return element;
    };
    add("b", titleOf(call.tool));
    add("span", call.subject);
    const why = call.state === "failed" ? `: ${call.message}` : "";
    add("span", `${call.state} after ${call.seconds} s${why}`, "meta");
    call.image_ids.forEach((id, n) => {
      add("a", `picture ${n + 1}`).href = `${root}gallery/${encodeURIComponent(id)}`;
    });
    return item;
  }));
};

const run = find("[data-run]");
const refreshRun = async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = page.getElementById("run");
  const shown = document.getElementById("run");
  if (!now || now.dataset.state === shown.dataset.state) return;
  shown.replaceWith(document.adoptNode(now));
  announce(now.textContent.trim().replace(/\s+/g, " "));
};
// A run is over a little later than its call: its pictures are compared first.
const followRun = async () => {
  if (document.getElementById("run").dataset.state !== "running") return;
  await refreshRun().catch(() => {});
  setTimeout(followRun, 700);
};

const changed = (jobs) => {
  const badge = find("[data-running]");
  if (badge) {
    badge.hidden = jobs.running.length === 0;
    badge.textContent = jobs.running.length;
  }
  if (calls) {
    showRunning(jobs.running);
    if (jobs.finished.length) showEnded(jobs.finished);
  }
  if (before) {
    for (const call of jobs.running) {
      if (!before.has(call.call_id)) announce(`${titleOf(call.tool)} started.`);
    }
    // Some are over before they were ever seen running.
    const ended = jobs.finished.filter((call) => (before.get(call.call_id) ?? "running") === "running");
    for (const call of ended) announce(`${titleOf(call.tool)}: ${call.state}.`);
    const fresh = find("[data-fresh]");
    if (fresh && ended.some((call) => call.image_ids.length)) fresh.hidden = false;
  }
  before = new Map([...jobs.running, ...jobs.finished].map((call) => [call.call_id, call.state]));
};

if (find(".bar nav") && "EventSource" in window) {
  const stream = new EventSource(`${root}gallery/jobs/events`);
  stream.addEventListener("jobs", (event) => changed(JSON.parse(event.data)));
  addEventListener("pagehide", () => stream.close());
}
if (run) {
  run.focus();
  followRun();
}
