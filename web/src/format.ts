/** Numbers as people read them. Pure; a fixed locale keeps columns steady. */

/** Bytes per second as Mbit/s, or kbit/s below 0.1 Mbit/s. */
export function rate(bytesPerSecond: number): string {
  return bitrate(bytesPerSecond * 8);
}

/** Bits per second with at most three significant digits. */
export function bitrate(bitsPerSecond: number): string {
  if (!(bitsPerSecond > 0)) return "0 Mbit/s";
  const mega = bitsPerSecond / 1e6;
  if (mega < 0.1) return `${Math.max(1, Math.round(bitsPerSecond / 1e3))} kbit/s`;
  if (mega < 9.95) return `${mega.toFixed(1)} Mbit/s`;
  if (mega < 999.5) return `${mega.toFixed(0)} Mbit/s`;
  return `${(mega / 1000).toFixed(1)} Gbit/s`;
}

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = Math.max(0, count);
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

export function seconds(value: number): string {
  return `${Math.max(0, value).toFixed(1)} s`;
}

/** A remaining time, coarse on purpose: it is an estimate. */
export function remaining(ms: number): string {
  const s = Math.ceil(ms / 1000);
  if (s < 90) return `about ${s} s left`;
  const m = Math.round(s / 60);
  if (m < 90) return `about ${m} min left`;
  return `about ${Math.round(m / 60)} h left`;
}

export function ago(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s ago`;
  return `${Math.round(s / 60)} min ago`;
}

export function count(value: number, one: string, many = `${one}s`): string {
  return `${value} ${value === 1 ? one : many}`;
}

export function permille(value: number): string {
  return `${(value / 10).toFixed(value < 100 ? 1 : 0)} %`;
}

/** Wall-clock time of day in the viewer's zone. */
export function clock(unixMs: number): string {
  const at = new Date(unixMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}
