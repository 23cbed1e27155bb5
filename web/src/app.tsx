/**
 * The page: joins the feed (what the tree does), the player (what the viewer
 * sees) and the views. State flows down, events flow up.
 */
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { Feed } from "./model/feed";
import { health, initial, reduce } from "./model/state";
import { edgesOf } from "./player/edges";
import { Player } from "./player/player";
import { expose } from "./probe";
import { Tree } from "./tree/view";
import { Cards } from "./ui/cards";
import { Empty } from "./ui/empty";
import { Banner, Header } from "./ui/header";
import { Log } from "./ui/log";
import { Preparing } from "./ui/preparing";
import { Screen } from "./ui/screen";
import { Figures } from "./ui/figures";
import { Tables } from "./ui/tables";

const SMOOTH = typeof matchMedia === "undefined" || !matchMedia("(prefers-reduced-motion: reduce)").matches;

export function App() {
  const [state, dispatch] = useReducer(reduce, initial);
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const [video, setVideo] = useState<HTMLVideoElement | null>(null);
  const started = useRef(false);

  const player = useMemo(() => {
    if (!video) return null;
    const created = new Player(video, {
      changed: () => redraw(0),
      switched: ({ at, from, to, why }) => {
        const text = to ? `This player went from ${from} to ${to} (${why})` : `${from} does not answer (${why})`;
        dispatch({ type: "happened", at, tone: to ? "plain" : "bad", text });
      },
    });
    expose(created);
    return created;
  }, [video]);

  useEffect(() => {
    const feed = new Feed("api/", {
      topology: (topology) => dispatch({ type: "topology", topology, at: Date.now() }),
      streams: (streams) => dispatch({ type: "streams", streams }),
      unreachable: () => dispatch({ type: "unreachable", at: Date.now() }),
    });
    feed.start();
    const shown = () => document.visibilityState === "visible" && feed.nudge();
    document.addEventListener("visibilitychange", shown);
    return () => {
      document.removeEventListener("visibilitychange", shown);
      feed.stop();
    };
  }, []);

  const { topology } = state;
  useEffect(() => {
    if (player && topology) player.know(edgesOf(topology, location.hostname), state.clockOffsetMs);
  }, [player, topology, state.clockOffsetMs]);

  const choose = useCallback(
    (stream: string) => {
      dispatch({ type: "select", stream });
      history.replaceState(null, "", `#${stream}`);
      if (player && player.stream !== stream) player.play(stream);
    },
    [player],
  );

  // The first stream, or the one in the address, plays by itself: muted, once.
  const streams = topology?.streams ?? [];
  useEffect(() => {
    if (started.current || !player || streams.length === 0) return;
    started.current = true;
    const wanted = decodeURIComponent(location.hash.slice(1));
    const first = streams.find((stream) => stream.name === wanted) ?? streams[0];
    if (!first) return;
    dispatch({ type: "select", stream: first.name });
    if (SMOOTH) player.play(first.name);
  }, [player, streams]);

  const selected = streams.find((stream) => stream.name === state.selected) ?? null;
  useEffect(() => {
    document.title = [selected?.title, topology?.name, "Banyan"].filter(Boolean).join(" · ");
  }, [selected?.title, topology?.name]);
  const nothing = streams.length === 0 && state.selected === null;
  const poster = player?.edges.find((edge) => edge.state === "ready") ?? player?.edges[0] ?? null;

  return (
    <>
      <a class="skip" href="#tree">
        Skip to the tree
      </a>
      <Header topology={topology} health={health(state)} />
      {state.feed === "unreachable" && <Banner lostAt={state.lostAt} playing={player?.stream != null} />}
      <main class={nothing ? "stage stage-empty" : "stage"}>
        <div class="watch">
          {nothing && <Empty topology={topology} feed={state.feed} />}
          <section class="cinema" aria-label="Player" hidden={nothing}>
            <Screen
              attach={setVideo}
              player={player}
              stream={selected}
              name={state.selected}
              poster={poster && selected?.poster ? `${poster.url}/${selected.name}/poster.jpg` : null}
              start={choose}
            />
            {player && <Figures player={player} />}
          </section>
          <Preparing topology={topology} />
          {streams.length > 0 && (
            <Cards
              streams={streams}
              details={state.details}
              selected={state.selected}
              poster={poster}
              choose={choose}
            />
          )}
        </div>
        {topology && topology.members.length > 0 && (
          <section class="tree-panel" id="tree" aria-labelledby="tree-title" tabIndex={-1}>
            <Tree topology={topology} stream={selected} here={player?.stream ? (player.edge?.name ?? null) : null} stale={state.feed !== "live"} />
            <Log happenings={state.happenings} />
            <Tables topology={topology} />
          </section>
        )}
      </main>
    </>
  );
}
