#!/usr/bin/env bash
# Measures Teleport beside its rivals, in turn, and writes what came out into benches/README.md.
#
#   benches/run.sh                                    everything, three rounds: about 20 minutes
#   ROUNDS=1 CONFIGS="many:100 one:100" benches/run.sh
#   PEERS="teleport tarpc" benches/run.sh             without the others
#   NOBUILD=1 README= benches/run.sh                  with the binaries that are there; no writing
#
# Peers: teleport, teleport-socket, limit-tokio, limit-spawn, limit-epoll, tarpc, tonic, volo,
# jsonrpsee. A round runs every peer in every configuration once; a configuration's peers run one
# right after the other, so that what else the machine does meets them all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

PEERS=${PEERS-"teleport limit-tokio tarpc tonic teleport-socket"}
CONFIGS=${CONFIGS-"many:100 many:1000 many:5000 one:1 one:100 one:1000 one:10000 big:4 idle:5000"}
ROUNDS=${ROUNDS:-3}
README=${README-"$here/README.md"}
target=${CARGO_TARGET_DIR:-"$here/../target"}
rivals=${RIVALS_TARGET_DIR:-"$here/peers/target"}
out=${OUT:-"$target/bench.jsonl"}
ulimit -n "$(ulimit -Hn)"

package() { # the rival's package
  case $1 in
    limit-tokio | limit-spawn) echo limit-tokio ;;
    limit-epoll) echo limit-epoll ;;
    *) echo "peer-$1" ;;
  esac
}

is_ours() { [[ $1 == teleport* ]]; }

build() {
  local packages=() peer
  for peer in $PEERS; do
    is_ours "$peer" || packages+=(-p "$(package "$peer")")
  done
  cargo build --release --quiet --manifest-path "$here/../Cargo.toml" -p teleport-benches
  [ ${#packages[@]} -eq 0 ] ||
    CARGO_TARGET_DIR=$rivals nice -n 19 cargo build --release --quiet \
      --manifest-path "$here/peers/Cargo.toml" "${packages[@]}"
}

# The calls of a run that takes about 2.5 s, in the modes many and one.
calls() {
  case $1 in
    teleport) echo 250000 800000 ;;
    teleport-socket) echo 250000 300000 ;;
    limit-tokio) echo 500000 2000000 ;;
    limit-spawn) echo 450000 1000000 ;;
    limit-epoll) echo 600000 0 ;;
    tonic) echo 75000 90000 ;;
    tarpc) echo 220000 300000 ;;
    volo) echo 180000 180000 ;;
    *) echo 120000 120000 ;;
  esac
}

measure() { # peer mode callers round
  local peer=$1 mode=$2 c=$3 round=$4 binary many one n port pid
  local flags=() server_flags=()
  read -r many one < <(calls "$peer")
  case $mode in
    many) n=$many ;;
    one) n=$one ;;
    big) n=800 ;;
    idle) n=$c ;;
  esac
  [ "$mode$c" = one1 ] && n=60000
  case $mode in many | one) [ "$n" -ge $((20 * c)) ] || n=$((20 * c)) ;; esac
  if is_ours "$peer"; then
    binary=$target/release/load
    [ "$peer" = teleport-socket ] && flags=(--layer socket)
  else
    binary=$rivals/release/$(package "$peer")
    [ "$peer" = limit-epoll ] && [ "$mode" != many ] && return 0
    [ "$peer" = limit-spawn ] && server_flags=(--spawn)
    [ "$peer" = volo ] && [[ $mode = one || $mode = big ]] && server_flags=(--spawn)
  fi
  port=$((20000 + RANDOM % 10000))
  "$binary" server --addr "127.0.0.1:$port" "${flags[@]}" "${server_flags[@]}" >/dev/null &
  pid=$!
  for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.05
  done
  sleep 0.2
  timeout 150 "$binary" client --addr "127.0.0.1:$port" --mode "$mode" -c "$c" -n "$n" \
    --server-pid $pid "${flags[@]}" | tail -1 |
    sed "s/\"peer\":\"[^\"]*\"/\"peer\":\"$peer\",\"round\":$round/" >>"$out" ||
    echo "$peer $mode $c failed" >&2
  kill $pid
  wait $pid 2>/dev/null || true
}

[ -n "${NOBUILD:-}" ] || build
mkdir -p "$(dirname "$out")"
: >"$out"
for round in $(seq "$ROUNDS"); do
  for config in $CONFIGS; do
    for peer in $PEERS; do
      measure "$peer" "${config%%:*}" "${config##*:}" "$round"
    done
    echo "round $round, $config: done" >&2
  done
done
python3 "$here/table.py" "$out" ${README:+"$README"}
