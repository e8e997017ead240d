// SPDX-License-Identifier: Apache-2.0
import { effect, signal } from "@preact/signals";

const wish = matchMedia("(prefers-color-scheme: dark)");
const kept = localStorage.getItem("theme");
export const dark = signal(kept ? kept === "dark" : wish.matches);

effect(() => void document.documentElement.classList.toggle("pf-v6-theme-dark", dark.value));

export function toggleTheme(): void {
  dark.value = !dark.value;
  localStorage.setItem("theme", dark.value ? "dark" : "light");
}
