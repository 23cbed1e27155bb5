/** Name, health and three numbers of the topology; the banner when its control plane is gone. */
import { useEffect, useState } from "preact/hooks";
import { ago } from "../format";
import type { Health } from "../model/state";
import type { Topology } from "../model/types";
import { Mark } from "./icons";

const SIGN: Record<Health, string> = { healthy: "●", starting: "○", degraded: "✕", unknown: "?" };

interface Props {
  readonly topology: Topology | null;
  readonly health: { readonly word: Health; readonly why: string };
}

export function Header({ topology, health }: Props) {
  const members = topology?.members.filter((member) => member.role !== "control") ?? [];
  const viewers = members.reduce((sum, member) => sum + (member.role === "edge" && member.state !== "lost" ? member.sessions : 0), 0);
  const ready = members.filter((member) => member.state === "ready").length;
  return (
    <header class="top">
      <div class="brand">
        <Mark />
        <span class="word">Banyan</span>
      </div>
      <div class="title">
        <h1>{topology?.name || "…"}</h1>
        <p class={`health ${health.word}`} role="status">
          <span aria-hidden="true">{SIGN[health.word]}</span> <strong>{health.word}</strong>
          <span class="why">{health.why}</span>
        </p>
      </div>
      <dl class="totals">
        <div>
          <dt>Viewers</dt>
          <dd>{viewers}</dd>
        </div>
        <div>
          <dt>Streams</dt>
          <dd>{topology?.streams.length ?? 0}</dd>
        </div>
        <div>
          <dt>Members</dt>
          <dd>
            {ready}
            {ready !== members.length && <span class="of">/{members.length}</span>}
          </dd>
        </div>
      </dl>
    </header>
  );
}

export function Banner({ lostAt, playing }: { lostAt: number; playing: boolean }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="banner" role="alert">
      <strong>Control plane unreachable{playing ? ", video goes on" : ""}.</strong>{" "}
      <span>
        The tree is shown as it was <span aria-live="off">{ago(now - lostAt)}</span>; trying again.
      </span>
    </div>
  );
}
