#!/usr/bin/env bash
# One nats-server with JetStream in a process of its own, for the tests that need a real one. It is built from the module that
# go.mod names, whose main package is the server.
#
#   nats.sh start [port] [dir]   build (once), start, wait until it answers, print what `env` prints
#   nats.sh stop [dir]           clean shutdown; the data stays
#   nats.sh kill [dir]           kill -9; the data stays
#   nats.sh restart [dir]        stop, then start on the same port with the same data
#   nats.sh wipe [dir]           stop and delete the folder
#   nats.sh env [dir]            the variables that the tests read, for: eval "$(.ci/nats.sh env)"
#
# Without a port a free one is looked for; without a folder it is one under the temporary folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
server=$here/cache/nats-server

die() {
  echo "nats.sh: $*" >&2
  exit 1
}

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local try port
  for try in $(seq 50); do
    port=$((30000 + RANDOM % 2000))
    in_use "$port" && continue
    echo "$port"
    return
  done
  die "no free port between 30000 and 32000 after $try tries; name one: nats.sh start PORT"
}

running() { [[ -f $dir/pid ]] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

start() {
  if running; then
    die "already runs with pid $(cat "$dir/pid") in $dir"
  fi
  mkdir -p "$here/cache" "$dir"
  (cd "$here/.." && go build -o "$server" github.com/nats-io/nats-server/v2)
  if [[ ! -f $dir/port ]]; then
    port=${1:-$(free_port)}
    echo "$port" >"$dir/port"
  fi
  port=$(cat "$dir/port")
  nohup "$server" --addr 127.0.0.1 --port "$port" --jetstream --store_dir "$dir/data" --log "$dir/log" >>"$dir/out" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  local i
  for i in $(seq 150); do
    in_use "$port" && return
    running || die "the server ended while it started: $(tail -5 "$dir/log" "$dir/out")"
    sleep 0.2
  done
  die "the server does not answer on 127.0.0.1:$port after 30 s; see $dir/log"
}

# end SIGNAL waits until the server is gone.
end() {
  running || return 0
  local pid
  pid=$(cat "$dir/pid")
  kill "-$1" "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -f "$dir/pid"
}

print_env() {
  [[ -f $dir/port ]] || die "nothing was started in $dir; run: nats.sh start"
  cat <<ENV
export NUDGE_TEST_NATS=nats://127.0.0.1:$(cat "$dir/port")
export NUDGE_TEST_NATS_RESTART="$here/nats.sh restart $dir"
export NUDGE_TEST_NATS_KILL="$here/nats.sh kill $dir"
ENV
}

verb=${1:-}
default=${TMPDIR:-/tmp}/nudge-nats-$UID
case $verb in
start)
  dir=${3:-$default}
  start ${2:+"$2"}
  print_env
  ;;
stop | kill | restart | wipe | env)
  dir=${2:-$default}
  case $verb in
  stop) end TERM ;;
  kill) end KILL ;;
  restart)
    end TERM
    start
    ;;
  wipe)
    end TERM
    rm -rf "$dir"
    ;;
  env) print_env ;;
  esac
  ;;
*)
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac
