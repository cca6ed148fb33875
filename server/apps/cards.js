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
    words.append(element("span", "name"));
    card.append(element("div", "frame"), words);
    return card;
  });
  byId("cards").replaceChildren(...cards);
  say(count > 1 ? `Making ${count} pictures …` : "Making the picture …");
}

function showResult(result) {
  const items = result.isError ? [] : itemsOf(result);
  byId("cards").ariaBusy = "false";
  byId("cards").replaceChildren();
  if (!items.length) {
    say(textOf(result) || "There is no picture in this result.", Boolean(result.isError));
    return;
  }
  state.data = dataOf(result);
  const { title, summary } = headline(items);
  byId("title").textContent = title;
  byId("summary").textContent = summary;
  byId("legend").hidden = !items.some((item) => item.hex);
  const mayCall = Boolean(state.can.serverTools);
  byId("color-form").hidden = !(mayCall && state.data.variants);
  byId("expression-form").hidden = !(mayCall && state.data.persona);
  byId("again-form").hidden = !(mayCall && state.input.prompt && !state.data.persona);
  byId("larger").hidden = !mayCall;
  byId("use").hidden = !state.can.message;
  addItems(items);
  byId("cards").firstElementChild.tabIndex = 0;
  say("Choose one with a click or with Enter.");
}

function headline(items) {
  const count = items.length;
  const { data, input } = state;
  if (data.variants) {
    const subject = input.product ?? items[0].alt.split(/, recolored|\.$/)[0];
    return { title: upperFirst(subject), summary: `${count} color${count > 1 ? "s" : ""}` };
  }
  if (data.persona) return { title: data.persona.name, summary: "A fictional person" };
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
  byId("cards").classList.toggle("few", state.items.length < 4);
}

function cardOf(item) {
  const card = element("div", "card");
  card.id = item.id;
  card.setAttribute("role", "option");
  card.ariaSelected = "false";
  card.tabIndex = -1;
  const frame = element("div", "frame");
  const words = element("div", "words");
  if (/^#[0-9a-f]{6}$/i.test(item.hex ?? "")) {
    const swatch = element("span", "swatch");
    swatch.style.backgroundColor = item.hex;
    words.append(swatch);
  }
  words.append(element("span", "name", item.name), element("span", "detail", item.detail));
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
