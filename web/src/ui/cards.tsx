/** The streams as cards: one stop of the tab key, arrows move among them. */
import { useRef, useState } from "preact/hooks";
import { count } from "../format";
import type { StreamDetails, StreamSummary } from "../model/types";
import type { Edge } from "../player/edges";

interface Props {
  readonly streams: readonly StreamSummary[];
  readonly details: ReadonlyMap<string, StreamDetails>;
  readonly selected: string | null;
  readonly poster: Edge | null;
  readonly choose: (stream: string) => void;
}

export function Cards({ streams, details, selected, poster, choose }: Props) {
  const list = useRef<HTMLUListElement>(null);
  const focusable = selected ?? streams[0]?.name;

  const move = (event: KeyboardEvent) => {
    const cards = [...(list.current?.querySelectorAll<HTMLButtonElement>(".card") ?? [])];
    const at = cards.findIndex((card) => card === document.activeElement);
    const to = target(event.key, at, cards.length);
    if (at < 0 || to === null) return;
    event.preventDefault();
    cards[to]?.focus();
  };

  return (
    <section class="streams" aria-labelledby="streams-title">
      <h2 id="streams-title">Streams</h2>
      <ul ref={list} onKeyDown={move}>
        {streams.map((stream) => (
          <li key={stream.name}>
            <button
              type="button"
              class="card"
              data-stream={stream.name}
              aria-pressed={stream.name === selected}
              tabIndex={stream.name === focusable ? 0 : -1}
              onClick={() => choose(stream.name)}
            >
              <Poster stream={stream} edge={poster} />
              <span class="card-title">{stream.title}</span>
              <span class="card-meta">
                {count(stream.viewers, "viewer")}
                {stream.origin !== "" && <> · from {stream.origin}</>}
              </span>
              <Renditions details={details.get(stream.name)} />
              {stream.name === selected && <span class="card-now">On screen</span>}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Index to go to for a key, or null when the key is not ours. */
export function target(key: string, at: number, length: number): number | null {
  switch (key) {
    case "ArrowRight":
    case "ArrowDown":
      return Math.min(length - 1, at + 1);
    case "ArrowLeft":
    case "ArrowUp":
      return Math.max(0, at - 1);
    case "Home":
      return 0;
    case "End":
      return length - 1;
    default:
      return null;
  }
}

function Poster({ stream, edge }: { stream: StreamSummary; edge: Edge | null }) {
  const [broken, setBroken] = useState<string | null>(null);
  const source = edge && stream.poster ? `${edge.url}/${stream.name}/poster.jpg` : null;
  return (
    <span class="poster">
      {source && source !== broken ? (
        <img src={source} alt="" loading="lazy" decoding="async" onError={() => setBroken(source)} />
      ) : (
        <span class="no-poster" aria-hidden="true">
          {stream.title.slice(0, 1)}
        </span>
      )}
    </span>
  );
}

function Renditions({ details }: { details: StreamDetails | undefined }) {
  const videos = [...(details?.tracks.filter((track) => track.kind === "video") ?? [])].sort(
    (a, b) => b.height - a.height,
  );
  if (videos.length === 0) return null;
  return (
    <span class="chips">
      <span class="visually-hidden">Renditions: </span>
      {videos.map((track) => (
        <span class="chip" key={track.name}>
          {track.height > 0 ? `${track.height}p` : track.name}
        </span>
      ))}
    </span>
  );
}
