// A host of MCP Apps as small as the official AppBridge allows. `relay(method, params)` is Python's.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

globalThis.startHost = async ({ capabilities, context, toolInput }) => {
  const frame = document.querySelector("iframe");
  const bridge = new AppBridge(null, { name: "test-host", version: "1" }, capabilities, {
    hostContext: context,
  });
  const passOn = (method) => (params) => globalThis.relay(method, params);
  bridge.oncalltool = passOn("tools/call");
  bridge.onreadresource = passOn("resources/read");
  bridge.onupdatemodelcontext = passOn("ui/update-model-context");
  bridge.onmessage = passOn("ui/message");
  bridge.onopenlink = passOn("ui/open-link");
  bridge.ondownloadfile = passOn("ui/download-file");
  bridge.onsizechange = ({ height }) => {
    if (height) frame.style.height = `${height}px`;
  };
  const initialized = new Promise((resolve) => (bridge.oninitialized = resolve));
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.src = frame.dataset.src;
  await initialized;
  globalThis.bridge = bridge;
  if (toolInput) await bridge.sendToolInput({ arguments: toolInput });
};
