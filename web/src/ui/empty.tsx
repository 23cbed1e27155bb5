/** Nothing to play: says why as far as known, and what to run. */
import { useState } from "preact/hooks";
import { count } from "../format";
import type { Feed } from "../model/state";
import type { Topology } from "../model/types";
import { Icon } from "./icons";

export function Empty({ topology, feed }: { topology: Topology | null; feed: Feed }) {
  const preparing = topology?.origins.some((origin) => origin.preparing.some((entry) => entry.error === ""));
  const members = topology?.members.filter((member) => member.role !== "control") ?? [];
  if (topology === null) {
    return (
      <section class="empty">
        <h2>{feed === "unreachable" ? "The control plane does not answer" : "Looking for the tree"}</h2>
        <p>This page asks again by itself.</p>
      </section>
    );
  }
  if (preparing) {
    return (
      <section class="empty">
        <h2>The first stream is being prepared</h2>
        <p>It starts here by itself. A file is prepared once; the next start finds it ready.</p>
      </section>
    );
  }
  return (
    <section class="empty">
      <h2>Nothing to watch yet</h2>
      <p>
        {members.length === 0
          ? "The control plane runs, but no member has joined. Plant a tree:"
          : `${count(members.length, "member")} joined, but no content server offers a stream. Give one something to play:`}
      </p>
      <Command text="banyan up examples/campus.yaml" />
      <Command text="banyan up --file talk.mp4" />
    </section>
  );
}

function Command({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 1_500);
    } catch {
      // Without the clipboard the text can still be selected.
    }
  };
  return (
    <div class="command">
      <code>{text}</code>
      <button type="button" class="tool" onClick={() => void copy()} aria-label={`Copy: ${text}`}>
        <Icon name={copied ? "done" : "copy"} />
      </button>
    </div>
  );
}
