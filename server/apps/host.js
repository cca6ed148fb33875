"use strict";
// Talks to the host of an MCP App, without an SDK: JSON-RPC over postMessage.
// https://github.com/modelcontextprotocol/ext-apps/blob/main/specification/2026-01-26/apps.mdx

const waiting = new Map();
let lastId = 0;

// A sandboxed view does not know the origin of its host, hence "*"; nothing secret is sent.
const post = (message) => window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");

function ask(method, params) {
  const id = ++lastId;
  post({ id, method, params });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

window.addEventListener("message", ({ source, data }) => {
  if (source !== window.parent || data?.jsonrpc !== "2.0") return;
  if (data.method === undefined) {
    const call = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error) call?.reject(new Error(data.error.message || "The host refused."));
    else call?.resolve(data.result ?? {});
  } else if (data.id === undefined) {
    heard[data.method]?.(data.params ?? {});
  } else if (["ping", "ui/resource-teardown"].includes(data.method)) {
    post({ id: data.id, result: {} });
  } else {
    post({ id: data.id, error: { code: -32601, message: "Method not found" } });
  }
});

const callTool = (name, input) => ask("tools/call", { name, arguments: input });
