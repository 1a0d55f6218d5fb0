"""Makes the table of where a call's cost goes, of what cost.sh has measured.

    python3 cost.py DIRECTORY SHORT LONG TOP [README.md]
"""

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from callgrind import Costs, Profile, own_costs  # noqa: E402
from table import replace  # noqa: E402

# The functions that begin a stage, by file and last name.
POLL = r"teleport/session/task::poll_session"
READING = r"teleport/session/task/reading::read_some"
TAKE = r"teleport/session/task/reading::take"
UNPACK = r"teleport/proto/raw/unpack::unpack"
FRAME = r"teleport/session/dispatch::frame"
WAKE = r"teleport/session/dispatch/wakers::(wake|finish)"
ROUTE = r"teleport/message/uri::plain_path|teleport/router/table::find"
DECODE = r"teleport/codec/protobuf::decode_message"
ENCODE = r"teleport/codec/protobuf::encode_message"
PACK = r"teleport/session/inner/sending::pack"
WRITE = r"teleport/session/outbound::(put|poll_work)"
CALL = r"teleport/session/call::poll"
PLACE = r"teleport/session/launch::take_in|teleport/session/calls::(poll|deliver)"
FREE = r"core/ptr/mod::drop_in_placeteleport_benches\.\.message\.\.BenchmarkMessage"
HANDLER = r"load/message::answered"

# Where arguments, results and contexts are moved from hand to hand.
MOVING = r"teleport/router/handler::.*|teleport/session/call::.*|load/session::.*"

STAGES = ["read", "unpack", "route", "decode", "handler", "encode", "message freed", "pack",
          "write", "slots of calls", "values moved", "wake and run", "the rest", "all",
          "above the codec"]


def server(costs):
    of = costs.of
    stage = {
        "read": of(READING) - of(TAKE),
        "unpack": of(UNPACK),
        "route": of(ROUTE),
        "decode": of(DECODE),
        "handler": of(HANDLER),
        "encode": of(ENCODE),
        "message freed": of(FREE),
        "pack": of(PACK) - of(ENCODE),
        "write": of(WRITE),
        "slots of calls": None,
        "values moved": moved(costs),
        "wake and run": costs.total() - of(POLL),
    }
    return finish(costs, stage)


def client(costs):
    of = costs.of
    stage = {
        "read": of(READING) - of(TAKE),
        "unpack": of(UNPACK),
        "route": None,
        "decode": of(DECODE),
        "handler": None,
        "encode": of(ENCODE),
        "message freed": of(FREE),
        "pack": of(PACK) - of(ENCODE),
        "write": of(WRITE),
        "slots of calls": of(PLACE),
        "values moved": moved(costs),
        "wake and run": costs.total() - of(POLL) - of(CALL) - of(FREE) + of(WAKE),
    }
    return finish(costs, stage)


def moved(costs):
    """What copying values costs that are moved from function to function."""
    found = 0
    for (obj, address, callee), cost in costs.profile.calls.items():
        if "memcpy" in callee or "memmove" in callee:
            stack = costs.names.stacks[obj, address]
            ours = next((name for name in stack if name.startswith(("teleport/", "load/"))), "")
            if re.fullmatch(MOVING, ours):
                found += cost
    return costs.per_call(found)


def finish(costs, stage):
    total = costs.total()
    stage["the rest"] = total - sum(cost for cost in stage.values() if cost)
    stage["all"] = total
    codec = stage["decode"] + stage["encode"] + stage["message freed"]
    stage["above the codec"] = total - codec
    return stage


def system_calls(path):
    """Name -> how often, of perf's or of strace's summary"""
    calls = {}
    for line in path.read_text().splitlines():
        if found := re.match(r"(\d+),.*?syscalls:sys_enter_(\w+)", line):
            calls[found[2]] = int(found[1])
        elif found := re.fullmatch(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)", line):
            calls[found[2]] = int(found[1])
    return calls


def main():
    work, short, long, top = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:5])
    calls = long - short
    columns, kernel = {}, {}
    for mode in ("many", "one"):
        for side, stages in (("server", server), ("client", client)):
            name = f"callgrind.{side}.{mode}."
            profile = Profile.read(work / f"{name}{long}").minus(Profile.read(work / f"{name}{short}"))
            costs = Costs(profile, calls)
            columns[mode, side] = stages(costs)
            if top:
                show(f"{side}, {mode}", costs, top)
            name = f"system.{side}.{mode}."
            more, less = system_calls(work / f"{name}{long}"), system_calls(work / f"{name}{short}")
            kernel[mode, side] = {
                call: (count - less.get(call, 0)) / (calls * 10) for call, count in more.items()
            }
    rows = ["| instructions a call | server, many | client, many | server, one | client, one |",
            "|---|--:|--:|--:|--:|"]
    order = [("many", "server"), ("many", "client"), ("one", "server"), ("one", "client")]
    for stage in STAGES:
        cells = [columns[column][stage] for column in order]
        rows.append(row(stage, ["" if cell is None else f"{cell:,.0f}" for cell in cells]))
    counted = {mode: json.loads((work / f"allocations.{mode}.json").read_text())
               for mode in ("many", "one")}
    rows.append(row("allocations above the codec's own", [
        f"{counted[m][side + '_allocs_per_call'] - counted[m]['codec_allocs_per_call']:.2f}"
        for m, side in order]))
    for call in ("recvfrom", "sendto", "epoll_wait", "futex", "write"):
        rows.append(row(f"system call {call}",
                        [f"{kernel[column].get(call, 0):.2f}" for column in order]))
    text = "\n".join(rows) + "\n"
    print(text)
    if len(sys.argv) > 5:
        replace(sys.argv[5], "cost", text)


def row(name, cells):
    return f"| {name} | {' | '.join(cells)} |"


def show(title, costs, top):
    """The dearest functions of the framework and of tokio, with what they take from libraries."""
    print(f"## {title}: instructions a call, own and with all that is called")
    ours = own_costs(costs, lambda name: re.match(r"teleport/|tokio|mio|arc-swap|atomic-", name))
    for name, cost in sorted(ours.items(), key=lambda pair: -pair[1])[:top]:
        print(f"{cost:8.0f} {costs.of(re.escape(name)):8.0f}  {name}")
    print()


if __name__ == "__main__":
    main()
