"""Reads callgrind's profiles, with inlined functions told apart.

A profile says what each instruction cost, and what the calls made at it cost. The debug
information says which functions an instruction was inlined from. Both together give the cost of a
function wherever the compiler has put it.
"""

import collections
import functools
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

    def __init__(self, profile, calls):
        self.calls = calls
        self.profile = profile
        self.names = Names(profile)

    def per_call(self, cost):
        return cost / self.calls

    def total(self):
        return self.per_call(self.profile.total())

    def of(self, pattern):
        """What the functions that match cost with all that they call."""
        regex = re.compile(pattern)
        matches = functools.cache(lambda name: bool(regex.fullmatch(name)))
        inside = functools.cache(lambda stack: any(map(matches, stack)))
        found = 0
        for place, cost in self.profile.own.items():
            if inside(self.names.stacks[place]):
                found += cost
        for (obj, address, callee), cost in self.profile.calls.items():
            # What a matching function calls that matches too is counted there.
            if inside(self.names.stacks[obj, address]) and not matches(
                self.names.function.get(callee, "")
            ):
                found += cost
        return self.per_call(found)


# Code that belongs to whoever calls it: the libraries of Rust and C, and byte buffers.
LEAF = re.compile(r"^(c|core|alloc|std|hashbrown|bytes|memchr)/")


def own_costs(costs, is_ours):
    """What each of our functions costs with the library code that it calls, but without what it
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
