# SPDX-License-Identifier: Apache-2.0
"""Saved states (docs/formats/vmss.md) taken apart and put together again: for tests of what one build saves and
another goes on from."""

import struct

HEADER, ALIGN, TABLE = 4096, 65536, 5
SIZES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 1}
TYPES = ("u8", "u16", "u32", "u64", "bool", "table")


class Section:
    """A table's: fields are [name, type, count, bytes], or a list of fields for each element of a table's."""

    def __init__(self, name, version, fields):
        self.name, self.version, self.fields = name, version, fields

    def layout(self):
        return [f"{self.name} {self.version}", *lines(self.fields)]


def lines(fields, depth=1):
    found = []
    for name, kind, count, value in fields:
        found.append(f"{'  ' * depth}{name} {TYPES[kind]} {count}")
        if kind == TABLE and value:
            found += lines(value[0], depth + 1)
    return found


def read_fields(data):
    fields, at = [], 0
    while at < len(data):
        size = data[at]
        name = data[at + 1:at + 1 + size].decode("ascii")
        kind, count = struct.unpack_from("<BI", data, at + 1 + size)
        at += 1 + size + 5
        if kind == TABLE:
            value = []
            for _ in range(count):
                length, = struct.unpack_from("<I", data, at)
                value.append(read_fields(data[at + 4:at + 4 + length]))
                at += 4 + length
        else:
            value = data[at:at + count * SIZES[kind]]
            at += len(value)
        fields.append([name, kind, count, value])
    return fields


def write_fields(fields):
    data = b""
    for name, kind, count, value in fields:
        data += bytes([len(name)]) + name.encode("ascii") + struct.pack("<BI", kind, count)
        if kind == TABLE:
            for one in value:
                part = write_fields(one)
                data += struct.pack("<I", len(part)) + part
        else:
            data += value
    return data


def read_section(data):
    """None: these bytes are none."""
    try:
        size, = struct.unpack_from("<H", data)
        name = data[2:2 + size].decode("ascii")
        version, length = struct.unpack_from("<HI", data, 2 + size)
        if 8 + size + length != len(data) or not name.isprintable():
            return None
        return Section(name, version, read_fields(data[8 + size:]))
    except (struct.error, UnicodeDecodeError, KeyError, IndexError):
        return None


def write_section(s):
    payload = write_fields(s.fields)
    return struct.pack("<H", len(s.name)) + s.name.encode("ascii") + struct.pack("<HI", s.version, len(payload)) + payload


def read_part(data):
    records, at = [], 0
    while at < len(data):
        size, = struct.unpack_from("<H", data, at)
        name = data[at + 2:at + 2 + size].decode("ascii")
        length, = struct.unpack_from("<I", data, at + 2 + size)
        at += 6 + size
        body = data[at:at + length]
        at += length
        records.append([name, read_section(body) or body])
    return records


def write_part(records):
    data = b""
    for name, body in records:
        body = write_section(body) if isinstance(body, Section) else body
        data += struct.pack("<H", len(name)) + name.encode("ascii") + struct.pack("<I", len(body)) + body
    return data


class State:
    """A file: `parts` are vmm's and vmx's records."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        self.head = data[:24]
        config, vmm, vmx, self.memory = struct.unpack_from("<QQQQ", data, 24)
        self.config = data[HEADER:HEADER + config]
        at = HEADER + config
        self.parts = [read_part(data[at:at + vmm]), read_part(data[at + vmm:at + vmm + vmx])]
        self.ram = data[-self.memory:]

    def save(self, path):
        vmm, vmx = (write_part(p) for p in self.parts)
        head = self.head + struct.pack("<QQQQ", len(self.config), len(vmm), len(vmx), self.memory)
        data = head.ljust(HEADER, b"\0") + self.config + vmm + vmx
        with open(path, "wb") as file:
            file.write(data + bytes(-len(data) % ALIGN) + self.ram)

    def sections(self, name):
        return [body for part in self.parts for _, body in part if isinstance(body, Section) and body.name == name]

    def layout(self, seen):
        """One line for each record, and for each field of a section where it comes for the first time; sizes of records
        that are no section do not count."""
        found = []
        for word, part in zip(("vmm", "vmx"), self.parts):
            for name, body in part:
                inner = body.layout() if isinstance(body, Section) else ["bytes"]
                found += [f"{word} {name}: {inner[0]}", *(inner[1:] if inner not in seen else [])]
                seen.append(inner)
        return found
