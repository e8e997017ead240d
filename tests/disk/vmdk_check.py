#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An independent checker of hosted sparse and stream-optimized VMDK files.

Written from the format's description ("Virtual Disk Format 5.0") and sharing nothing with disk/, so
that a misunderstanding there is not repeated here. It does not repair and it reads everything.

    vmdk_check.py [--quiet] FILE...     exit status 0: all good, 1: damage, 2: not readable

Damage: a grain past the end of the file; two entries with one grain; an entry into header,
descriptor, directories or tables; primary and redundant tables that differ (in a file whose writer
died, flagged by uncleanShutdown, one copy may lack a grain that the other has, no more).
"""
import argparse
import struct
import sys
import zlib

SECTOR = 512
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")


class Damage(Exception):
    pass


class Image:
    def __init__(self, path):
        self.file = open(path, "rb")
        self.file.seek(0, 2)
        self.bytes = self.file.tell()
        self.problems = []
        self.read_header(0)
        if self.flags & 0x10000 and self.gd == 2**64 - 1:
            self.read_header(self.bytes - 2 * SECTOR)

    def at(self, offset, length):
        self.file.seek(offset)
        data = self.file.read(length)
        if len(data) != length:
            raise Damage(f"{length} bytes at {offset} are past the end of the file")
        return data

    def read_header(self, offset):
        (magic, self.version, self.flags, self.capacity, self.grain, self.desc, self.desc_len, self.gtes,
         self.rgd, self.gd, self.overhead, self.unclean, newlines, self.compression) = HEADER.unpack(
             self.at(offset, HEADER.size))
        if magic != b"KDMV":
            raise Damage("no KDMV header")
        if self.flags & 1 and newlines != b"\n \r\n":
            raise Damage("newline test bytes")
        if self.grain < 8 or self.grain & (self.grain - 1) or self.gtes != 512:
            raise Damage(f"grain {self.grain}, {self.gtes} entries a table")

    def words(self, sector, count):
        return struct.unpack(f"<{count}I", self.at(sector * SECTOR, 4 * count))

    def directory(self, sector, tables):
        reserved = [(sector, -(-tables * 4 // SECTOR), "directory")]
        places = self.words(sector, tables)
        reserved += [(place, self.gtes * 4 // SECTOR, "table") for place in places if place]
        entries = []
        for place in places:
            entries += self.words(place, self.gtes) if place else [0] * self.gtes
        return reserved, entries

    def allocated(self, entry):
        return entry > 1 or (entry == 1 and not self.flags & 4)

    def merge(self, primary, redundant):
        merged = []
        for number, (a, b) in enumerate(zip(primary, redundant)):
            if a != b and not (self.unclean and not (self.allocated(a) and self.allocated(b))):
                self.problems.append(f"grain {number}: tables differ, {a} and {b}")
            merged.append(a if self.allocated(a) else b)
        return merged

    def check(self):
        tables = -(-self.capacity // (self.grain * self.gtes))
        taken = [(0, 1, "header"), (self.desc, self.desc_len, "descriptor")]
        reserved, entries = self.directory(self.gd, tables)
        taken += reserved
        if self.flags & 2:
            reserved, second = self.directory(self.rgd, tables)
            taken += reserved
            entries = self.merge(entries, second)
        grains = -(-self.capacity // self.grain)
        for number, entry in enumerate(entries):
            if not self.allocated(entry):
                continue
            if number >= grains:
                self.problems.append(f"grain {number}: past the end of the disk")
            taken.append((entry, self.grain_sectors(number, entry), f"grain {number}"))
        self.check_places(taken)
        return self.problems

    def grain_sectors(self, number, entry):
        if not self.flags & 0x10000:
            return self.grain
        lba, size = struct.unpack("<QI", self.at(entry * SECTOR, 12))
        if lba != number * self.grain:
            self.problems.append(f"grain {number}: its marker says sector {lba}")
        try:
            length = len(zlib.decompress(self.at(entry * SECTOR + 12, size)))
        except zlib.error as error:
            self.problems.append(f"grain {number}: {error}")
            length = self.grain * SECTOR
        if length > self.grain * SECTOR:
            self.problems.append(f"grain {number}: {length} bytes")
        return -(-(12 + size) // SECTOR)

    def check_places(self, taken):
        """Nothing may lie on anything else, nor past the end."""
        end_of_last, name_of_last = 0, ""
        for start, length, name in sorted(place for place in taken if place[1]):
            if start < end_of_last:
                self.problems.append(f"{name} at sector {start} lies on {name_of_last}")
            if (start + length) * SECTOR > self.bytes:
                self.problems.append(f"{name} at sector {start} is past the end of the file")
            if start + length > end_of_last:
                end_of_last, name_of_last = start + length, name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    status = 0
    for path in options.files:
        try:
            problems = Image(path).check()
        except (Damage, struct.error) as error:
            problems = [str(error)]
        except OSError as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        for problem in problems[:20]:
            print(f"# {path}: {problem}")
        if problems:
            status = 1
        elif not options.quiet:
            print(f"{path}: good")
    return status


sys.exit(main())
