/**
 * Serves web/dist, the control plane's API and four edges on one machine, without
 * a tree: `npm run mock -- [--port 5180] [--scene campus]`.
 * While it runs: POST /mock/scene/NAME changes the scene, POST /mock/edge/N/off|on|mute
 * kills, revives and silences an edge, POST /mock/control/off|on the API (the page stays).
 */
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SCENES, streams, topology } from "./campus.mjs";
import { prepare, publish } from "./media.mjs";

const { values } = parseArgs({
  options: { port: { type: "string", default: "5180" }, scene: { type: "string", default: "campus" } },
});
if (!SCENES.includes(values.scene)) {
  console.error(`scene "${values.scene}" is not known; accepted: ${SCENES.join(", ")}`);
  process.exit(64);
}

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
  ".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/iso.segment", ".jpg": "image/jpeg",
};
const port = Number(values.port);
const state = { scene: values.scene, control: true, tick: 0, sessions: {} };
const listeners = new Set();
const edges = Array.from({ length: 4 }, (_, n) => ({ name: `edge-${n}`, url: `http://127.0.0.1:${port + 1 + n}` }));
const folder = await mkdtemp(join(tmpdir(), "banyan-mock-"));

async function send(response, root, path, headers = {}) {
  const file = join(root, normalize(`/${path}`));
  try {
    const info = await stat(file);
    if (!info.isFile()) throw new Error("not a file");
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-length": info.size, ...headers });
    createReadStream(file).pipe(response);
  } catch {
    response.writeHead(404, headers).end();
  }
}

const CORS = { "access-control-allow-origin": "*", "cache-control": "no-store" };

class EdgeServer {
  #server;
  #sockets = new Set();
  #mute = false;
  constructor(n) { this.n = n; }
  mute() {
    this.#mute = true;
  }
  on() {
    this.#mute = false;
    if (this.#server?.listening) return;
    this.#server = createServer((request, response) => {
      if (this.#mute) return;
      const [, , rest] = /^\/([a-z0-9-]+)\/(.+)$/.exec(new URL(request.url, "http://x").pathname) ?? [];
      if (rest === undefined) return void response.writeHead(404, CORS).end();
      const poster = rest === "poster.jpg";
      return void send(response, poster ? folder : join(folder, "live"), poster ? request.url : rest, CORS);
    });
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server.listen(port + 1 + this.n, "127.0.0.1");
  }
  off() {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

const servers = edges.map((_, n) => new EdgeServer(n));

function event() {
  return `event: topology\ndata: ${JSON.stringify(topology(state.scene, edges, state.tick, state.sessions))}\n\n`;
}

const control = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://x");
  const order = /^\/mock\/(\w+)\/(\w+)(?:\/(\w+))?$/.exec(pathname);
  if (order && request.method === "POST") {
    const [, what, which, how] = order;
    if (what === "scene" && SCENES.includes(which)) state.scene = which;
    if (what === "edge") servers[Number(which)]?.[["off", "mute"].includes(how) ? how : "on"]();
    if (what === "control") {
      state.control = which === "on";
      if (!state.control) for (const listener of listeners) listener.destroy();
    }
    if (state.control) for (const listener of listeners) listener.write(event());
    return void response.end("ok\n");
  }
  if (pathname.startsWith("/api/")) {
    if (!state.control) return void request.socket.destroy();
    if (pathname === "/api/events") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.write(event());
      listeners.add(response);
      return void response.on("close", () => listeners.delete(response));
    }
    const whole = topology(state.scene, edges, state.tick, state.sessions);
    const body = { "/api/topology": whole, "/api/origins": whole.origins, "/api/streams": whole.streams.length > 0 ? streams(edges) : [] }[pathname];
    response.writeHead(body ? 200 : 404, { "content-type": "application/json" });
    return void response.end(JSON.stringify(body ?? {}));
  }
  return void send(response, DIST, pathname === "/" ? "index.html" : pathname);
});

let publisher = null;
let beat;

async function leave() {
  clearInterval(beat);
  if (publisher?.exitCode === null) {
    publisher.kill();
    await once(publisher, "exit");
  }
  await rm(folder, { recursive: true, force: true });
  process.exit(0);
}
process.on("SIGINT", leave);
process.on("SIGTERM", leave);

const loop = await prepare(folder);
publisher = await publish(folder, loop);
for (const server of servers) server.on();
// A stream is on offer once three segments of it are.
while (!(await readFile(join(folder, "live", "720p.m3u8"), "utf8").catch(() => "")).includes("720p2.m4s")) {
  await new Promise((resolve) => setTimeout(resolve, 200));
}
control.listen(port, "127.0.0.1", () => console.log(`page http://127.0.0.1:${port}/ scene ${state.scene}`));
beat = setInterval(() => {
  state.tick += 1;
  for (const listener of listeners) listener.write(event());
}, 1_000);
