// Draws the pictures as cards, and what goes with them.

const byId = (id) => document.getElementById(id);

function say(text, failed = false) {
  byId("status").textContent = text;
  byId("status").className = failed ? "failed" : "";
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function showWaiting(count) {
  const cards = Array.from({ length: Math.min(count, 8) }, () => {
    const card = element("div", "card waiting");
    card.ariaHidden = "true";
    const words = element("div", "words");
    const lines = element("div", "lines");
    lines.append(element("span", "name"));
    words.append(lines);
    card.append(element("div", "frame"), words);
    return card;
  });
  byId("cards").replaceChildren(...cards);
  say(count > 1 ? `Making ${count} pictures …` : "Making the picture …");
}

async function showResult(first) {
  const result = await settled(first);
  const items = result.isError ? [] : itemsOf(result);
  byId("cards").ariaBusy = "false";
  byId("cards").replaceChildren();
  if (!items.length) {
    const failed = Boolean(result.isError || result.structuredContent?.error);
    say(textOf(result) || "There is no picture in this result.", failed);
    return;
  }
  state.data = dataOf(result);
  byId("legend").hidden = !items.some((item) => item.hex);
  const mayCall = Boolean(state.can.serverTools);
  // Of several regions, one color would not say which.
  const oneRegion = !(state.input.regions?.length > 1);
  byId("more-colors").hidden = !(mayCall && state.data.variants && oneRegion);
  byId("more-expressions").hidden = !(mayCall && state.data.persona);
  const painted = !state.data.variants && !state.data.persona && state.input.prompt;
  byId("again").hidden = !(mayCall && painted);
  if (!mayCall && !state.can.serverResources && items.some((item) => !item.src)) {
    // No way to fetch single pictures: then the sheet of all, if the result carries one.
    byId("sheet").hidden = !showSheet(result);
  }
  addItems(items);
  byId("cards").firstElementChild.tabIndex = 0;
  say("Choose one with a click or with Enter.");
}

function showSheet(result) {
  const sheet = (result.content ?? []).find((block) => block.type === "image" && !idOf(block));
  const src = sheet && dataAddress(sheet);
  if (src) byId("sheet").src = src;
  return Boolean(src);
}

function headline() {
  const { data, input, items } = state;
  const count = items.length;
  if (data.variants) {
    const kind = items.every((item) => item.hex) ? "color" : "variant";
    const summary = `${count} ${kind}${count > 1 ? "s" : ""}`;
    return { title: upperFirst(input.product ?? "Your product"), summary };
  }
  if (data.persona) {
    const real = data.persona.fictional === false;
    return { title: data.persona.name, summary: real ? "" : "A fictional person" };
  }
  const words = input.prompt ?? data.prompt;
  const title = words ? upperFirst(words) : "Pictures";
  return { title, summary: count > 1 ? `${count} pictures` : "" };
}

function addItems(items) {
  for (const item of items) {
    if (state.items.some((known) => known.id === item.id)) continue;
    state.items.push(item);
    byId("cards").append(cardOf(item));
  }
  const { title, summary } = headline();
  byId("title").textContent = title;
  byId("summary").textContent = summary;
  // One to three pictures need not be as large as the chat is wide.
  byId("cards").style.maxWidth = `${90 + 230 * state.items.length}px`;
}

function cardOf(item) {
  const card = element("div", "card");
  card.id = item.id;
  card.setAttribute("role", "option");
  card.ariaSelected = "false";
  card.tabIndex = -1;
  const frame = element("div", "frame");
  if (item.width && item.height) {
    const ratio = Math.min(Math.max(item.width / item.height, 0.6), 1.8);
    frame.style.aspectRatio = String(ratio);
  }
  const words = element("div", "words");
  const lines = element("div", "lines");
  if (/^#[0-9a-f]{6}$/i.test(item.hex ?? "")) {
    const swatch = element("span", "swatch");
    swatch.style.backgroundColor = item.hex;
    words.append(swatch);
  }
  lines.append(element("span", "name", item.name), element("span", "detail", item.detail));
  words.append(lines);
  card.append(frame, words);
  draw(frame, item);
  return card;
}

async function draw(frame, item) {
  try {
    item.src ??= await fetchPicture(item.id);
  } catch {
    // Shown in words below.
  }
  if (!item.src) {
    frame.replaceChildren(element("span", "missing", item.alt || item.name));
    return;
  }
  const image = element("img");
  image.alt = item.alt;
  image.src = item.src;
  frame.replaceChildren(image);
}
