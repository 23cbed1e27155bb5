/**
 * A plausible campus for looking at the page before, or without, a real tree:
 * two servers, two roots, three relays, four edges, two streams. Pure functions
 * of a scene and a tick.
 */

const STREAMS = [
  { name: "welcome", title: "Welcome to the campus", mbit: 2.7 },
  { name: "lecture", title: "Lecture hall 1", mbit: 1.9 },
];

const FEEDS = {
  welcome: {
    "root-0": "lisbon", "root-1": "root-0",
    "relay-0": "root-0", "relay-1": "root-1", "relay-2": "root-0",
    "edge-0": "relay-0", "edge-1": "relay-0", "edge-2": "relay-1", "edge-3": "relay-2",
  },
  lecture: {
    "root-1": "porto", "root-0": "root-1",
    "relay-1": "root-1", "relay-2": "root-0",
    "edge-2": "relay-1", "edge-3": "relay-2",
  },
};

const SESSIONS = { "edge-0": 3, "edge-1": 1, "edge-2": 4, "edge-3": 2 };

export const SCENES = ["campus", "preparing", "failed", "idle", "empty", "healed", "wide"];

export function topology(scene, edges, tick, sessions = {}) {
  const base = {
    topology: "campus",
    epoch: 3,
    now_unix_ms: Date.now(),
    tiers: ["relay"],
    members: [], links: [], streams: [], edges: [], origins: [],
  };
  if (scene === "empty") return base;
  const wobble = (seed) => 1 + 0.04 * Math.sin(tick / 3 + seed);
  const member = (name, role, extra = {}) => ({
    name, role, tier: role, state: "ready",
    http: "http://127.0.0.1:1", grpc: "127.0.0.1:2", pid: 4000 + name.length,
    sessions: role === "edge" ? (SESSIONS[name] ?? 0) + (sessions[name] ?? 0) : 0,
    load: {
      cpu_permille: Math.round(60 * wobble(name.length)), memory_bytes: 48 << 20, memory_limit_bytes: 512 << 20,
      network_in_bps: 2_700_000, network_out_bps: 5_400_000, active_workers: 2, sessions: 0,
    },
    ...extra,
  });
  base.members = [
    member("lisbon", "origin", { state: scene === "healed" ? "lost" : "ready" }),
    member("porto", "origin"),
    member("root-0", "root"), member("root-1", "root"),
    member("relay-0", "relay", { state: scene === "healed" ? "lost" : "ready" }),
    member("relay-1", "relay"),
    member("relay-2", "relay", { state: scene === "preparing" ? "starting" : "ready" }),
    ...["edge-0", "edge-1", "edge-2", "edge-3"].map((name) => member(name, "edge", { parents: ["relay-1", "relay-2"] })),
    member("control", "control"),
  ];
  base.edges = edges;
  if (scene === "wide") {
    base.tiers = ["distribution", "access"];
    for (const one of base.members) if (one.role === "relay") Object.assign(one, { name: `distribution-${one.name.slice(-1)}`, tier: "distribution" });
    for (let n = 0; n < 6; n += 1) base.members.push(member(`access-${n}`, "relay", { tier: "access" }));
    for (let n = 4; n < 12; n += 1) base.members.push(member(`edge-${n}`, "edge", { sessions: n * 7 }));
  }
  const silent = scene === "healed";
  const preparing = (list) => list.map(([content, permille, error = ""]) => ({
    content, permille: error ? permille : Math.min(1000, permille + tick), remaining_ms: error ? 0 : (1000 - permille) * 90, error,
  }));
  base.origins = [
    {
      source: "lisbon", metric: 12, contents: ["welcome", "lecture"], state: silent ? "Silent" : "Active",
      rtt_us: 420, late_permille: 0, load_permille: 180, feeds: silent ? [] : ["welcome"],
      preparing: scene === "preparing" ? preparing([["welcome", 620], ["lecture", 180]]) : [],
    },
    {
      source: "porto", metric: 19, contents: ["welcome", "lecture"], state: "Active",
      rtt_us: 880, late_permille: 2, load_permille: 240, feeds: silent ? ["welcome", "lecture"] : ["lecture"],
      preparing: scene === "preparing" ? preparing([["welcome", 410], ["lecture", 0]])
        : scene === "failed" ? preparing([["night", 430, "file \"night.mp4\" ends in the middle of a frame; a whole mp4 is accepted"]]) : [],
    },
  ];
  if (scene === "preparing") return base;
  base.streams = STREAMS.map(({ name, title }) => ({
    name, title, carrier: name === "lecture" ? "root-1" : "root-0",
    origin: name === "lecture" || silent ? "porto" : "lisbon",
    candidates: ["lisbon", "porto"], viewers: name === "lecture" ? 3 : 7, poster: true,
  }));
  if (scene === "idle") return base;
  for (const { name, mbit } of STREAMS) {
    for (const [to, parent] of Object.entries(FEEDS[name])) {
      let from = parent;
      if (silent && from === "lisbon") from = "porto";
      if (silent && from === "relay-0") from = to === "edge-0" ? "relay-1" : "relay-2";
      if (silent && to === "relay-0") continue;
      const rename = (one) => (scene === "wide" && one.startsWith("relay-") ? one.replace("relay", "distribution") : one);
      const link = (track, share) => ({
        from: rename(from), to: rename(to), stream: name, track,
        bytes_per_second: (mbit * share * 1e6 * wobble(to.length + to.charCodeAt(to.length - 1))) / 8, state: "flowing",
      });
      base.links.push(link("720p", 0.95), link("audio", 0.05));
    }
  }
  return base;
}

export function streams(edges) {
  return STREAMS.map(({ name, title, mbit }) => ({
    name, title, run: "mockrunaaa", epoch: 1, duration_ms: 30_000,
    playlists: edges.map((edge) => `${edge.url}/${name}/index.m3u8`),
    poster: `/${name}/poster.jpg`,
    tracks: [
      { name: "720p", kind: "video", codec: "avc1.64001f", width: 1280, height: 720, frame_rate: "25/1", peak_bandwidth: mbit * 1e6 },
      { name: "360p", kind: "video", codec: "avc1.64001e", width: 640, height: 360, frame_rate: "25/1", peak_bandwidth: 8e5 },
      { name: "audio", kind: "audio", codec: "mp4a.40.2", width: 0, height: 0, frame_rate: "0/1", peak_bandwidth: 128_000 },
    ],
    viewers: 3, source: "lisbon",
  }));
}
