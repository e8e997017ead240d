// SPDX-License-Identifier: Apache-2.0
// Leaves out of style sheets what no page has: rules for classes of PatternFly that no source names, and properties
// that nothing left reads. A class that is put together (`pf-m-${kind}`) counts as named when its last part stands in
// quotes somewhere. In doubt a rule stays.

/** "{...}" from `at`, which is the brace, to the one that closes it. */
function closing(text, at) {
  for (let depth = 0; at < text.length; at++) {
    const c = text[at];
    if (c === '"' || c === "'") at = text.indexOf(c, at + 1);
    else if (c === "{") depth++;
    else if (c === "}" && !--depth) return at;
  }
  throw new Error("a style sheet is cut off");
}

/** A sheet as a list of { head, body: text | list }; statements without a body have none. */
function parse(text) {
  const rules = [];
  for (let at = 0; at < text.length; ) {
    const open = text.indexOf("{", at), end = text.indexOf(";", at);
    if (open < 0 || (end >= 0 && end < open)) {
      if (end < 0) break;
      rules.push({ head: text.slice(at, end).trim() });
      at = end + 1;
      continue;
    }
    const close = closing(text, open), head = text.slice(at, open).trim(), inside = text.slice(open + 1, close);
    rules.push({ head, body: /^@(media|supports|layer|container)/.test(head) ? parse(inside) : inside });
    at = close + 1;
  }
  return rules;
}

const write = (rules) => rules.map(({ head, body }) => (body === undefined ? `${head};` : `${head}{${typeof body === "string" ? body : write(body)}}`)).join("\n");

/** The commas that separate selectors, not those within parentheses. */
function split(selectors) {
  const parts = [""];
  let depth = 0;
  for (const c of selectors) {
    depth += (c === "(") - (c === ")");
    if (c === "," && !depth) parts.push("");
    else parts[parts.length - 1] += c;
  }
  return parts.map((s) => s.trim());
}

/** Where one of several, or none, of what stands in parentheses must be, it says nothing. */
function certain(selector) {
  for (let before; before !== selector; ) {
    before = selector;
    selector = selector.replace(/:(not|has)\([^()]*\)/g, "").replace(/\([^()]*,[^()]*\)/g, "").replace(/\(([^(),]*)\)/g, " $1 ");
  }
  return selector;
}

function keepNamed(rules, named) {
  return rules.flatMap((rule) => {
    if (Array.isArray(rule.body)) {
      const body = keepNamed(rule.body, named);
      return body.length ? { ...rule, body } : [];
    }
    if (/^@font-face/.test(rule.head)) return [];
    if (rule.head.startsWith("@") || rule.body === undefined) return rule;
    const selectors = split(rule.head).filter((s) => (certain(s).match(/\.pf-[\w-]+/g) ?? []).every((c) => named(c.slice(1))));
    return selectors.length ? { head: selectors.join(","), body: rule.body } : [];
  });
}

const declarations = (body) => body.split(/;(?![^(]*\))/).map((d) => d.trim()).filter(Boolean);

function keepRead(rules, read) {
  return rules.flatMap((rule) => {
    if (Array.isArray(rule.body)) {
      const body = keepRead(rule.body, read);
      return body.length ? { ...rule, body } : [];
    }
    const property = /^@property (--pf-\S+)/.exec(rule.head)?.[1];
    if (property) return read(property) ? rule : [];
    if (rule.body === undefined || rule.head.startsWith("@")) return rule;
    const body = declarations(rule.body).filter((d) => !d.startsWith("--pf-") || read(d.slice(0, d.indexOf(":")).trim()));
    return body.length ? { ...rule, body: body.join(";") } : [];
  });
}

/** `sheets`: text by path. `sources`: all text that names classes and properties. The same map, purged. */
export function purge(sheets, sources) {
  const named = (c) => sources.includes(c) || (c.startsWith("pf-m-") && sources.includes(`"${c.slice(5)}"`));
  let kept = new Map([...sheets].map(([path, text]) => [path, keepNamed(parse(text.replace(/\/\*[^]*?\*\//g, "")), named)]));
  for (let size = Infinity; ; ) {
    const texts = new Map([...kept].map(([path, rules]) => [path, write(rules)])), all = [...texts.values()].join("\n");
    if (all.length === size) return texts;
    size = all.length;
    const reads = new Set([...(all + sources).matchAll(/(?:var\(\s*|getPropertyValue\(")(--[\w-]+)/g)].map((m) => m[1]));
    kept = new Map([...kept].map(([path, rules]) => [path, keepRead(rules, (name) => reads.has(name))]));
  }
}
