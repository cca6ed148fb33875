// The view: shows the pictures of a result, tells the model what is chosen, asks for more.

const PROTOCOL = "2026-01-26";
const MOST_ROUNDS = 200; // of waiting for a job, half a minute each
const EXPRESSIONS = ["neutral", "smiling", "surprised", "sad", "thinking"];

const state = {
  can: {}, // the host's capabilities
  input: {}, // the arguments of the tool whose result is shown
  data: {}, // what it returned, see dataOf
  items: [], // the pictures, see itemsOf
  added: new Set(), // ids that were made in this view
  chosen: null, // id
  busy: false,
};

const heard = {
  "ui/notifications/tool-input": ({ arguments: input }) => {
    state.input = input ?? {};
    if (!state.items.length) showWaiting(state.input.colors?.length ?? state.input.count ?? 1);
  },
  "ui/notifications/tool-result": (result) => {
    if (!state.items.length) showResult(result).catch((error) => say(error.message, true));
  },
  "ui/notifications/tool-cancelled": () => {
    byId("cards").replaceChildren();
    byId("cards").ariaBusy = "false";
    say("Stopped before a picture was made.");
  },
  "ui/notifications/host-context-changed": applyContext,
};

function applyContext(context) {
  if (["light", "dark"].includes(context.theme)) {
    document.documentElement.style.colorScheme = context.theme;
  }
  for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
    if (/^--[a-z0-9-]+$/.test(name) && typeof value === "string") {
      document.documentElement.style.setProperty(name, value);
    }
  }
  const moods = context.toolInfo?.tool?.inputSchema?.properties?.expression?.enum;
  if (Array.isArray(moods)) fillExpressions(moods);
}

async function start() {
  fillExpressions(EXPRESSIONS);
  const answer = await ask("ui/initialize", {
    protocolVersion: PROTOCOL,
    appInfo: { name: "agent-tools-gallery", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline"] },
  });
  state.can = answer.hostCapabilities ?? {};
  applyContext(answer.hostContext ?? {});
  post({ method: "ui/notifications/initialized" });
  // Only the height: a host that is told a width sets it, and the grid would never grow again.
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    post({ method: "ui/notifications/size-changed", params: { height } });
  }).observe(document.body);
}

const nameOf = (item) => (item.hex ? `${item.name} (${item.hex})` : item.name);

async function choose(id) {
  state.chosen = id;
  for (const card of byId("cards").children) card.ariaSelected = String(card.id === id);
  const item = state.items.find((one) => one.id === id);
  offerActions(item);
  if (state.busy) return;
  const told = await tellModel();
  if (state.chosen !== id) return;
  say(
    told ? `${item.name} is chosen. The assistant knows.`
    : state.can.message ? `${item.name} is chosen. “Use this one” tells the assistant.`
    : `${item.name} is chosen. Tell the assistant: ${id}`,
  );
}

function offerActions(item) {
  const { can, data } = state;
  byId("use").hidden = !can.message;
  byId("keep").hidden = !(can.serverTools && data.persona?.locked === false);
  byId("larger").hidden = !can.serverTools;
  byId("open").hidden = !(can.openLinks && /^https?:/.test(item.url ?? ""));
  byId("download").hidden = !(can.downloadFile && byId("open").hidden);
}

/** Tell the model what was chosen and made here; each message replaces the one before. */
async function tellModel() {
  const can = state.can.updateModelContext;
  if (!can) return false;
  const described = (item) => ({ image_id: item.id, name: item.name, color_hex: item.hex });
  const chosen = state.items.find((item) => item.id === state.chosen);
  const added = state.items.filter((item) => state.added.has(item.id));
  const lines = [
    chosen && `The user chose ${nameOf(chosen)}: image_id=${chosen.id}`,
    ...added.map((item) => `Made in the gallery: ${nameOf(item)}: image_id=${item.id}`),
  ];
  const params = { content: [{ type: "text", text: lines.filter(Boolean).join("\n") }] };
  if (can.structuredContent) {
    const about = { chosen: chosen && described(chosen), added: added.map(described) };
    params.structuredContent = JSON.parse(JSON.stringify(about));
  }
  try {
    await ask("ui/update-model-context", params);
    return true;
  } catch {
    return false;
  }
}

/** Run a tool for more pictures and add them; `rename` names them. Return whether it did. */
async function make(label, tool, input, rename = (item) => item) {
  if (state.busy) return false;
  setBusy(true);
  say(`${label} …`);
  try {
    const result = await settled(await callTool(tool, input));
    const items = result.isError ? [] : itemsOf(result).map(rename);
    if (!items.length) throw new Error(textOf(result) || "The tool made no picture.");
    for (const item of items) {
      if (!state.items.some((known) => known.id === item.id)) state.added.add(item.id);
    }
    if (state.data.persona) state.data.persona = dataOf(result).persona ?? state.data.persona;
    if (state.data.persona?.locked) byId("keep").hidden = true;
    addItems(items);
    const told = await tellModel();
    focusCard(byId(items[0].id));
    say(`${items[0].name} is here${told ? "; the assistant knows" : ""}. Choose it with Enter.`);
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  } finally {
    setBusy(false);
  }
}

