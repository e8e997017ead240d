# SPDX-License-Identifier: Apache-2.0
"""The figures of a run, and the one table that they make."""

import json
import math
import statistics

from workloads import ALL, BOOTS, GROUPS, SCALING, SCALING_MUST, TIMES_FASTER, WORKLOADS, group_of

NATIVE, PEER = "native", "tcg"


def geomean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


class Figures:
    """Everything that was measured: times[who][what] is a list of CPU seconds (of scaling: factors),
    outputs[what][digest] who printed that."""

    def __init__(self, names):
        self.times = {name: {} for name in names}
        self.outputs = {}

    def add(self, who, what, value, digest=None):
        self.times[who].setdefault(what, []).append(value)
        if digest:
            makers = self.outputs.setdefault(what, {}).setdefault(digest, [])
            if who not in makers:
                makers.append(who)

    def save(self, path):
        with open(path, "w", encoding="ascii") as file:
            json.dump({"times": self.times, "outputs": self.outputs}, file, indent=1)

    @classmethod
    def load(cls, path):
        with open(path, encoding="ascii") as file:
            saved = json.load(file)
        figures = cls([])
        figures.times, figures.outputs = saved["times"], saved["outputs"]
        return figures

    def wrong(self, who, what):
        """Has it printed something else than the processor?"""
        outputs = self.outputs.get(what, {})
        native = any(NATIVE in makers for makers in outputs.values())
        return native and any(who in makers and NATIVE not in makers for makers in outputs.values())

    def median(self, who, what):
        """None when it was not measured, or what it printed is wrong."""
        values = self.times.get(who, {}).get(what)
        return statistics.median(values) if values and not self.wrong(who, what) else None

    def ratio(self, who, base, what):
        mine, theirs = self.median(who, what), self.median(base, what)
        return mine / theirs if mine and theirs else None

    def means(self, who, base):
        """group -> (geometric mean, number of workloads)"""
        found = {}
        for group in GROUPS:
            ratios = [r for name in WORKLOADS if group in (ALL, group_of(name))
                      if (r := self.ratio(who, base, name))]
            if ratios:
                found[group] = geomean(ratios), len(ratios)
        return found

    def is_empty(self, what):
        return not any(what in times for times in self.times.values())


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def verdict(value, bars):
    if value is None or bars is None:
        return ""
    must, aim = bars
    return "aim" if value <= aim else "must" if value <= must else "over"


class Table:
    """Rows of native time, then for each VMM its time and multiples of native and of TCG; the bars are
    held against the last one, which is ours."""

    def __init__(self, figures):
        self.figures = figures
        self.vmms = [name for name in figures.times if name != NATIVE]
        self.ours = self.vmms[-1]
        self.peer = PEER if PEER in self.vmms and self.ours != PEER else None

    def against_peer(self, who):
        return self.peer and who != self.peer

    def line(self, name, native, cells, bars=None, note=""):
        words = [f"{name:<20}", f"{native:>8}"]
        for who in self.vmms:
            seconds, of_native, of_peer = cells(who)
            words += [f"{seconds:>9}", f"{of_native:>8}"]
            words += [f"{of_peer:>8}"] if self.against_peer(who) else []
        must, aim = bars or ("", "")
        print(" ".join([*words, f"{must:>6}", f"{aim:>6}", f" {note}"]).rstrip())

    def head(self):
        def cells(who):
            return who[-7:] + " s", "/native", f"/{PEER}"
        self.line("", f"{NATIVE} s", cells, ("must", "aim"))

    def times(self, what):
        figures = self.figures

        def cells(who):
            if figures.wrong(who, what):
                return "WRONG", "-", "-"
            return (number(figures.median(who, what)), number(figures.ratio(who, NATIVE, what)),
                    number(figures.ratio(who, self.peer, what), 3))
        return cells

    def slower(self, what):
        ratio = self.peer and self.figures.ratio(self.ours, self.peer, what)
        return " slower than TCG" if ratio and ratio > 1 else ""

    def workload(self, what):
        bars = WORKLOADS[what][1:]
        note = verdict(self.figures.ratio(self.ours, NATIVE, what), bars) + self.slower(what)
        self.line(what, number(self.figures.median(NATIVE, what), 3), self.times(what), bars, note)

    def boot(self, what):
        note = verdict(self.figures.median(self.ours, what), BOOTS[what]) + self.slower(what)
        self.line(f"{what} to init" if what == "boot" else f"boot by {what}", "", self.times(what), BOOTS[what], note)

    def scaling(self):
        value = self.figures.median(self.ours, SCALING)
        note = "" if value is None else "must" if value >= SCALING_MUST else "under"
        self.line("2 vCPUs against 1", "", lambda who: (number(self.figures.median(who, SCALING)), "", ""),
                  (SCALING_MUST, ""), note)

    def groups(self):
        native = {who: self.figures.means(who, NATIVE) for who in self.vmms}
        peer = {who: self.figures.means(who, self.peer) for who in self.vmms if self.against_peer(who)}
        for group, bars in GROUPS.items():
            mean, count = native[self.ours].get(group, (None, 0))
            if not any(group in found for found in native.values()):
                continue

            def cells(who, group=group):
                return ("", number(native[who].get(group, [None])[0]),
                        number(peer.get(who, {}).get(group, [None])[0], 3))
            self.line(f"mean of {group}", "", cells, bars, f"{verdict(mean, bars)} ({count})")
        self.faster(peer)

    def faster(self, peer):
        ratio = peer.get(self.ours, {}).get(ALL, (None, 0))[0]
        if ratio:
            must, aim = TIMES_FASTER
            print(f"{self.ours} is {1 / ratio:.1f} times faster than TCG; must {must}, aim {aim}")

    def show(self):
        self.head()
        for what in (*BOOTS, *WORKLOADS):
            if not self.figures.is_empty(what):
                (self.boot if what in BOOTS else self.workload)(what)
        if not self.figures.is_empty(SCALING):
            self.scaling()
        print()
        self.groups()
        for what, outputs in self.figures.outputs.items():
            if len(outputs) > 1:
                print(f"{what}: outputs differ: {outputs}")
