# Sourced by the scripts beside it: one server in one folder, known by the pid file in it.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/setup"
INFRA=$ROOT/tests/infra

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# pid_of DIR: prints the pid of the server of DIR, if it runs (a pid may have become another's)
pid_of() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) && grep -qsF "$1" "/proc/$pid/cmdline" && echo "$pid"
}

# serve DIR PROBE COMMAND…: starts a server whose arguments name DIR, waits until PROBE succeeds.
# The server inherits no descriptor: it would keep a caller's pipe or lock open.
serve() {
  local dir=$1 probe=$2 pid
  shift 2
  (
    for fd in /proc/self/fd/*; do [ "${fd##*/}" -le 2 ] || eval "exec ${fd##*/}>&-"; done
    cd "$dir" && exec "$@" </dev/null >"$dir/stdout.log" 2>&1
  ) &
  pid=$!
  disown
  echo $pid >"$dir/pid"
  for _ in $(seq 1 900); do
    if ! kill -0 $pid 2>/dev/null; then
      tail -20 "$dir"/*.log >&2
      die "the server ended at once, see $dir/*.log"
    fi
    $probe && return
    sleep 0.1
  done
  kill -KILL $pid
  die "not ready after 90 s, see $dir/*.log"
}

# stop DIR [SIGNAL]: ends the server of DIR and waits for its end; KILL after 30 s
stop() {
  local pid
  pid=$(pid_of "$1") || return 0
  kill "-${2:-TERM}" "$pid"
  for _ in $(seq 1 300); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid"
}

# attend DIR: with --attend, stays until stdin ends, then stops the server: however the caller ends,
# its pipe is closed, and no server outlives it
attend() {
  cat >/dev/null
  stop "$1" KILL
}

# certificates DIR: an authority ca.pem, broker.pem and client.pem signed by it for 127.0.0.1 with
# their keys (NAME-both.pem: key and certificate in one), and other-ca.pem, which signed nothing
certificates() {
  local name
  [ ! -f "$1/.complete" ] || return 0
  mkdir -p "$1"
  for name in ca other-ca; do
    tls "$1" req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$name" \
      -keyout "$name.key" -out "$name.pem"
  done
  echo 'subjectAltName = IP:127.0.0.1, DNS:localhost' >"$1/names"
  for name in broker client; do
    tls "$1" req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$name.key" -out "$name.csr"
    tls "$1" x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
      -extfile names -out "$name.pem"
    cat "$1/$name.key" "$1/$name.pem" >"$1/$name-both.pem"
  done
  touch "$1/.complete"
}

# tls DIR ARGUMENT…: openssl in DIR, heard only when it fails
tls() {
  local dir=$1
  shift
  (cd "$dir" && openssl "$@" >openssl.log 2>&1) && return
  cat "$dir/openssl.log" >&2
  die "openssl $1 failed"
}
