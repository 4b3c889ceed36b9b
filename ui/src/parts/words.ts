// Numbers and lists for people. Pure.

/** Bytes, in the units of `espalier status`. */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text = unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1);
  return `${text.replace(/\.0$/, "")} ${units[unit]}`;
}

/** A measured round trip. */
export function milliseconds(us: number): string {
  return `${(us / 1000).toFixed(us < 9950 ? 1 : 0)} ms`;
}

/** What a link carries, in the units of networks. */
export function bandwidth(bytesPerSecond: number): string {
  const megabits = (bytesPerSecond * 8) / 1e6;
  const [value, unit] = megabits < 995 ? [megabits, "Mbit/s"] : [megabits / 1000, "Gbit/s"];
  return `${value.toFixed(value < 9.95 ? 1 : 0).replace(/\.0$/, "")} ${unit}`;
}

/** How long something took. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Tokens per second: as exact as a prediction or a short answer can be. */
export function rate(tokensPerSecond: number): string {
  return `${tokensPerSecond.toFixed(tokensPerSecond < 9.95 ? 1 : 0)} tok/s`;
}

/** `3 computers`. */
export function count(number: number, one: string): string {
  return `${number} ${one}${number === 1 ? "" : "s"}`;
}

/** `oak, elm and birch`. */
export function list(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