function setBusy(busy) {
  state.busy = busy;
  byId("cards").ariaBusy = String(busy);
  for (const button of document.querySelectorAll("button")) button.disabled = busy;
}

/** Wait for the end of a job; `get_job` itself waits up to its limit. */
async function settled(result) {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const job = pendingJob(result);
    if (!job || !state.can.serverTools) break;
    say(`${job.message} …`);
    result = await callTool("get_job", { job_id: job.job_id });
  }
  return result;
}

/** Return the arguments that make the shown product again, apart from its look. */
function sameProduct() {
  const { fresh, images, count, colors, variants, ...input } = state.input;
  const { seed, source_image_id } = state.data;
  if (!input.image_id && !input.product) {
    return { image_id: source_image_id ?? state.items[0].id };
  }
  return seed == null ? input : { ...input, seed: Number(seed) };
}

async function addColor() {
  const color = byId("color").value.trim();
  if (!color) {
    byId("color").focus();
    say("Type a color: a name or a hex value.", true);
    return;
  }
  const input = { ...sameProduct(), colors: [color] };
  const made = await make(`Making it in ${color}`, "create_product_variants", input);
  if (made) byId("color").value = "";
}

function addExpression() {
  const expression = byId("expression").value;
  const { persona_id, name, locked } = state.data.persona;
  const input = { persona_id, expression };
  // The first other expression settles the face: then it shall be the chosen one.
  if (locked === false && state.chosen) input.lock_image_id = state.chosen;
  make(`Drawing ${name}, ${expression}`, "create_persona_avatar", input);
}

async function keepFace() {
  const { persona_id, name } = state.data.persona;
  const kept = { persona_id, lock_image_id: state.chosen };
  await make(`Keeping this face`, "create_persona_avatar", kept);
  if (state.data.persona.locked) say(`${name} keeps this face from now on.`);
}

function paintAnother() {
  const { seed, fresh, images, ...input } = state.input;
  const name = `Picture ${state.items.length + 1}`;
  make("Painting another", "generate_image", { ...input, count: 1 }, (item) => ({ ...item, name }));
}

function fillExpressions(moods) {
  const options = moods.map((mood) => new Option(upperFirst(String(mood)), mood));
  byId("expression").replaceChildren(...options);
}

function focusCard(card) {
  for (const other of byId("cards").children) other.tabIndex = other === card ? 0 : -1;
  card.focus();
}

byId("cards").addEventListener("click", (event) => {
  const card = event.target.closest("[role=option]");
  if (!card) return;
  focusCard(card);
  choose(card.id);
});

byId("cards").addEventListener("keydown", (event) => {
  const cards = [...event.currentTarget.children];
  const now = cards.indexOf(document.activeElement);
  if (now < 0) return;
  const columns = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const next = { Home: 0, End: cards.length - 1 }[event.key] ?? now + steps[event.key];
  if (event.key === "Enter" || event.key === " ") choose(cards[now].id);
  else if (Number.isNaN(next)) return;
  else if (cards[next]) focusCard(cards[next]);
  event.preventDefault();
});

byId("picker").addEventListener("input", () => {
  byId("color").value = byId("picker").value;
});

// Not forms: the sandbox of a host need not allow them, and then nothing would happen.
for (const [id, act] of [
  ["add-color", addColor],
  ["add-expression", addExpression],
  ["again", paintAnother],
  ["keep", keepFace],
]) {
  byId(id).addEventListener("click", act);
}
byId("color").addEventListener("keydown", ({ key, isComposing }) => {
  if (key === "Enter" && !isComposing) addColor();
});

byId("larger").addEventListener("click", () => {
  const { id, name, hex } = state.items.find((item) => item.id === state.chosen);
  const larger = (item) => ({ ...item, name: `${name}, larger`, hex });
  make(`Making ${name} larger`, "upscale_image", { image_id: id, factor: 2 }, larger);
});

byId("use").addEventListener("click", async () => {
  const item = state.items.find((one) => one.id === state.chosen);
  const text = `Let's use ${nameOf(item)}: image_id=${item.id}`;
  try {
    await ask("ui/message", { role: "user", content: [{ type: "text", text }] });
    say(`Sent: ${item.name}.`);
  } catch (error) {
    say(error.message, true);
  }
});

byId("open").addEventListener("click", () => {
  const { url } = state.items.find((item) => item.id === state.chosen);
  ask("ui/open-link", { url }).catch((error) => say(error.message, true));
});

byId("download").addEventListener("click", () => {
  const { id, alt } = state.items.find((item) => item.id === state.chosen);
  const link = { type: "resource_link", uri: `image://${id}`, name: `${id}.png`, title: alt };
  const contents = [{ ...link, mimeType: "image/png" }];
  ask("ui/download-file", { contents }).catch((error) => say(error.message, true));
});

start();
