// Reads tool results: what was made, and where the pixels are.

const upperFirst = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const textOf = (result) =>
  (result.content ?? [])
    .filter((block) => block.type === "text")
    .map((block) => block.text)
    .join("\n");

/** Return the result's data; from its text where a host keeps the structured half back. */
function dataOf(result) {
  if (result.structuredContent) return result.structuredContent;
  const text = textOf(result);
  const line = /^\d+\. (?:(.+) \((#[0-9a-f]{6})\): )?image_id=(img_[0-9a-f]{24})(.*)$/gim;
  const found = [...text.matchAll(line)].map(([, color, hex, id, rest]) => {
    const difference = rest.match(/delta E ([\d.]+)/);
    const size = rest.match(/\((\d+)x(\d+)/) ?? [];
    return {
      color,
      color_hex: hex,
      image: { image_id: id, alt: rest.replace(/^.*?[.:] /, ""), width: size[1], height: size[2] },
      measurements: difference && { achieved_delta_e: Number(difference[1]) },
    };
  });
  const images = found.map((one) => one.image);
  if (found.some((one) => one.color)) {
    const source = text.match(/^Recolored (img_[0-9a-f]{24})/);
    return { variants: found, source_image_id: source?.[1], seed: text.match(/seed (\d+)/)?.[1] };
  }
  const persona = text.match(/persona (per_[\w-]+) \((.+), fictional\), (\w+)\./);
  if (!persona) return { images };
  const [, persona_id, name, expression] = persona;
  return { images, expression, persona: { persona_id, name } };
}

/** Return what a result shows: {id, name, alt, hex, detail, url, width, height, src} each. */
function itemsOf(result) {
  const data = dataOf(result);
  const inline = inlinePictures(result);
  const item = (image, rest) => ({
    id: image.image_id,
    alt: image.alt ?? image.caption ?? "",
    url: image.url,
    width: image.width,
    height: image.height,
    src: inline.get(image.image_id),
    ...rest,
  });
  if (Array.isArray(data.variants)) {
    return data.variants.map((one) =>
      item(one.image, {
        name: upperFirst(one.color),
        hex: one.color_hex,
        detail: verdict(one.measurements),
      }),
    );
  }
  const images = data.images ?? (data.image ? [data.image] : []);
  const mood = data.persona && upperFirst(data.expression);
  return images.map((image, index) =>
    item(image, {
      name: mood ? mood + (images.length > 1 ? ` ${index + 1}` : "") : `Picture ${index + 1}`,
      detail: data.similarity
        ? `${Math.round(data.similarity[index] * 100)}% like the first picture`
        : image.width && `${image.width} × ${image.height}`,
    }),
  );
}

/** Return the data: addresses of the result's own pictures by id. */
function inlinePictures(result) {
  const found = new Map();
  for (const block of result.content ?? []) {
    const id = block._meta?.["agent-tools/image_id"];
    const src = block.type === "image" && dataAddress(block);
    if (id && src) found.set(id, src);
  }
  return found;
}

function dataAddress(block) {
  // Some hosts hand over their model's image blocks, with the data one level deeper.
  const { data, blob, mimeType, media_type } = block.source ?? block;
  const type = mimeType ?? media_type;
  const bytes = data ?? blob;
  if (!/^image\/(webp|png|jpeg)$/.test(type) || !/^[A-Za-z0-9+/=]+$/.test(bytes)) return null;
  return `data:${type};base64,${bytes}`;
}

/** Fetch a small copy that the result did not carry. */
async function fetchPicture(id) {
  if (state.can.serverResources) {
    const { contents } = await ask("resources/read", { uri: `thumbnail://${id}` });
    return dataAddress(contents[0]);
  }
  const result = await callTool("get_image", { image_id: id });
  return inlinePictures(result).get(id);
}

/** Say a measured color difference in words: CIEDE2000, where about 1 is just noticeable. */
function verdict(measured) {
  if (!measured) return "Color not measured";
  const difference = measured.achieved_delta_e;
  const word =
    difference < 1 ? "Exact match"
    : difference < 2 ? "Match"
    : difference < 5 ? "Close"
    : difference < 10 ? "Visibly off"
    : "Another color";
  return `${word} (ΔE\u00a0${difference.toFixed(1)})`;
}
