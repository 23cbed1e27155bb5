/** Four small figures under the picture, read twice a second. */
import { useEffect, useState } from "preact/hooks";
import { bitrate, seconds } from "../format";
import type { Player } from "../player/player";

export function Figures({ player }: { player: Player }) {
  const [stats, setStats] = useState(player.stats());
  useEffect(() => {
    const timer = setInterval(() => setStats(player.stats()), 500);
    return () => clearInterval(timer);
  }, [player]);

  // A few frames of the start say nothing yet.
  const share = stats.decoded > 250 ? stats.dropped / stats.decoded : 0;
  return (
    <dl class="figures">
      <div title="How far the picture is behind the source's clock">
        <dt>Latency</dt>
        <dd>{stats.latency_s === null ? "–" : seconds(stats.latency_s)}</dd>
      </div>
      <div title="Media at hand ahead of the picture">
        <dt>Buffer</dt>
        <dd>{stats.first_frame_ms === null ? "–" : seconds(stats.buffer_s)}</dd>
      </div>
      <div title={stats.auto ? "Chosen automatically" : "Chosen by you"}>
        <dt>Rendition</dt>
        <dd>
          {stats.rendition ?? "–"}
          {stats.rendition_bps > 0 && <small>{bitrate(stats.rendition_bps)}</small>}
        </dd>
      </div>
      <div title="Frames decoded but not shown in time">
        <dt>Dropped frames</dt>
        <dd class={share > 0.02 ? "warn" : ""}>
          {stats.dropped}
          <small>of {stats.decoded}</small>
        </dd>
      </div>
    </dl>
  );
}
