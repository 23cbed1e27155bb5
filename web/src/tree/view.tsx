/** Draws the layout as SVG. Colour never stands alone: shape and text say the same. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, rate } from "../format";
import type { Origin, StreamSummary, Topology } from "../model/types";
import { describe, draw, shorten, thickness } from "./layout";
import type { Box, Curve } from "./layout";

interface Props {
  readonly topology: Topology;
  readonly stream: StreamSummary | null;
  readonly here: string | null;
  readonly stale: boolean;
}

export function Tree({ topology, stream, here, stale }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(340);
  const [hides, setHides] = useState("");
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const name = stream?.name ?? null;
  const drawing = useMemo(() => draw(topology, { stream: name, here, width }), [topology, name, here, width]);
  const scrolls = drawing.width > width + 1;
  // A tree wider than the screen opens where this viewer hangs.
  const at = drawing.rows.flatMap((row) => row.boxes).find((box) => box.here);
  const middle = scrolls && at ? at.x + at.width / 2 - width / 2 : null;
  useEffect(() => {
    if (middle !== null) frame.current?.scrollTo({ left: middle });
  }, [middle]);
  const look = () => {
    const element = frame.current;
    if (!element) return;
    const left = element.scrollLeft > 4 ? " more-left" : "";
    setHides(element.scrollLeft + element.clientWidth < element.scrollWidth - 4 ? `${left} more-right` : left);
  };
  useEffect(look, [drawing.width, width]);
  const origins = new Map(topology.origins.map((origin) => [origin.source, origin]));

  return (
    <>
      <div class="tree-head">
        <h2 id="tree-title">The tree{stream && <span class="of"> of {stream.title}</span>}</h2>
        <Legend spares={drawing.curves.some((curve) => curve.kind === "spare")} />
      </div>
      <div class="tree-plot">
        {/* Outside of what scrolls, so that a tier keeps its name. */}
        <div class="tiers" aria-hidden="true">
          {drawing.rows.map((row) => (
            <span key={row.key} style={{ top: `${row.y - 3}px` }}>
              {row.label}
            </span>
          ))}
        </div>
        <div
          class={`tree-frame${stale ? " stale" : ""}${hides}`}
          ref={frame}
          onScroll={look}
          {...(scrolls ? { tabIndex: 0, role: "region" as const, "aria-label": "The tree, scrolls sideways" } : {})}
        >
          <svg
            class="tree"
            role="img"
            aria-label={describe(topology, name)}
            viewBox={`0 0 ${drawing.width} ${drawing.height}`}
            width={drawing.width}
            height={drawing.height}
          >
            {drawing.curves.map((curve) => (
              <Root key={curve.key} curve={curve} />
            ))}
            {drawing.rows.flatMap((row) =>
              row.boxes.map((box) => (
                <Node key={box.member.name} box={box} origin={origins.get(box.member.name)} stream={stream} />
              )),
            )}
            {drawing.curves.map((curve) => curve.label && (
              <text key={curve.key} class={`rate ${curve.kind}`} x={curve.label.x} y={curve.label.y}>
                {rate(curve.bytesPerSecond)}
              </text>
            ))}
          </svg>
        </div>
      </div>
    </>
  );
}

function Root({ curve }: { curve: Curve }) {
  const width = curve.kind === "spare" ? 1.5 : thickness(curve.bytesPerSecond) + (curve.kind === "mine" ? 1 : 0);
  return (
    <g class={`root ${curve.kind}${curve.troubled ? " troubled" : ""}`}>
      <title>
        {curve.kind === "spare"
          ? `${curve.to} may turn to ${curve.from}`
          : `${curve.from} feeds ${curve.to}: ${curve.tracks.join(", ")}, ${rate(curve.bytesPerSecond)}`}
      </title>
      <path class="line" d={curve.path} stroke-width={width} />
      {curve.kind === "mine" && curve.bytesPerSecond > 0 && <path class="flow" d={curve.path} />}
    </g>
  );
}

