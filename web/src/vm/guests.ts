// SPDX-License-Identifier: Apache-2.0
// Guest systems that the host knows, and what it recommends for each; asked for once.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, on, type AnyRef } from "../vim/client";
import { host } from "../vim/inventory";
import type { EnvironmentBrowser, GuestOsDescriptor } from "../vim/types.gen";

const known = signal<readonly GuestOsDescriptor[]>([]);
let asked = false;

async function ask(): Promise<void> {
  const compute = await get<AnyRef>(host()!.ref, "parent");
  const options = await on<EnvironmentBrowser>(await get<AnyRef>(compute, "environmentBrowser")).QueryConfigOptionEx({});
  const rank = (g: GuestOsDescriptor) => ["linuxGuest", "windowsGuest"].indexOf(g.family) >>> 0;
  known.value = [...(options.guestOSDescriptor ?? [])].sort((a, b) => rank(a) - rank(b) || a.fullName.localeCompare(b.fullName, undefined, { numeric: true }));
}

export function useGuests(): readonly GuestOsDescriptor[] {
  useEffect(() => {
    if (!asked) ask().catch(() => (asked = false));
    asked = true;
  }, []);
  return known.value;
}

/** Choices for a field; the one that is set is among them, whatever it is. */
export function guestChoices(guests: readonly GuestOsDescriptor[], id: string, name: string): (readonly [string, string])[] {
  const choices = guests.map((g) => [g.id, g.fullName] as const);
  return guests.some((g) => g.id === id) ? choices : [[id, name], ...choices];
}
