/** The tree as tables: for screen readers, and for whoever likes numbers better. */
import type { ComponentChildren } from "preact";
import { bitrate, bytes, permille, rate } from "../format";
import type { Origin, Topology } from "../model/types";
import { rowsOf } from "../tree/layout";

/** Clocks of one machine, or kept by one service, differ by less. */
const NOTABLE_OFFSET_US = 100_000;

const NUMBERS = new Set(["Metric", "Viewers", "Out", "CPU", "Memory", "Rate"]);

export function Tables({ topology }: { topology: Topology }) {
  const members = rowsOf(topology).flatMap((tier) => tier.members);
  return (
    <details class="tables">
      <summary>The tree as tables</summary>
      {topology.origins.length > 0 && (
        <Table caption="Content servers" heads={["Source", "Metric", "Contents", "State", "Measured", "Feeds"]}>
          {topology.origins.map((origin) => (
            <tr key={origin.source}>
              <th scope="row">{origin.source}</th>
              <td class="number">{origin.metric ?? "–"}</td>
              <td>{origin.contents.join(", ") || "–"}</td>
              <td>{origin.reason === "" || origin.state === "silent" ? origin.state : `${origin.state}: ${origin.reason}`}</td>
              <td>{measured(origin)}</td>
              <td>{origin.feeds.join(", ") || "–"}</td>
            </tr>
          ))}
        </Table>
      )}
      <Table caption="Members" heads={["Member", "Tier", "State", "Fed by", "Viewers", "Out", "CPU", "Memory"]}>
        {members.map((member) => (
          <tr key={member.name}>
            <th scope="row">{member.name}</th>
            <td>{member.role === "relay" ? member.tier : member.role}</td>
            <td class={`state ${member.state}`}>{member.state}</td>
            <td>{feeders(topology, member.name)}</td>
            <td class="number">{member.role === "edge" ? member.sessions : "–"}</td>
            <td class="number">{bitrate(member.load.networkOutBps)}</td>
            <td class="number">{permille(member.load.cpuPermille)}</td>
            <td class="number">{bytes(member.load.memoryBytes)}</td>
          </tr>
        ))}
      </Table>
      {topology.links.length > 0 && (
        <Table caption="Links" heads={["From", "To", "Stream", "Track", "Rate", "State"]}>
          {topology.links.map((link) => (
            <tr key={`${link.from} ${link.to} ${link.stream} ${link.track}`}>
              <th scope="row">{link.from}</th>
              <td>{link.to}</td>
              <td>{link.stream}</td>
              <td>{link.track}</td>
              <td class="number">{rate(link.bytesPerSecond)}</td>
              <td>{link.state || "–"}</td>
            </tr>
          ))}
        </Table>
      )}
    </details>
  );
}

function Table(props: { caption: string; heads: readonly string[]; children: ComponentChildren }) {
  return (
    <div class="table" role="region" aria-label={props.caption} tabIndex={0}>
      <table>
        <caption>{props.caption}</caption>
        <thead>
          <tr>
            {props.heads.map((head) => (
              <th scope="col" key={head} class={NUMBERS.has(head) ? "number" : undefined}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{props.children}</tbody>
      </table>
    </div>
  );
}

function measured(origin: Origin): string {
  const parts: string[] = [];
  if (origin.rttUs !== null) parts.push(`rtt ${(origin.rttUs / 1000).toFixed(1)} ms`);
  if (origin.latePermille !== null) parts.push(`late ${permille(origin.latePermille)}`);
  if (origin.loadPermille !== null) parts.push(`load ${permille(origin.loadPermille)}`);
  if (origin.clockOffsetUs !== null && Math.abs(origin.clockOffsetUs) >= NOTABLE_OFFSET_US)
    parts.push(`clock ${(-origin.clockOffsetUs / 1e6).toFixed(1)} s`);
  return parts.join(", ") || "–";
}

function feeders(topology: Topology, name: string): string {
  const from = new Set(topology.links.filter((link) => link.to === name).map((link) => link.from));
  return [...from].sort().join(", ") || "–";
}
