"""Reads callgrind's profiles, with inlined functions told apart.

A profile says what each instruction cost, and what the calls made at it cost. The debug
information says which functions an instruction was inlined from. Both together give the cost of a
function wherever the compiler has put it.
"""

import collections
import json
import os
import re
import subprocess


class Profile:
    """The costs of a run, or of the difference between two, by instruction."""

    def __init__(self):
        self.own = collections.Counter()  # (object, address) -> instructions
        self.calls = collections.Counter()  # (object, address, callee) -> instructions
        self.counts = collections.Counter()  # the same -> calls
        self.function = {}  # (object, address) -> symbol

    @classmethod
    def read(cls, path):
        self = cls()
        obj = fn = callee = callee_obj = ""
        count = 0
        with open(path) as lines:
            for line in lines:
                if line[0] in "0123456789":
                    address, _, cost = line.split()
                    place = (obj, int(address, 16) if address.startswith("0x") else int(address))
                    self.function[place] = fn
                    if callee:
                        self.calls[(*place, callee)] += int(cost)
                        self.counts[(*place, callee)] += count
                        callee = callee_obj = ""
                    else:
                        self.own[place] += int(cost)
                elif line.startswith("fn="):
                    fn = line[3:].strip()
                elif line.startswith("ob="):
                    obj = line[3:].strip()
                elif line.startswith("cob="):
                    callee_obj = line[4:].strip()
                elif line.startswith("cfn="):
                    callee = line[4:].strip()
                elif line.startswith("calls="):
                    count = int(line[6:].split()[0])
        return self

    def minus(self, other):
        """What this run did more than the other."""
        for mine, theirs in (
            (self.own, other.own),
            (self.calls, other.calls),
            (self.counts, other.counts),
        ):
            mine.subtract(theirs)
        self.function.update(other.function)
        return self

    def total(self):
        return sum(self.own.values())


def last_part(name):
    """The name of a function without its path, hash and generics."""
    name = re.sub(r"::h[0-9a-f]{16}$", "", name)
    name = name.replace("$u7b$$u7b$closure$u7d$$u7d$", "{{closure}}")
    plain = re.sub(r"\$[A-Za-z0-9]+\$", "", name)
    while True:
        cut = re.sub(r"<[^<>]*>", "", plain)
        if cut == plain:
            break
        plain = cut
    parts = [part for part in plain.split("::") if part]
    while len(parts) > 1 and parts[-1].startswith("{"):
        parts = [*parts[:-2], parts[-2] + "/" + parts[-1].strip("{}").split("#")[0]]
    return parts[-1] if parts else name


def home(path):
    """Where a source file belongs: the crate and the path in it."""
    for pattern, into in (
        (r".*/registry/src/[^/]+/([^/]+?)-\d[^/]*/(?:src/)?(.*)", r"\1/\2"),
        (r".*/rustc/[0-9a-f]+/library/([a-z]+)/src/(.*)", r"\1/\2"),
        (r".*/library/([a-z]+)/src/(.*)", r"\1/\2"),
        (r".*/teleport/src/(.*)", r"teleport/\1"),
        (r".*/benches/(load|support)/(.*)", r"load/\2"),
    ):
        if found := re.fullmatch(pattern, path):
            return found.expand(into).removesuffix(".rs")
    return path


class Names:
    """Which functions, from the innermost outwards, an instruction belongs to. A function is named
    by its file and its last name."""

    def __init__(self, profile, binary="load"):
        self.stacks = {}
        by_object = collections.defaultdict(set)
        for obj, address in profile.function:
            by_object[obj].add(address)
        for obj, addresses in by_object.items():
            if os.path.basename(obj) == binary:
                self.symbolize(obj, sorted(addresses))
            else:
                for address in addresses:
                    self.stacks[(obj, address)] = ("c/" + profile.function[(obj, address)],)
        # Where the callees of calls are: any instruction of a function ends with its name.
        self.function = {}
        for place, fn in profile.function.items():
            self.function.setdefault(fn, self.stacks[place][-1])

    def symbolize(self, obj, addresses):
        command = ["llvm-symbolizer", "--obj=" + obj, "--inlines", "--functions", "--demangle",
                   "--output-style=JSON"]
        query = "".join(f"{address:#x}\n" for address in addresses)
        answer = subprocess.run(command, input=query, capture_output=True, text=True, check=True)
        for address, line in zip(addresses, answer.stdout.splitlines(), strict=True):
            frames = json.loads(line).get("Symbol") or [{"FunctionName": "?", "FileName": "?"}]
            self.stacks[(obj, address)] = tuple(
                home(frame["FileName"]) + "::" + last_part(frame["FunctionName"])
                for frame in frames
            )


class Costs:
    """Costs of functions per call of the benchmark."""

    def __init__(self, profile, names, calls):
        self.calls = calls
        self.profile = profile
        self.names = names
        self.inclusive = collections.Counter()
        edges = collections.Counter()
        for (obj, address, _), cost in profile.calls.items():
            edges[(obj, address)] += cost
        self.weight = collections.Counter(profile.own)
        self.weight.update(edges)
        for place, cost in self.weight.items():
            for name in set(names.stacks[place]):
                self.inclusive[name] += cost

    def per_call(self, cost):
        return cost / self.calls

    def total(self):
        return self.per_call(self.profile.total())

    def of(self, pattern, within=None):
        """The inclusive cost of the outermost functions that match."""
        found = 0
        regex = re.compile(pattern)
        outer = re.compile(within) if within else None
        for place, cost in self.weight.items():
            stack = self.names.stacks[place]
            if any(regex.search(name) for name in stack) and (
                outer is None or any(outer.search(name) for name in stack)
            ):
                found += cost
        return self.per_call(found)


# Code that belongs to whoever calls it: the libraries of Rust and C, and byte buffers.
LEAF = re.compile(r"^(c|core|alloc|std|hashbrown|bytes|memchr)/")


def own_costs(costs, is_ours):
    """What each of our functions costs with all library code that it calls, but without what it
    calls of ours or of anybody else's."""
    ours = collections.Counter()
    profile, names = costs.profile, costs.names

    def owner(place):
        for name in names.stacks[place]:
            if is_ours(name):
                return name
            if not LEAF.match(name):
                return None
        return None

    for place, cost in profile.own.items():
        if name := owner(place):
            ours[name] += cost
    for (obj, address, callee), cost in profile.calls.items():
        name = owner((obj, address))
        if name and LEAF.match(names.function.get(callee, "c/")):
            ours[name] += cost
    return {name: costs.per_call(cost) for name, cost in ours.items()}
