/** What happened in the tree while this page was open, newest first. */
import { clock } from "../format";
import type { Happening } from "../model/happenings";

const SHOWN = 8;

export function Log({ happenings }: { happenings: readonly Happening[] }) {
  if (happenings.length === 0) return null;
  return (
    <section class="log" aria-labelledby="log-title">
      <h2 id="log-title">What happened</h2>
      <div role="log">
        <ol>
          {happenings.slice(0, SHOWN).map((entry) => (
            <li key={`${entry.at} ${entry.text}`} class={entry.tone}>
              <time>{clock(entry.at)}</time> {entry.text}
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}
