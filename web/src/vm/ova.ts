// SPDX-License-Identifier: Apache-2.0
// Packages in the browser. An OVA is a tar archive (POSIX ustar, the OVF first). Of one that is read the members are
// slices of the file, nothing is unpacked; one that is written is put together of parts that the browser keeps on its disk.
export interface Package {
  name: string; // of the OVA or OVF
  descriptor: string;
  /** File by its name in the descriptor. */
  files: Map<string, Blob>;
}

const BLOCK = 512, DESCRIPTOR_MAX = 16 << 20;

async function text(blob: Blob, from: number, length: number): Promise<string> {
  return new TextDecoder().decode(await blob.slice(from, from + length).arrayBuffer()).replace(/\0.*$/s, "");
}

/** Octal, or, from GNU tar for large members, big-endian with the top bit set. */
async function sizeAt(blob: Blob, at: number): Promise<number> {
  const field = new Uint8Array(await blob.slice(at, at + 12).arrayBuffer());
  if (field[0]! & 0x80) return field.slice(1).reduce((n, b) => n * 256 + b, 0);
  return parseInt(await text(blob, at, 12), 8) || 0;
}

async function readTar(archive: Blob): Promise<Map<string, Blob>> {
  const files = new Map<string, Blob>();
  for (let at = 0; at + BLOCK <= archive.size; ) {
    const name = await text(archive, at, 100);
    if (!name) break;
    if (!(await text(archive, at + 257, 5)).startsWith("ustar")) throw new Error("This is not an OVA: it is no tar archive.");
    const size = await sizeAt(archive, at + 124);
    if (at + BLOCK + size > archive.size) throw new Error(`The OVA is cut off within “${name}”.`);
    files.set(name.replace(/^\.\//, ""), archive.slice(at + BLOCK, at + BLOCK + size));
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

export async function openPackage(chosen: readonly File[]): Promise<Package> {
  const ova = chosen.find((f) => /\.ova$/i.test(f.name));
  const files = ova ? await readTar(ova) : new Map<string, Blob>(chosen.map((f) => [f.name, f]));
  const [name = "", ovf] = [...files].find(([name]) => /\.ovf$/i.test(name)) ?? [];
  if (!ovf) throw new Error("There is no .ovf among the files.");
  if (ovf.size > DESCRIPTOR_MAX) throw new Error(`${name} is too large for a descriptor.`);
  return { name: ova?.name ?? name, descriptor: await ovf.text(), files };
}

/** One member's head: its size in octal, or as GNU tar does it where twelve octal digits do not suffice. */
function tarHead(name: string, size: number): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(BLOCK), encoder = new TextEncoder();
  const put = (at: number, text: string) => head.set(encoder.encode(text), at);
  const octal = (n: number, digits: number) => n.toString(8).padStart(digits, "0") + "\0";
  put(0, name.slice(0, 99));
  put(100, octal(0o644, 7) + octal(0, 7) + octal(0, 7));
  if (size < 8 ** 11) put(124, octal(size, 11));
  else for (let at = 135, left = size; at >= 124; at--, left = Math.floor(left / 256)) head[at] = at === 124 ? 0x80 : left % 256;
  put(136, octal(Math.floor(Date.now() / 1000), 11) + "        0");
  put(257, "ustar\x0000");
  put(148, octal(head.reduce((sum, b) => sum + b, 0), 6) + " ");
  return head;
}

export function writeTar(files: readonly (readonly [name: string, data: Blob])[]): Blob {
  const parts = files.flatMap(([name, data]) => [tarHead(name, data.size), data, new Uint8Array((BLOCK - (data.size % BLOCK)) % BLOCK)]);
  return new Blob([...parts, new Uint8Array(2 * BLOCK)]);
}
