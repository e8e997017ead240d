// SPDX-License-Identifier: Apache-2.0
// The wire: VI/JSON. Whatever this client can do, a script can do with the same requests.
import type { ManagedObject, MethodFault, Ref } from "./types.gen";

export const RELEASE = "8.0.3.0";
const BASE = `/sdk/vim25/${RELEASE}`;

export type AnyRef = Ref<string>;

export const ref = <T extends string>(type: T, value: string): Ref<T> =>
  ({ _typeName: "ManagedObjectReference", type, value });
/** One text for an object, for maps and addresses. */
export const keyOf = (r: AnyRef) => `${r.type}:${r.value}`;

/** A fault of the API, or what kept us from getting an answer ("HostNotReached"). */
export class VimFault extends Error {
  constructor(readonly kind: string, text: string, readonly fault?: MethodFault) {
    super(text);
  }
}

/** Called when the host says that the session is over. */
let onSessionEnd = () => {};
export function whenSessionEnds(then: () => void) {
  onSessionEnd = then;
}
/** Which session it is: what an earlier one had asked may be refused after the next log-in, which is not its end. */
let session = 0;
export const beginSession = () => void session++;

async function faultOf(answer: Response): Promise<VimFault> {
  const body = await answer.json().catch(() => undefined);
  const kind: string = body?._typeName ?? `HTTP ${answer.status}`;
  return new VimFault(kind, body?.faultstring || body?.localizedMessage || kind, body);
}

async function exchange(path: string, init: RequestInit): Promise<unknown> {
  const mine = session;
  let answer: Response;
  try {
    answer = await fetch(BASE + path, { credentials: "same-origin", ...init });
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw new VimFault("HostNotReached", "The host does not answer.");
  }
  if (answer.status >= 502 && answer.status <= 504)
    throw new VimFault("HostNotReached", "The host is restarting.");
  if (!answer.ok) {
    const fault = await faultOf(answer);
    if (fault.kind === "NotAuthenticated" && mine === session) onSessionEnd();
    throw fault;
  }
  const text = await answer.text();
  return text ? JSON.parse(text) : undefined;
}

const pathOf = (on: AnyRef, name: string) => `/${on.type}/${encodeURIComponent(on.value)}/${name}`;

export function call(on: AnyRef, method: string, args: object, signal?: AbortSignal): Promise<unknown> {
  return exchange(pathOf(on, method), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(args),
    signal,
  });
}

export function get<T>(on: AnyRef, property: string): Promise<T> {
  return exchange(pathOf(on, property), {}) as Promise<T>;
}

type MethodsOf<T> = { [K in keyof T as T[K] extends (...args: never[]) => Promise<unknown> ? K : never]: T[K] };

/** An object's methods as functions: `on<VirtualMachine>(vm).PowerOnVM_Task({})`. */
export function on<T extends ManagedObject>(object: AnyRef, signal?: AbortSignal): MethodsOf<T> {
  return new Proxy({} as MethodsOf<T>, {
    get: (_, method) => (args: object) => call(object, String(method), args, signal),
  });
}

/** What is to be asked of the host: a dialog shows it as a command, and perform() (task.ts) carries it out. */
export interface Request {
  of: AnyRef;
  method: string;
  args: object;
}

type RequestsOf<T> = { [K in keyof MethodsOf<T>]: MethodsOf<T>[K] extends (args: infer A) => unknown ? (args: A) => Request : never };

/** `request<VirtualMachine>(vm).PowerOnVM_Task({})`: what on() would do at once. */
export function request<T extends ManagedObject>(object: AnyRef): RequestsOf<T> {
  return new Proxy({} as RequestsOf<T>, { get: (_, method) => (args: object): Request => ({ of: object, method: String(method), args }) });
}

/** Stands for a variable of the shell's in what word() is given. */
const variable = (name: string) => `\uE000${name}\uE001`;

/** One word of a shell's. */
function word(text: string): string {
  return `'${text.replaceAll("'", `'\\''`).replace(/\uE000(\w+)\uE001/g, `'"$$$1"'`)}'`;
}

const post = (path: string, body: unknown, more = "") => `curl -sk ${more}-H 'Content-Type: application/json' -d ${word(JSON.stringify(body))} ${word(location.origin + BASE + path)}`;

/** The same request for a shell, in the session that curlLogin() opens. Passwords stay out. */
export function curl({ of, method, args }: Request): string {
  const body = JSON.parse(JSON.stringify(args), (key, value) => (/password$/i.test(key) && value ? variable("NEW_PASSWORD") : value));
  return post(pathOf(of, method), body, `-H "vmware-api-session-id: $SESSION" `);
}

/** What a shell does once before the others; its $PASSWORD is the user's. */
export function curlLogin(manager: AnyRef, userName: string): string {
  const login = post(pathOf(manager, "Login"), { userName, password: variable("PASSWORD") }, "-o /dev/null -D - ");
  return `SESSION=$(${login} | sed -n 's/^vmware-api-session-id: *\\([^ \\r]*\\).*/\\1/Ip')`;
}

/** What stands in a place of any type: {"_typeName": "string", "_value": "x"} is "x". */
export function unbox(value: unknown): unknown {
  return value !== null && typeof value === "object" && "_value" in value ? value._value : value;
}

/** "https://*:8443/nfc/..." of a lease, the star being this host: the path on it. */
export const hostUrl = (url: string) => url.replace(/^https:\/\/\*(:\d+)?\//, "/");
