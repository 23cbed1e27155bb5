/** Line icons on a 24 px grid, drawn here so that nothing is fetched. */
import type { JSX } from "preact";

type Name = "play" | "pause" | "sound" | "muted" | "full" | "window" | "copy" | "done";

const SHAPES: Record<Name, JSX.Element> = {
  play: <path class="solid" d="M8 5.500v13l11-6.500z" />,
  pause: <path class="solid" d="M7 5h3.500v14H7zM13.5 5H17v14h-3.500z" />,
  sound: <path d="M4 9.500v5h3.500L12 18.500v-13L7.5 9.500zM15.5 9a4 4 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11" />,
  muted: <path d="M4 9.500v5h3.500L12 18.500v-13L7.5 9.500zM16 9.500l5 5m0-5l-5 5" />,
  full: <path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5" />,
  window: <path d="M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5" />,
  copy: <path d="M9 9h11v11H9zM5 15H4V4h11v1" />,
  done: <path d="M5 12.500l4.5 4.500L19 7.5" />,
};

export function Icon({ name }: { name: Name }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      {SHAPES[name]}
    </svg>
  );
}

/** The mark: a canopy, its trunk, and roots that came down to the ground. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path class="canopy" d="M7.5 15.500a4.8 4.8 0 0 1-.6-9.5 7.5 7.5 0 0 1 13.3-2.2 6 6 0 0 1 5.7 2.3 4.9 4.9 0 0 1-1.4 9.400z" />
      <path class="trunk" d="M16 14v14" />
      <path d="M8 15v13M24 15v13M12 15v6.500M20 15v4.500M3.5 28.500h25" />
    </svg>
  );
}
