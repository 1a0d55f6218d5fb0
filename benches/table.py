"""Makes the table and the chart of what run.sh measured.

    python3 table.py RESULTS.jsonl            prints the table
    python3 table.py RESULTS.jsonl README.md  puts it there, and the chart beside it
"""

import collections
import json
import pathlib
import statistics
import sys

LIMIT = "limit-tokio"
OURS = "teleport"
# Peers in the order of their columns, and the colours of their bars.
PEERS = {
    "teleport": "#2f6fb7",
    "tarpc": "#d9822b",
    "tonic": "#8a5fa8",
    "volo": "#5a9e4b",
    "jsonrpsee": "#a8a03c",
    "teleport-socket": "#7fa8d6",
    "limit-tokio": "#9a9a9a",
    "limit-spawn": "#bbbbbb",
    "limit-epoll": "#777777",
}


def read(path):
    """(mode, c) -> peer -> round -> line"""
    lines = collections.defaultdict(lambda: collections.defaultdict(dict))
    for text in pathlib.Path(path).read_text().splitlines():
        line = json.loads(text)
        if line.get("errors"):
            print(f"{line['peer']} {line['mode']} {line['c']}: {line['errors']} errors",
                  file=sys.stderr)
        lines[line["mode"], line["c"]][line["peer"]][line["round"]] = line
    return lines


def median(rounds, key):
    values = [line[key] for line in rounds.values() if line.get(key) is not None]
    return statistics.median(values) if values else None


def ratio(rounds, base, key="calls_per_s"):
    """The median of the rounds' ratios: what else the machine did in a round met both."""
    both = [rounds[r][key] / base[r][key] for r in rounds if r in base]
    return statistics.median(both) if both else None


def shown(value, form):
    return "-" if value is None else form.format(value)


def millis(value):
    return "-" if value is None else f"{value / 1000:.2f}" if value < 1e4 else f"{value / 1000:.0f}"


def cpu(rounds):
    both = [median(rounds, key) for key in ("client_cpu_us_per_call", "server_cpu_us_per_call")]
    return "-" if None in both else f"{both[0]:.1f} + {both[1]:.1f}"


def table(lines):
    rows = [
        "| | peer | calls/s | of the bare echo | to tarpc | to tonic | p50 ms | p99 ms "
        "| CPU µs a call, client + server |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rounds = 0
    for (mode, c), peers in lines.items():
        if mode == "idle":
            continue
        for peer in PEERS:
            if peer not in peers:
                continue
            its = peers[peer]
            rounds = max(rounds, len(its))
            to = [shown(ratio(its, peers.get(base, {})), "{:.2f}")
                  for base in (LIMIT, "tarpc", "tonic")]
            rows.append(
                f"| {mode} C={c} | {peer} | {median(its, 'calls_per_s'):,.0f} | {' | '.join(to)} "
                f"| {millis(median(its, 'p50_us'))} | {millis(median(its, 'p99_us'))} "
                f"| {cpu(its)} |"
            )
    for (mode, c), peers in lines.items():
        if mode == "idle":
            kept = ", ".join(
                f"{peer} {median(peers[peer], 'server_kib_per_conn'):.1f}"
                for peer in PEERS if peer in peers
            )
            rows += ["", f"Memory of the server for each of {c} idle connections, in KiB: {kept}."]
    return (f"Medians of {rounds} interleaved rounds; ratios are medians of the rounds' "
            "ratios.\n\n" + "\n".join(rows) + "\n")


def chart(lines):
    """Bars of calls/s as shares of the bare echo."""
    bar, gap, left, width = 14, 12, 110, 460
    body, y = [], 34
    widest = 1.0
    groups = []
    for (mode, c), peers in lines.items():
        if mode == "idle" or LIMIT not in peers:
            continue
        shares = [(p, ratio(peers[p], peers[LIMIT])) for p in PEERS if p in peers and p != LIMIT]
        shares = [(p, s) for p, s in shares if s is not None]
        widest = max([widest, *(s for _, s in shares)])
        groups.append((f"{mode} C={c}", shares))
    scale = width / widest
    for name, shares in groups:
        middle = y + len(shares) * bar / 2 + 4
        body.append(f'<text x="{left - 8}" y="{middle:.0f}" text-anchor="end">{name}</text>')
        for peer, share in shares:
            body.append(f'<rect x="{left}" y="{y}" width="{share * scale:.1f}" '
                        f'height="{bar - 2}" fill="{PEERS[peer]}"/>')
            body.append(f'<text x="{left + share * scale + 4:.1f}" y="{y + bar - 4}">'
                        f'{share:.2f} {peer}</text>')
            y += bar
        y += gap
    one = left + scale
    line = f'<line x1="{one:.1f}" x2="{one:.1f}" y1="26" y2="{y}" stroke="#9a9a9a"/>'
    head = '<text x="10" y="16">calls/s as a share of a bare tokio echo (the line)</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 150}" height="{y + 8}" '
        'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join([head, line, *body]) + "\n</svg>\n"
    )


def replace(readme, name, text):
    """Puts a text between the two marks of its name."""
    path = pathlib.Path(readme)
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = path.read_text().partition(start)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"{readme} has no place for the {name}")
    path.write_text(before + start + "\n" + text + "\n" + end + after)


def main():
    lines = read(sys.argv[1])
    text = table(lines)
    print(text)
    if len(sys.argv) > 2:
        replace(sys.argv[2], "table", text)
        pathlib.Path(sys.argv[2]).with_name("chart.svg").write_text(chart(lines))


if __name__ == "__main__":
    main()
