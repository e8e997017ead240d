// SPDX-License-Identifier: Apache-2.0
// Who is logged in. The session itself is a cookie that scripts cannot read.
import { signal } from "@preact/signals";
import { beginSession, get, on, ref, whenSessionEnds } from "./client";
import type { ServiceContent, ServiceInstance, SessionManager, UserSession } from "./types.gen";

/** undefined: not asked yet; null: nobody. */
export const user = signal<UserSession | null | undefined>(undefined);
/** Somebody was logged in and is no longer, without having asked for it. */
export const expired = signal(false);
export const content = signal<ServiceContent | undefined>(undefined);

const serviceInstance = ref("ServiceInstance", "ServiceInstance");

/** The session is all the tabs': one that waits at its log-in goes on when there is a session again. */
const tabs = new BroadcastChannel("session");
tabs.onmessage = () => void (user.value === null && resume());

whenSessionEnds(() => {
  if (user.value) expired.value = true;
  user.value = null;
});

async function retrieveContent(): Promise<ServiceContent> {
  content.value ??= await on<ServiceInstance>(serviceInstance).RetrieveServiceContent({});
  return content.value;
}

export async function resume(): Promise<void> {
  try {
    const manager = (await retrieveContent()).sessionManager!;
    const session = (await get<UserSession | undefined>(manager, "currentSession")) ?? null;
    if (session) beginSession(), (expired.value = false);
    user.value = session;
  } catch {
    user.value = null;
  }
}

export async function login(userName: string, password: string): Promise<void> {
  const manager = (await retrieveContent()).sessionManager!;
  const session = await on<SessionManager>(manager).Login({ userName, password });
  beginSession();
  expired.value = false;
  user.value = session;
  tabs.postMessage("begun");
}

/** The pages go first, and with them the requests that wait: the session's end would be a fault to them. */
export async function logout(): Promise<void> {
  user.value = undefined;
  await new Promise((gone) => setTimeout(gone, 50));
  await on<SessionManager>(content.value!.sessionManager!).Logout({}).catch(() => {});
  user.value = null;
}
