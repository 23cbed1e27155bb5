/** The picture and its controls. Shortcuts: k plays and pauses, m mutes, f fills the screen. */
import { useEffect, useRef, useState } from "preact/hooks";
import { bitrate } from "../format";
import type { StreamSummary } from "../model/types";
import type { Player } from "../player/player";
import { Icon } from "./icons";

interface Props {
  readonly attach: (video: HTMLVideoElement | null) => void;
  readonly player: Player | null;
  readonly stream: StreamSummary | null;
  /** Chosen stream, also when it is no longer on offer. */
  readonly name: string | null;
  readonly poster: string | null;
  readonly start: (stream: string) => void;
}

/** Farther behind the live point than this, the way back is offered. */
const BEHIND_S = 4;

export function Screen({ attach, player, stream, name, poster, start }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const full = useFullscreen();
  const behind = useBehind(player);

  const toggle = () => {
    if (!player) return;
    if (player.stream === null && name !== null) start(name);
    else player.toggle();
  };
  const mute = () => {
    if (player) player.video.muted = !player.video.muted;
  };
  const fill = () => {
    const element = frame.current;
    if (!element || !player) return;
    if (document.fullscreenElement) void document.exitFullscreen();
    else if (typeof element.requestFullscreen === "function") void element.requestFullscreen();
    // iPhones fill the screen with the video element only.
    else (player.video as { webkitEnterFullscreen?: () => void }).webkitEnterFullscreen?.();
  };
  useShortcuts({ k: toggle, m: mute, f: fill });

  const phase = player?.phase ?? "idle";
  const paused = phase === "idle" || phase === "paused";
  const muted = player?.video.muted ?? true;

  return (
    <div class="screen" ref={frame}>
      <div class="picture">
        <video ref={attach} poster={poster ?? undefined} playsInline muted aria-label={stream?.title ?? "Video"} onClick={toggle} />
        <div class="overlay" data-phase={phase}>
          {paused && name !== null && (
            <button type="button" class="big-play" onClick={toggle} aria-label="Play" tabIndex={-1}>
              <Icon name="play" />
            </button>
          )}
          {(phase === "loading" || phase === "waiting") && (
            <p class="notice" role="status">
              <span class="spinner" aria-hidden="true" />
              {phase === "loading" ? `Joining ${player?.edge?.name ?? "an edge"}` : "Waiting for media"}
            </p>
          )}
          {phase === "failed" && (
            <p class="notice bad" role="alert">
              No edge sends this stream. Trying again.
            </p>
          )}
          {phase === "playing" && muted && (
            <button type="button" class="unmute" onClick={mute}>
              <Icon name="muted" /> Turn on sound
            </button>
          )}
        </div>
      </div>
      <div class="bar" role="toolbar" aria-label="Player controls">
        <button type="button" class="tool" onClick={toggle} aria-label={paused ? "Play" : "Pause"} aria-keyshortcuts="k" title={`${paused ? "Play" : "Pause"} (k)`}>
          <Icon name={paused ? "play" : "pause"} />
        </button>
        <button type="button" class="tool" onClick={mute} aria-label={muted ? "Unmute" : "Mute"} aria-keyshortcuts="m" title={`${muted ? "Unmute" : "Mute"} (m)`}>
          <Icon name={muted ? "muted" : "sound"} />
        </button>
        {behind > BEHIND_S ? (
          <button type="button" class="live late" onClick={() => player?.goLive()}>
            Back to live
          </button>
        ) : (
          <span class={phase === "playing" ? "live on" : "live"}>Live</span>
        )}
        <span class="now">{stream?.title ?? name}</span>
        {player && <Choices player={player} />}
        <button type="button" class="tool fill" onClick={fill} aria-label={full ? "Leave full screen" : "Full screen"} aria-keyshortcuts="f" title="Full screen (f)">
          <Icon name={full ? "window" : "full"} />
        </button>
      </div>
    </div>
  );
}

function Choices({ player }: { player: Player }) {
  const { renditions, edges } = player;
  return (
    <span class="choices">
      <label>
        <span>Quality</span>
        <select
          value={String(player.renditionChoice)}
          disabled={renditions.length === 0}
          onChange={(event) => player.selectRendition(Number(event.currentTarget.value))}
        >
          <option value="-1">Auto</option>
          {renditions.map((rendition) => (
            <option key={rendition.index} value={String(rendition.index)}>
              {rendition.label} ({bitrate(rendition.bitrate)})
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>Edge</span>
        <select
          value={player.edge?.name ?? ""}
          disabled={edges.length === 0}
          onChange={(event) => player.selectEdge(event.currentTarget.value)}
        >
          {player.edge === null && <option value="">none</option>}
          {edges.map((edge) => (
            <option key={edge.name} value={edge.name}>
              {edge.name}
              {edge.state === "ready" ? "" : ` (${edge.state})`}
            </option>
          ))}
        </select>
      </label>
    </span>
  );
}

function useShortcuts(actions: Readonly<Record<string, () => void>>): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (event.target instanceof Element && event.target.closest("input, select, textarea")) return;
      const act = latest.current[event.key.toLowerCase()];
      if (!act) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

function useFullscreen(): boolean {
  const [full, setFull] = useState(false);
  useEffect(() => {
    const changed = () => setFull(document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", changed);
    return () => document.removeEventListener("fullscreenchange", changed);
  }, []);
  return full;
}

function useBehind(player: Player | null): number {
  const [behind, setBehind] = useState(0);
  useEffect(() => {
    if (!player) return;
    const timer = setInterval(() => setBehind(player.stats().behind_live_s ?? 0), 1_000);
    return () => clearInterval(timer);
  }, [player]);
  return behind;
}
