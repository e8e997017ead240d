// SPDX-License-Identifier: Apache-2.0
// Builds the host client:  node build.mjs OUT [--dev]
// OUT gets index.html, the scripts and styles with a hash in their names, each compressed as well, sizes.json,
// and in .d what it was all made from. Fails when the client is larger than its limit.
import { gzipSync } from "node:zlib";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { purge } from "./purge.mjs";

const LIMIT = 450 * 1024; // compressed, all files together
const here = dirname(fileURLToPath(import.meta.url)); // Debian 12 has Node.js 18
const out = resolve(process.argv[2] ?? join(here, "../build/web"));
const dev = process.argv.includes("--dev");

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

// Text is in the reader's own fonts, icons are ours, and of PatternFly there is what the pages have.
const inFolder = (folder, kind) => readdirSync(folder, { withFileTypes: true }).flatMap((f) =>
  f.isDirectory() ? inFolder(join(folder, f.name), kind) : kind.test(f.name) ? [join(folder, f.name)] : []);
const texts = (files) => new Map(files.map((f) => [f, readFileSync(f, "utf8")]));
const entry = join(here, "src/ui/style.css");
const imported = [...readFileSync(entry, "utf8").matchAll(/@import "([^"]+)"/g)].map((m) => join(here, "node_modules", m[1]));
const sheets = purge(texts([entry, ...imported]), [...texts(inFolder(join(here, "src"), /\.tsx?$/)).values()].join("\n"));
const purged = {
  name: "purged",
  setup: (build) => build.onLoad({ filter: /\.css$/ }, ({ path }) => ({ contents: sheets.get(path), loader: "css", resolveDir: dirname(path) })),
};

const result = await esbuild.build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  outdir: out,
  entryNames: "[name]-[hash]",
  chunkNames: "part-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".svg": "text" },
  plugins: [purged],
  external: ["./assets/*"], // pictures of backgrounds, which no page has
  minify: !dev,
  sourcemap: dev,
  metafile: true,
  logLevel: "warning",
});

const files = readdirSync(out).sort();
const script = files.find((f) => /^app-.*\.js$/.test(f));
const style = files.find((f) => /^app-.*\.css$/.test(f));
const page = readFileSync(join(here, "src/index.html"), "utf8").replace("SCRIPT", script).replace("STYLE", style);
writeFileSync(join(out, "index.html"), page);

const inputs = Object.keys(result.metafile.inputs).concat("src/index.html", "build.mjs", "purge.mjs").map((f) => resolve(here, f));
writeFileSync(join(out, ".d"), `client: ${inputs.map((f) => f.replaceAll(" ", "\\ ")).join(" ")}`);

const sizes = {};
for (const file of readdirSync(out).filter((f) => /\.(html|js|css)$/.test(f))) {
  const packed = gzipSync(readFileSync(join(out, file)), { level: 9 });
  writeFileSync(join(out, file + ".gz"), packed);
  sizes[file] = packed.length;
}
const total = Object.values(sizes).reduce((a, b) => a + b, 0);
writeFileSync(join(out, "sizes.json"), JSON.stringify({ total, files: sizes }, null, 2) + "\n");
console.log(`host client: ${Math.round(total / 1024)} KiB compressed`);
if (!dev && total > LIMIT) {
  console.error(`host client: more than ${LIMIT / 1024} KiB; see ${join(out, "sizes.json")}`);
  process.exit(1);
}
