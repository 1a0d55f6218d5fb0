#!/usr/bin/env bash
# Shows where a call's cost goes, and writes it into benches/README.md: instructions by stage
# (callgrind), allocations (a counting allocator) and system calls (perf, else strace), of client
# and server, with a connection for each caller and with one for all.
#
#   benches/cost.sh               everything: about three minutes behind the build
#   KEEP=dir benches/cost.sh      keeps the profiles, for callgrind_annotate or kcachegrind
#   TOP=40 README= benches/cost.sh    also shows the dearest functions; no writing
#
# Needs valgrind, llvm-symbolizer (package llvm), python3, and strace where perf sees no system
# calls; strace slows them down, and so changes what is to be counted. Each cost is the difference
# between a long and a short run, so that what is done once does not count.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

CALLERS=${CALLERS:-100}
SHORT=${SHORT:-2000}
LONG=${LONG:-12000}
README=${README-"$here/README.md"}
target=${CARGO_TARGET_DIR:-"$here/../target"}
load=$target/release/load
work=${KEEP:-$(mktemp -d)}
mkdir -p "$work"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT

need() { # command package
  command -v "$1" >/dev/null && return
  echo "$1 is not there; installing the package $2" >&2
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get install --yes --quiet "$2" >/dev/null || {
    echo "could not: install $2 by hand and try again" >&2
    exit 1
  }
}
need valgrind valgrind
need llvm-symbolizer llvm
if perf stat -e syscalls:sys_enter_sendto true >/dev/null 2>&1; then
  calls=sendto,recvfrom,epoll_wait,futex,write
  counter=(perf stat -x, -e "syscalls:sys_enter_${calls//,/,syscalls:sys_enter_}" -o)
else
  need strace strace
  counter=(strace -f -c -o)
fi

port=$((30000 + RANDOM % 2000))

# Waits until somebody listens, as long as it takes under a profiler.
listening() {
  local _
  for _ in $(seq 600); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
    sleep 0.1
  done
  echo "the server does not listen" >&2
  return 1
}

# Runs both ends, one of them by way of a tool; the client's line goes to standard output.
pair() { # side mode calls tool...
  local side=$1 mode=$2 calls=$3 pid child
  shift 3
  local server=() client=()
  [ "$side" = server ] && server=("$@") || client=("$@")
  port=$((port + 1))
  "${server[@]}" "$load" server --addr "127.0.0.1:$port" 2>"$work/server.log" >/dev/null &
  pid=$!
  listening
  "${client[@]}" "$load" client --addr "127.0.0.1:$port" --mode "$mode" -c "$CALLERS" \
    -n "$calls" 2>"$work/client.log" | tail -1
  # A tracer hands no signals on, so its child is told.
  child=$(pgrep -P $pid || true)
  kill "${child:-$pid}"
  wait $pid || true
}

cargo build --release --quiet --manifest-path "$here/../Cargo.toml" -p teleport-benches \
  --features count-alloc
for mode in many one; do
  pair none "$mode" 100000 >"$work/allocations.$mode.json"
done
cargo build --release --quiet --manifest-path "$here/../Cargo.toml" -p teleport-benches

for mode in many one; do
  for side in server client; do
    for calls in "$SHORT" "$LONG"; do
      echo "$side $mode: instructions of $calls calls" >&2
      pair "$side" "$mode" "$calls" valgrind --tool=callgrind --dump-instr=yes \
        --compress-pos=no --compress-strings=no \
        --callgrind-out-file="$work/callgrind.$side.$mode.$calls" >/dev/null
      # Many more, because a few batches more or less would show.
      echo "$side $mode: system calls of $((calls * 10)) calls" >&2
      pair "$side" "$mode" $((calls * 10)) "${counter[@]}" "$work/system.$side.$mode.$calls" \
        >/dev/null
    done
  done
done
python3 "$here/cost/cost.py" "$work" "$SHORT" "$LONG" "${TOP:-0}" ${README:+"$README"}
