// SPDX-License-Identifier: Apache-2.0
// How each user likes each table: order and columns, kept in this browser. What it is filtered by is kept as long as
// the page is open: a filter that somebody forgot must not hide a virtual machine tomorrow.
import { signal, type Signal } from "@preact/signals";
import { user } from "../vim/session";

interface Order { by: string; down: boolean }
export interface Taste extends Order { columns: { [name: string]: boolean }; filter: string }
export interface Kept { readonly value: Taste; put: (to: Partial<Taste>) => void }

const all = new Map<string, Signal<Taste>>();

function read(key: string, first: Order): Taste {
  try {
    return { ...first, columns: {}, ...JSON.parse(localStorage.getItem(key) ?? "{}"), filter: "" };
  } catch {
    return { ...first, columns: {}, filter: "" };
  }
}

export function kept(table: string, first: Order): Kept {
  const key = `table ${user.value?.userName ?? ""} ${table}`, taste = all.get(key) ?? signal(read(key, first));
  all.set(key, taste);
  return {
    get value() { return taste.value; },
    put: (to) => {
      taste.value = { ...taste.value, ...to };
      const { filter: _, ...rest } = taste.value;
      localStorage.setItem(key, JSON.stringify(rest));
    },
  };
}
