# shellcheck shell=bash
# What the scripts share; to be sourced.

# Says why on stderr and ends the script.
fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# Repeats a check until it holds, at most $1 seconds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# Whether something listens on port $1.
taken() {
  (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The first of four neighbouring free ports, below those that Linux gives to outgoing connections.
free_block() {
  local port
  while :; do
    port=$((10000 + RANDOM % 5000 * 4))
    taken "$port" || taken $((port + 1)) || taken $((port + 2)) || taken $((port + 3)) || break
  done
  echo "$port"
}
