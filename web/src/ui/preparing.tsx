/** Contents that content servers are still preparing, with honest progress. */
import { permille, remaining } from "../format";
import type { Topology } from "../model/types";

export function Preparing({ topology }: { topology: Topology | null }) {
  const rows = (topology?.origins ?? []).flatMap((origin) =>
    origin.preparing.map((entry) => ({ ...entry, source: origin.source })),
  );
  if (rows.length === 0) return null;
  rows.sort((a, b) => a.content.localeCompare(b.content) || a.source.localeCompare(b.source));
  return (
    <section class="preparing" aria-labelledby="preparing-title">
      <h2 id="preparing-title">Preparing</h2>
      <ul>
        {rows.map((row) => (
          <li key={`${row.source} ${row.content}`} class={row.error === "" ? "" : "bad"}>
            <span class="what">
              {row.content} <span class="where">on {row.source}</span>
            </span>
            {row.error === "" ? (
              <>
                <progress max={1000} value={row.permille} aria-label={`${row.content} on ${row.source}`} />
                <span class="much">
                  {permille(row.permille)}
                  {row.remainingMs !== null && <>, {remaining(row.remainingMs)}</>}
                </span>
              </>
            ) : (
              <span class="error">
                <span aria-hidden="true">✕ </span>failed: {row.error}
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
