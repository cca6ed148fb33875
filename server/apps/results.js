// Reads tool results: what was made, and where the pixels are.

const upperFirst = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const textOf = (result) =>
  (result.content ?? [])
    .filter((block) => block.type === "text")
    .map((block) => block.text)
    .join("\n");

/** Return the job that a result only announces, or null. Long calls are answered so. */
function pendingJob(result) {
  const job = result.structuredContent?.job;
  if (job) return job.status === "working" ? job : null;
  const id = !result.isError && textOf(result).match(/job_id=(job_[0-9a-z]+)/);
  return id ? { job_id: id[1], message: "Still working" } : null;
}

/** Return the result's data; from its text where a host keeps the structured half back. */
function dataOf(result) {
  const data = result.structuredContent;
  if (data) return data.job ? (data.result ?? {}) : data;
  const text = textOf(result);
  const line =
    /^\d+\. (?:(.+?)(?: \((#[0-9a-f]{6})\))?(?: \[.+\])?: )?image_id=(img_[0-9a-f]{24})(.*)$/gim;
  const found = [...text.matchAll(line)].map(([, name, hex, id, rest]) => {
    const difference = rest.match(/delta E ([\d.]+)/);
    const size = rest.match(/\((\d+)x(\d+)/) ?? [];
    return {
      name,
      color_hex: hex,
      image: { image_id: id, alt: rest.replace(/^.*?[.:] /, ""), width: size[1], height: size[2] },
      measurements: difference && { achieved_delta_e: Number(difference[1]) },
    };
  });
  const images = found.map((one) => one.image);
  if (found.some((one) => one.name)) {
    const source = text.match(/^(?:Recolored|Painted .* over) (img_[0-9a-f]{24})/);
    return { variants: found, source_image_id: source?.[1], seed: text.match(/seed (\d+)/)?.[1] };
  }
  const persona = text.match(/persona (per_[\w-]+) \((.+), (?:fictional|real.*?)\), (\w+)\./);
  if (!persona) return { images };
  const [, persona_id, name, expression] = persona;
  const locked = !text.includes("not locked yet");
  return { images, expression, persona: { persona_id, name, locked } };
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
    return data.variants.map((one) => {
      const detail = one.color_hex || one.measurements ? verdict(one) : one.sku;
      const name = upperFirst(one.name ?? one.color);
      return item(one.image, { name, hex: one.color_hex, detail });
    });
  }
  const images = data.images ?? (data.image ? [data.image] : []);
  const candidates = data.verdicts?.includes("candidate");
  const word = data.persona && !candidates ? upperFirst(data.expression) : null;
  const kind = candidates ? "Face" : "Picture";
  return images.map((image, index) =>
    item(image, {
      name: word && images.length === 1 ? word : `${word ?? kind} ${index + 1}`,
      detail: !data.persona
        ? image.width && `${image.width} × ${image.height}`
        : candidates ? "" : resemblance(data.similarity?.[index], data.verdicts?.[index]),
    }),
  );
}

const idOf = (block) => block._meta?.["agent-tools/image_id"];

/** Return the data: addresses of the result's own pictures by id. */
function inlinePictures(result) {
  const found = new Map();
  for (const block of result.content ?? []) {
    const id = idOf(block);
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
function verdict(variant) {
  const regions = variant.region_measurements?.length
    ? variant.region_measurements
    : [variant.measurements].filter(Boolean);
  if (!regions.length) return "Color not measured";
  const difference = Math.max(...regions.map((measured) => measured.achieved_delta_e));
  const word =
    difference < 1 ? "Exact match"
    : difference < 2 ? "Match"
    : difference < 5 ? "Close"
    : difference < 10 ? "Visibly off"
    : "Another color";
  return `${word} (ΔE\u00a0${difference.toFixed(1)})`;
}

/** Say how alike a face is to the persona's own. */
function resemblance(value, word) {
  if (word === "other") return "May be someone else";
  return value === undefined ? "" : `${Math.round(value * 100)}% alike`;
}
