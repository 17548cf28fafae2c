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

# --- servers: each has a file with its process id and its start time, for ids are used again

readonly stop_seconds=30

# The moment process $1 started, in the system's clock ticks; fails where it has ended, reaped or not.
started_at() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra stat <<<"${stat##*) }" # the name before it may hold blanks
  [ "${stat[0]}" != Z ] && echo "${stat[19]}"
}

# The id in file $1, if that very process still runs.
pid_of() {
  local pid start
  read -r pid start 2>/dev/null <"$1" || return 1
  [ "$(started_at "$pid")" = "$start" ] && echo "$pid"
}

# Sends signal $1 to the process of file $2 and waits until it is gone.
end() {
  local pid
  pid=$(pid_of "$2") || return 0
  kill "-$1" "$pid" 2>/dev/null || true
  within "$stop_seconds" gone "$2" || kill -KILL "$pid" 2>/dev/null || true
  rm -f "$2"
}

gone() {
  ! pid_of "$1" >/dev/null
}

# Starts a program that outlives the script and does not hear the terminal's Ctrl-C; file $1 remembers it. The
# scripts' locks are files 8 and 9.
spawn() {
  local pid_file=$1 log=$2
  shift 2
  setsid "$@" </dev/null >>"$log" 2>&1 8>&- 9>&- &
  echo "$! $(started_at $!)" >"$pid_file"
}

# Runs a command with what file $1 says in its environment; returns its status. It gets a process group of its own, so
# that a signal ends all of it, and reaches it while we wait.
beside() {
  local env=$1 child
  shift
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  set -a
  # shellcheck source=/dev/null
  . "$env"
  set -m
  "$@" 8>&- &
  child=$!
  set +m
  # shellcheck disable=SC2064 # the child of now
  trap "kill -TERM -- -$child 2>/dev/null || true" INT TERM HUP
  # A signal ends `wait` before the command has ended.
  while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
  wait "$child"
}
