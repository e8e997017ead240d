// SPDX-License-Identifier: Apache-2.0
// What the user's roles allow, so that what the host would refuse is grey before it is tried. The host decides; where
// the roles are not known, nothing is grey.
import { signal } from "@preact/signals";
import { changesOf, watch } from "./live";
import { content } from "./session";
import type { AuthorizationRole, PropertyFilterSpec } from "./types.gen";

export const roles = signal<readonly AuthorizationRole[]>([]);

/** Keeps the list of roles current. */
export function followRoles(): () => void {
  const manager = content.value!.authorizationManager!;
  const spec = {
    _typeName: "PropertyFilterSpec",
    propSet: [{ _typeName: "PropertySpec", type: "AuthorizationManager", pathSet: ["roleList"] }],
    objectSet: [{ _typeName: "ObjectSpec", obj: manager }],
  } as PropertyFilterSpec;
  return watch(spec, (updates) => updates.forEach((u) => (roles.value = (changesOf(u)["roleList"] as AuthorizationRole[]) ?? [])));
}

/** Why the user may not do it with that object, or false. An object that is not there is one that the user may not see. */
export function forbids(object: { readonly effectiveRole?: readonly number[] } | undefined, privilege: string): string | false {
  if (!object) return roles.value.length > 0 && `You may not: that needs ${privilege} on something that you do not see.`;
  const mine = roles.value.filter((r) => object?.effectiveRole?.includes(r.roleId));
  return mine.length > 0 && !mine.some((r) => r.privilege?.includes(privilege)) && `You may not: your role does not have ${privilege}.`;
}

/** The same of what needs any of the privileges below `group`, such as "VirtualMachine.Config". */
export function forbidsAll(object: { readonly effectiveRole?: readonly number[] } | undefined, group: string): string | false {
  const mine = roles.value.filter((r) => object?.effectiveRole?.includes(r.roleId));
  return mine.length > 0 && !mine.some((r) => r.privilege?.some((p) => p.startsWith(`${group}.`))) && `You may not: your role has nothing of ${group}.`;
}