function Node({ box, origin, stream }: { box: Box; origin: Origin | undefined; stream: StreamSummary | null }) {
  const { member, x, y, width, height } = box;
  const classes = ["node", member.role, member.state];
  if (box.active) classes.push("active");
  if (box.dimmed) classes.push("dimmed");
  if (box.here) classes.push("here");
  const [brief, more] = noteOf(box, origin, stream);
  const note = more === "" ? brief : `${brief}, ${more}`;
  const room = Math.floor((width - 34) / 7.7);
  return (
    <g class={classes.join(" ")} transform={`translate(${x} ${y})`}>
      <title>{`${member.name} (${member.role}), ${member.state}: ${note}`}</title>
      <rect class="body" width={width} height={height} rx={member.role === "server" ? 3 : member.role === "edge" ? 16 : 9} />
      <Glyph state={member.state} x={17} y={18} />
      <text class="name" x={29} y={22.5}>
        {shorten(member.name, room)}
      </text>
      <text class="note" x={12} y={39.5}>
        {(note.length + 1) * 6.6 + 12 > width ? brief : note}
      </text>
      {box.here && (
        <g class="you" transform={`translate(${width - 32} ${height})`}>
          <rect x={-19} y={-8} width={38} height={17} rx={8.5} />
          <text y={4}>you</text>
        </g>
      )}
    </g>
  );
}

/** Ready is a full disc, starting a ring, lost a cross. */
function Glyph({ state, x, y }: { state: Box["member"]["state"]; x: number; y: number }) {
  if (state === "ready") return <circle class="glyph ready" cx={x} cy={y} r={4.5} />;
  if (state === "starting") return <circle class="glyph starting" cx={x} cy={y} r={4} />;
  return <path class="glyph lost" d={`M${x - 4} ${y - 4}l8 8m0-8l-8 8`} />;
}

/** Why a content server may not feed, in a word or two. */
const WHY_NOT: Record<string, string> = {
  ClockSkew: "clock is off",
  Draining: "leaving",
  NotPrepared: "not prepared",
};

/** What a box says: a word or two, and more where there is room. */
function noteOf(box: Box, origin: Origin | undefined, stream: StreamSummary | null): [brief: string, more: string] {
  const { member } = box;
  if (member.state !== "ready") return [member.state, ""];
  switch (member.role) {
    case "server": {
      const metric = origin?.metric == null ? "" : `metric ${origin.metric}`;
      if (stream && !box.candidate) return ["other streams", ""];
      if (box.active) return ["active", metric];
      if (origin?.preparing.some((entry) => entry.error === "")) return ["preparing", ""];
      if (origin?.state === "silent") return ["silent", ""];
      if (origin?.state === "ineligible") return [WHY_NOT[origin.reason] ?? "ineligible", metric];
      return [stream ? "standby" : (origin?.state ?? "ready"), metric];
    }
    case "edge":
      return [count(member.sessions, "viewer"), ""];
    default: {
      const out = box.outBytesPerSecond > 0 ? `${rate(box.outBytesPerSecond)} out` : "";
      if (box.carrier) return ["carrier", out.replace(" out", "")];
      return [out === "" ? "idle" : out, ""];
    }
  }
}

function Legend({ spares }: { spares: boolean }) {
  return (
    <ul class="legend" aria-label="Signs">
      <li>
        <svg viewBox="0 0 12 12" aria-hidden="true"><Glyph state="ready" x={6} y={6} /></svg>ready
      </li>
      <li>
        <svg viewBox="0 0 12 12" aria-hidden="true"><Glyph state="starting" x={6} y={6} /></svg>starting
      </li>
      <li>
        <svg viewBox="0 0 12 12" aria-hidden="true"><Glyph state="lost" x={6} y={6} /></svg>lost
      </li>
      <li>
        <svg viewBox="0 0 24 12" class="wide" aria-hidden="true"><g class="root mine"><path class="line" d="M1 6h22" stroke-width="3.5" /></g></svg>your path
      </li>
      {spares && (
        <li>
          <svg viewBox="0 0 24 12" class="wide" aria-hidden="true"><g class="root spare"><path class="line" d="M1 6h22" stroke-width="1.5" /></g></svg>spare
        </li>
      )}
    </ul>
  );
}
