# Sourced by the other scripts: where things are, and steps that show what they do. Everything is printed on stderr.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/symbiont"
LOG_DIR="$CACHE/logs"
# shellcheck source=scripts/versions
source "$ROOT/scripts/versions"
MODEL_PATH="$CACHE/models/$MODEL_FILE"

STEP=0
STEPS=0
QUIET_WHEN_DONE="${QUIET_WHEN_DONE:-no}"

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

elapsed_since() { printf '%d:%02d' $((($(date +%s) - $1) / 60)) $((($(date +%s) - $1) % 60)); }

# skip_step WHAT: counts a step that has nothing to do.
skip_step() {
  STEP=$((STEP + 1))
  if [[ $QUIET_WHEN_DONE != yes ]]; then
    say "[$STEP/$STEPS] $1: already done"
  fi
}

# run_step WHAT COMMAND...: runs the command with its output in a log, shows the elapsed time, and on failure the end of the log.
# With QUIET_WHEN_DONE=yes a step that succeeds within a second says nothing.
run_step() {
  local what=$1 log start pid status=0
  shift
  STEP=$((STEP + 1))
  mkdir -p "$LOG_DIR"
  log="$LOG_DIR/$(printf '%s' "$what" | tr -cs 'A-Za-z0-9' '-')$$.log"
  start=$(date +%s)
  ("$@") </dev/null >"$log" 2>&1 &
  pid=$!
  if [[ $QUIET_WHEN_DONE == yes ]] && ends_within_a_second "$pid" && wait "$pid"; then
    return
  fi
  say "[$STEP/$STEPS] $what ... (log: $log)"
  wait_and_tick "$pid" "$start" || status=$?
  if ((status != 0)); then
    say "[$STEP/$STEPS] $what FAILED after $(elapsed_since "$start"); the end of $log:"
    tail -n 40 "$log" >&2
    exit "$status"
  fi
  say "[$STEP/$STEPS] $what: done in $(elapsed_since "$start")"
}

ends_within_a_second() {
  local tries
  for ((tries = 0; tries < 20; tries++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.05
  done
  return 1
}

# wait_and_tick PID START: waits for a background job; a line of elapsed time every 30 s (every second on a terminal).
wait_and_tick() {
  local pid=$1 start=$2 seconds=0
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    seconds=$((seconds + 1))
    if [[ -t 2 ]] && ((seconds % 5 == 0)); then
      printf '\r      elapsed %s ' "$(elapsed_since "$start")" >&2
    elif [[ ! -t 2 ]] && ((seconds % 150 == 0)); then
      say "      elapsed $(elapsed_since "$start")"
    fi
  done
  if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
  wait "$pid"
}

# version_at_least HAVE WANTED
version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

jobs_count() { nproc; }
