// SPDX-License-Identifier: Apache-2.0
// The front by HTTP/2, as browsers speak to it: the client's files, the API, requests that wait, files in parts. And by HTTP/1.1
// on the same port, as everything else does.
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { request } from "node:https";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { Host, PASSWORD, check, step } from "./rig.mjs";

const API = "/sdk/vim25/8.0.3.0";

/** One answer: status, headers, body. `broken`: breaks it off as soon as it is sent. */
function ask(session, method, path, { body, headers = {}, broken } = {}) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": method, ":path": path, ...headers });
    const parts = [];
    let head;
    stream.on("response", (h) => (head = h));
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => resolve(head && { status: head[":status"], head, body: Buffer.concat(parts) }));
    stream.on("error", reject);
    stream.end(body);
    if (broken) setTimeout(() => (stream.close(8), resolve(undefined)), 200);
  });
}

const call = async (session, cookie, object, method, args) => {
  const answer = await ask(session, "POST", `${API}/${object}/${method}`, {
    body: JSON.stringify(args), headers: { "content-type": "application/json", cookie: cookie ?? "" } });
  return { ...answer, json: answer.body.length ? JSON.parse(answer.body) : undefined };
};

const oldAsk = (host, method, path, headers, body) =>
  new Promise((resolve, reject) => {
    const r = request(host.url + path, { method, headers, rejectUnauthorized: false }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ status: answer.statusCode, version: answer.httpVersion, body: String(Buffer.concat(parts)) }));
    });
    r.on("upgrade", (answer, socket) => (socket.destroy(), resolve({ status: 101 })));
    r.on("error", reject);
    r.end(body);
  });

const collector = (filter) => `PropertyCollector/${filter ?? "ha-property-collector"}`;
const host = await Host.create();
const session = connect(host.url, { rejectUnauthorized: false });
let cookie;
try {
  await step("HTTP/2 is what is agreed on", async () => {
    await new Promise((resolve, reject) => (session.on("connect", resolve), session.on("error", reject)));
    check(session.alpnProtocol === "h2", String(session.alpnProtocol));
  });
  await step("the page may use its own files only, and they are compressed and kept", async () => {
    const page = await ask(session, "GET", "/ui/", { headers: { "accept-encoding": "gzip" } });
    check(page.status === 200 && page.head["content-encoding"] === "gzip", JSON.stringify(page.head));
    check(page.head["content-security-policy"].startsWith("default-src 'none'"), "no policy");
    check(page.head["cache-control"] === "no-cache", page.head["cache-control"]);
    for (const [, file] of String(gunzipSync(page.body)).matchAll(/(?:href|src)="([a-z]+-\w+\.(?:css|js))"/g)) {
      const part = await ask(session, "GET", `/ui/${file}`, { headers: { "accept-encoding": "gzip" } });
      check(part.status === 200 && part.head["content-encoding"] === "gzip", file);
      check(part.head["cache-control"].includes("immutable"), file);
      check(part.body.equals(readFileSync(join(host.root, "run/web", `${file}.gz`))), file);
    }
  });
  await step("the API answers, and a request that waits holds up no other", async () => {
    const login = await call(session, "", "SessionManager/ha-sessionmgr", "Login", { userName: "root", password: PASSWORD });
    check(login.status === 200, String(login.body));
    cookie = login.head["set-cookie"][0].split(";")[0];
    const { json: own } = await call(session, cookie, collector(), "CreatePropertyCollector", {});
    const filter = await call(session, cookie, collector(own.value), "CreateFilter", { partialUpdates: true, spec: {
      _typeName: "PropertyFilterSpec", propSet: [{ _typeName: "PropertySpec", type: "Folder", pathSet: ["name"] }],
      objectSet: [{ _typeName: "ObjectSpec", obj: { _typeName: "ManagedObjectReference", type: "Folder", value: "ha-folder-root" } }] } });
    check(filter.status === 200, String(filter.body));
    const first = await call(session, cookie, collector(own.value), "WaitForUpdatesEx", { version: "" });
    check(first.json.version, String(first.body));
    let over = false;
    const wait = call(session, cookie, collector(own.value), "WaitForUpdatesEx",
      { version: first.json.version, options: { _typeName: "WaitOptions", maxWaitSeconds: 3 } }).then((a) => ((over = true), a));
    for (let i = 0; i < 20; i++)
      check((await call(session, cookie, "ServiceInstance/ServiceInstance", "CurrentTime", {})).status === 200, "no time");
    check(!over, "it did not wait");
    check((await wait).status < 300, "it failed");
    await ask(session, "POST", `${API}/${collector(own.value)}/WaitForUpdatesEx`, {
      body: JSON.stringify({ version: first.json.version }), headers: { "content-type": "application/json", cookie }, broken: true });
    check((await call(session, cookie, "ServiceInstance/ServiceInstance", "CurrentTime", {})).status === 200, "after one that broke off");
  });
  await step("a file comes in parts and goes in ranges", async () => {
    const path = "/folder/large?dcPath=ha-datacenter&dsName=datastore1", data = Buffer.alloc(5 << 20);
    for (let i = 0; i < data.length; i += 4) data.writeUInt32LE((i * 2654435761) % 2 ** 32, i);
    const part = (from, to) => ask(session, "PUT", path, {
      body: data.subarray(from, to), headers: { cookie, "content-range": `bytes ${from}-${to - 1}/${data.length}` } });
    check((await part(0, 3 << 20)).status === 202, "the first part");
    const kept = await ask(session, "PUT", path, { headers: { cookie, "content-range": `bytes */${data.length}`, "content-length": "0" } });
    check(kept.head.range === `bytes=0-${(3 << 20) - 1}`, JSON.stringify(kept.head));
    check((await part(3 << 20, data.length)).status === 201, "the second");
    check((await ask(session, "GET", path, { headers: { cookie } })).body.equals(data), "it is not what was sent");
    const some = await ask(session, "GET", path, { headers: { cookie, range: "bytes=1000000-1000999" } });
    check(some.status === 206 && some.body.equals(data.subarray(1000000, 1001000)), String(some.status));
  });
  await step("programs speak HTTP/1.1 as before, SOAP too", async () => {
    const soap = `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>
      <RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent></soapenv:Body></soapenv:Envelope>`;
    const answer = await oldAsk(host, "POST", "/sdk", { "Content-Type": "text/xml", SOAPAction: "urn:vim25/8.0.3.0" }, soap);
    check(answer.status === 200 && answer.version === "1.1" && answer.body.includes("RetrieveServiceContentResponse"), JSON.stringify(answer));
  });
} finally {
  session.destroy();
  await host.destroy();
}
console.log("1..5");
