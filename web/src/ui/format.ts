// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them. Sizes are binary, with ESXi's names for them.

/** `digits` after the point only where the number is small. */
function short(value: number): string {
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toString() : value.toFixed(value >= 10 ? 1 : 2);
}

export function bytes(n: number | undefined): string {
  if (n === undefined) return "–";
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  for (; n >= 1023.5 && unit < units.length - 1; unit++) n /= 1024;
  return `${short(n)} ${units[unit]}`;
}

export const megabytes = (n: number | undefined) => bytes(n === undefined ? undefined : n * 1024 * 1024);

export function hertz(mhz: number | undefined): string {
  if (mhz === undefined) return "–";
  return mhz >= 1000 ? `${short(mhz / 1000)} GHz` : `${short(mhz)} MHz`;
}

export function duration(seconds: number | undefined): string {
  if (seconds === undefined) return "–";
  const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60;
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

export function time(iso: string | undefined): string {
  return iso ? new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) : "–";
}

/** For a list of what is new: of today the time alone. */
export function recent(iso: string | undefined): string {
  const date = iso ? new Date(iso) : undefined;
  return date && date.toDateString() === new Date().toDateString() ? date.toLocaleTimeString(undefined, { timeStyle: "medium" }) : time(iso);
}

export const plural = (n: number, one: string, many = one + "s") => `${n} ${n === 1 ? one : many}`;

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** A file's or VM's name as an argument of a shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
