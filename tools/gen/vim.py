#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads hostd/api/def/*.def (core.def describes the format) and writes what is made of it.
Usage: vim.py KIND OUTPUT DEF...      KIND: header, tables, ts, rbac

header, tables: C structs and const tables, explained in hostd/api/vim.h. ts: types for the web client.
rbac: the methods that need no privilege, for tests/api/rbac.c."""

import os
import re
import sys

KINDS = {  # word in the text: kind of vim.h, C type, C type when optional, TypeScript
    "boolean": ("VIM_BOOL", "bool", "struct vim_opt_bool", "boolean"),
    "byte": ("VIM_BYTE", "int8_t", "struct vim_opt_byte", "number"),
    "short": ("VIM_SHORT", "int16_t", "struct vim_opt_short", "number"),
    "int": ("VIM_INT", "int32_t", "struct vim_opt_int", "number"),
    "long": ("VIM_LONG", "int64_t", "struct vim_opt_long", "number"),
    "float": ("VIM_FLOAT", "float", "struct vim_opt_float", "number"),
    "double": ("VIM_DOUBLE", "double", "struct vim_opt_double", "number"),
    "dateTime": ("VIM_TIME", "int64_t", "struct vim_opt_time", "string"),
    "string": ("VIM_STRING", "const char *", None, "string"),
    "uri": ("VIM_URI", "const char *", None, "string"),
    "typename": ("VIM_TYPENAME", "const char *", None, "string"),
    "methodname": ("VIM_STRING", "const char *", None, "string"),
    "path": ("VIM_STRING", "const char *", None, "string"),
    "binary": ("VIM_BINARY", "struct vim_binary", None, "string"),
    "any": ("VIM_ANY", "struct vim_any", None, "unknown"),
}
C_WORDS = set("""auto bool break case char const continue default do double else enum extern float for
    goto if inline int long register restrict return short signed sizeof static struct switch typedef
    union unsigned void volatile while self linux unix""".split())
DEPTH_MAX = 12  # VIM_CHAIN_MAX of vim.h
MEMBERS_MAX = 512  # VALUE_MEMBERS_MAX of value.h


class Bad(Exception):
    pass


class Prop:
    def __init__(self, words, since):
        self.name, kind = words[:2]
        self.list = kind.endswith("[]")
        self.type = kind[:-2] if self.list else kind
        self.optional = self.secret = False
        self.since, self.priv = since, None
        for word in words[2:]:
            if word == "?":
                self.optional = True
            elif word == "secret":
                self.secret = True
            elif word.startswith("!"):
                self.priv = word[1:]
            else:
                self.since = word


class Method:
    def __init__(self, words, owner):
        self.name, self.vmodl = words[:2]
        self.owner, self.since, self.priv = owner, owner.since, None
        for word in words[2:]:
            if word.startswith("!"):
                self.priv = word[1:]
            else:
                self.since = word
        self.params, self.result, self.task_result, self.faults = [], None, None, []

    def add(self, words):
        if words[0] == "->":
            if ":" in words:
                self.task_result = words[words.index(":") + 1]
                words = words[:words.index(":")]
            self.result = Prop(["returnval"] + words[1:], self.since)
        elif words[0] == "throws":
            self.faults = words[1:]
        else:
            self.params.append(Prop(words, self.since))


class Type:
    """A data object, fault, enum or managed object; also the parameters of a method."""

    def __init__(self, kind, name, vmodl, base, since):
        self.kind, self.name, self.vmodl, self.base, self.since = kind, name, vmodl, base, since
        self.props, self.values, self.methods = [], [], []

    def add(self, indent, words):
        if self.kind == "enum":
            self.values.append(words[0])
        elif indent == 2:
            self.methods.append(Method(words, self))
        elif self.methods:
            self.methods[-1].add(words)
        else:
            self.props.append(Prop(words, self.since))


class Model:
    def __init__(self, names):
        self.versions, self.types = [], {}
        for name in names:
            self.read(name)
        self.methods = sorted((m for t in self.types.values() for m in t.methods),
                              key=lambda m: m.name)
        self.data = {n: t for n, t in sorted(self.types.items()) if t.kind in ("data", "fault")}
        self.enums = {n: t for n, t in sorted(self.types.items()) if t.kind == "enum"}
        self.managed = {n: t for n, t in sorted(self.types.items()) if t.kind == "managed"}
        for method in self.methods:
            args = Type("data", method.name + "RequestType", method.name, None, method.since)
            args.props, args.method = method.params, method
            if args.name in self.data:
                raise Bad(f"{args.name}: there twice")
            self.data[args.name] = args
        self.data = dict(sorted(self.data.items()))
        self.check()

    def read(self, name):
        current = None
        with open(name, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    current = self.line(line.rstrip("\n"), current)
                except (Bad, ValueError, IndexError) as why:
                    raise Bad(f"{name}:{number}: {why}") from None

    def line(self, line, current):
        text = line.split("#", 1)[0].rstrip()
        words = text.split()
        if not words:
            return current
        indent = len(text) - len(text.lstrip())
        if indent:
            if current is None or indent not in (2, 4):
                raise Bad("a line that belongs to nothing")
            if current == "versions":
                self.versions.append(words[0])
            else:
                current.add(indent, words)
            return current
        if words == ["versions"]:
            return "versions"
        base = None
        if len(words) == 6 and words[3] == ":":
            base = words[4]
            del words[3:5]
        kind, name, vmodl, since = words
        if kind not in ("data", "fault", "enum", "managed") or name in self.types:
            raise Bad(f"{name}: no such kind, or there twice")
        self.types[name] = Type(kind, name, vmodl, base, since)
        return self.types[name]

    def check(self):
        for kind in self.types.values():
            chain = self.chain(kind)
            if len(chain) > DEPTH_MAX or kind.base and chain[0].kind == "managed" != kind.kind:
                raise Bad(f"{kind.name}: its bases")
            names = [p.name for t in chain for p in t.props]
            if len(set(names)) != len(names):
                raise Bad(f"{kind.name}: a property twice")
            if len(names) > MEMBERS_MAX:
                raise Bad(f"{kind.name}: more than {MEMBERS_MAX} properties")
        for kind in list(self.types.values()) + list(self.data.values()):
            for prop in kind.props:
                self.check_prop(kind.name, prop)
            self.version(kind.since)
        for method in self.methods:
            self.version(method.since)
            if method.result:
                self.check_prop(method.name, method.result)
            for fault in method.faults:
                if self.types[fault].kind != "fault":
                    raise Bad(f"{method.name}: throws {fault}")

    def check_prop(self, where, prop):
        if prop.type not in KINDS and prop.type not in self.types:
            raise Bad(f"{where}.{prop.name}: no type {prop.type}")
        self.version(prop.since)

    def chain(self, kind):
        """From the root down to `kind`."""
        found = []
        while kind:
            found.insert(0, kind)
            if len(found) > DEPTH_MAX:
                break
            kind = self.types[kind.base] if kind.base else None
        return found

    def version(self, name):
        if name not in self.versions:
            raise Bad(f"there is no version {name}")
        return self.versions.index(name)

    def shape(self, prop):
        flag = "true" if prop.list else "false"
        if prop.type in KINDS:
            return f"{{{KINDS[prop.type][0]}, {flag}, 0}}"
        kind = self.types[prop.type].kind
        name, prefix = {"enum": ("VIM_ENUM", "E"), "managed": ("VIM_REF", "M")}.get(
            kind, ("VIM_DATA", "T"))
        return f"{{{name}, {flag}, VIM_{prefix}_{prop.type}}}"

    def c_type(self, prop):
        if prop.type in KINDS:
            _, plain, optional, _ = KINDS[prop.type]
            plain = optional if optional and prop.optional and not prop.list else plain
        else:
            kind = self.types[prop.type].kind
            plain = {"enum": f"enum vim_{prop.type}", "managed": "struct vim_ref"}.get(
                kind, f"struct vim_{prop.type} *")
        return f"VIM_LIST({plain})" if prop.list else plain


def c_name(name):
    name = re.sub(r"\W", "_", name)
    return name + "_" if name in C_WORDS else name


def c_struct(kind):
    return f"{kind.method.name}_args" if hasattr(kind, "method") else kind.name


def quoted(text):
    return f'"{text}"' if text else "NULL"


def privilege(method):
    """What a call needs; a session if nothing else. Without one: NULL."""
    return None if method.priv == "System.Anonymous" else method.priv or ""


def write_header(model, out):
    out("#pragma once\n#include \"hostd/api/vim.h\"\n")
    for prefix, names in (("T", model.data), ("E", model.enums), ("M", model.managed),
                          ("C", [m.name for m in model.methods])):
        out("enum {")
        for name in names:
            out(f"    VIM_{prefix}_{name},")
        out("};\n")
    out("enum {")
    for kind in model.managed.values():
        for prop in kind.props:
            out(f"    VIM_P_{kind.name}_{c_name(prop.name).rstrip('_')},")
    out("};\n")
    for kind in model.enums.values():
        out(f"enum vim_{kind.name} {{\n    VIM_{kind.name}_UNSET,")
        for value in kind.values:
            out(f"    VIM_{kind.name}_{re.sub(chr(92) + 'W', '_', value)},")
        out("};\n")
    for kind in model.data.values():
        out(f"struct vim_{c_struct(kind)} {{\n    struct vim_data self;")
        for owner in model.chain(kind):
            for prop in owner.props:
                c_type = model.c_type(prop)
                out(f"    {c_type}{'' if c_type.endswith('*') else ' '}{c_name(prop.name)};")
        out("};\n")


def write_tables(model, out):
    out("#include \"hostd/api/vim_types.gen.h\"\n")
    out("const char *const vim_versions[] = {")
    for version in model.versions:
        out(f"    \"{version}\",")
    out("};\n")
    for kind in model.enums.values():
        out(f"static const char *const values_{kind.name}[] = {{NULL, "
            + ", ".join(quoted(v) for v in kind.values) + "};")
    out("const struct vim_enum vim_enums[] = {")
    for kind in model.enums.values():
        out(f"    {{\"{kind.name}\", \"{kind.vmodl}\", values_{kind.name}, {len(kind.values) + 1}, "
            f"{model.version(kind.since)}}},")
    out("};\n")
    write_properties(model, out, model.data, "data")
    write_types(model, out)
    write_properties(model, out, model.managed, "managed")
    write_managed(model, out)
    write_methods(model, out)
    for table in ("type", "enum", "method", "version"):
        out(f"const unsigned vim_{table}_count = sizeof vim_{table}s / sizeof vim_{table}s[0];")
    out("const unsigned vim_managed_count = sizeof vim_managed / sizeof vim_managed[0];")


def write_properties(model, out, kinds, which):
    linkage = "static " if which == "data" else ""
    out(f"{linkage}const struct vim_property vim_{which}_props[] = {{")
    for kind in kinds.values():
        for prop in kind.props:
            flags = "|".join(f for f, on in (("VIM_OPTIONAL", prop.optional),
                                             ("VIM_SECRET", prop.secret)) if on) or "0"
            offset = f"offsetof(struct vim_{c_struct(kind)}, {c_name(prop.name)})" \
                if which == "data" else "0"
            out(f"    {{\"{prop.name}\", {model.shape(prop)}, {offset}, {flags}, "
                f"{model.version(prop.since)}, {quoted(prop.priv)}}},")
    out("};\n")


def write_types(model, out):
    out("const struct vim_type vim_types[] = {")
    bases = {t.base for t in model.data.values()}
    first = 0
    for kind in model.data.values():
        base = f"&vim_types[VIM_T_{kind.base}]" if kind.base else "NULL"
        out(f"    {{\"{kind.name}\", \"{kind.vmodl}\", {base}, &vim_data_props[{first}], "
            f"{len(kind.props)}, sizeof(struct vim_{c_struct(kind)}), {model.version(kind.since)}, "
            f"{'true' if kind.kind == 'fault' else 'false'}, "
            f"{'true' if kind.name in bases else 'false'}}},")
        first += len(kind.props)
    out("};\n")


def write_managed(model, out):
    out("const struct vim_managed vim_managed[] = {")
    first = 0
    for kind in model.managed.values():
        base = f"&vim_managed[VIM_M_{kind.base}]" if kind.base else "NULL"
        out(f"    {{\"{kind.name}\", \"{kind.vmodl}\", {base}, &vim_managed_props[{first}], "
            f"{len(kind.props)}, {model.version(kind.since)}}},")
        first += len(kind.props)
    out("};\n")


def write_methods(model, out):
    for method in model.methods:
        if method.faults:
            out(f"static const uint16_t faults_{method.name}[] = {{"
                + ", ".join("VIM_T_" + f for f in method.faults) + "};")
    out("const struct vim_method vim_methods[] = {")
    for method in model.methods:
        result = model.shape(method.result) if method.result else "{VIM_NONE, false, 0}"
        optional = "true" if method.result and method.result.optional else "false"
        task = "true" if method.result and method.result.type == "Task" \
            and method.name.endswith("_Task") else "false"
        priv = privilege(method)
        out(f"    {{\"{method.name}\", \"{method.vmodl}\", &vim_managed[VIM_M_{method.owner.name}], "
            f"&vim_types[VIM_T_{method.name}RequestType], {result}, {optional}, {task}, "
            f"{model.version(method.since)}, {'NULL' if priv is None else quoted(priv) if priv else chr(34) * 2}, "
            f"{'faults_' + method.name if method.faults else 'NULL'}, {len(method.faults)}}},")
    out("};\n")


def ts_type(model, prop):
    if prop.type in KINDS:
        name = KINDS[prop.type][3]
    else:
        name = f"Ref<\"{prop.type}\">" if model.types[prop.type].kind == "managed" else prop.type
    return f"{name}[]" if prop.list else name


def write_ts(model, out):
    out("/** To an object of that type or one derived from it. */\n"
        "export type Ref<_Type extends string> = "
        "{ _typeName: \"ManagedObjectReference\"; type: string; value: string };\n")
    for kind in model.enums.values():
        out(f"export type {kind.name} = " + " | ".join(f'"{v}"' for v in kind.values) + ";")
    for kind in model.data.values():
        base = f" extends {kind.base}" if kind.base else ""
        out(f"export interface {kind.name}{base} {{")
        if not kind.base:
            out("  _typeName?: string;")
        for prop in kind.props:
            out(f"  {prop.name}{'?' if prop.optional else ''}: {ts_type(model, prop)};")
        out("}")
    for kind in model.managed.values():
        base = f" extends {kind.base}" if kind.base else ""
        out(f"export interface {kind.name}{base} {{")
        for prop in kind.props:
            out(f"  {prop.name}{'?' if prop.optional else ''}: {ts_type(model, prop)};")
        for method in kind.methods:
            result = ts_type(model, method.result) if method.result else "void"
            out(f"  {method.name}(args: {method.name}RequestType): Promise<{result}>;")
        out("}")


def write_rbac(model, out):
    for method in model.methods:
        if privilege(method) == "":
            out(f"WITHOUT_PRIVILEGE({method.name}) /* {method.owner.name} */")


WRITERS = {"header": write_header, "tables": write_tables, "ts": write_ts, "rbac": write_rbac}


def main(argv):
    if len(argv) < 4 or argv[1] not in WRITERS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        model = Model(argv[3:])
    except (Bad, KeyError, OSError) as why:
        print(f"vim.py: {why}", file=sys.stderr)
        return 1
    lines = []
    lines.append("// Made by tools/gen/vim.py from hostd/api/def; do not edit.")
    WRITERS[argv[1]](model, lines.append)
    temporary = argv[2] + ".part"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.replace(temporary, argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
