# shellcheck shell=bash
# What the counterpart scripts share. Sourced, never run.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/bellwether-counterparts
PYTHON=$CACHE/python/bin/python
NAME=$(basename "$0")
readonly HERE CACHE PYTHON NAME
export PYTHONDONTWRITEBYTECODE=1 # the source tree stays as it was cloned

die() { printf '%s: %s\n' "$NAME" "$*" >&2; exit 1; }

# The comment at the top of the script is its manual.
usage() { sed -n '2,/^set /{/^# shellcheck/d;s/^# \{0,1\}//p}' "$0"; exit 2; }

# Debian packages that are not there yet. Services must not start by being installed: a policy file says so
# unless the machine has one of its own.
apt_install() {
  local package missing=() policy=/usr/sbin/policy-rc.d ours='' status=0
  for package in "$@"; do
    [ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "not root, so please install: ${missing[*]}"
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; ours=yes
  fi
  apt_get install --no-install-recommends "${missing[@]}" || status=1
  [ -z "$ours" ] || rm -f "$policy"
  [ "$status" = 0 ] || die "apt-get could not install: ${missing[*]}"
}

# apt-get, quiet unless it fails. A machine that never asked for package lists, or has old ones, is helped once.
apt_get() {
  local log try; log=$(mktemp)
  for try in 1 2; do
    if DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 -o APT::Sandbox::User=root \
      "$@" > "$log" 2>&1; then rm -f "$log"; return 0; fi
    if [ "$try" = 1 ]; then apt-get update -q -o DPkg::Lock::Timeout=300 >> "$log" 2>&1 || true; fi
  done
  cat "$log" >&2; rm -f "$log"; return 1
}

# One Python environment for all counterparts, made again when the pinned versions change.
python_install() {
  if ! cmp -s "$HERE/requirements.txt" "$CACHE/python/requirements.txt"; then
    python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    mkdir -p "$CACHE"; rm -rf "$CACHE/python"; python3 -m venv "$CACHE/python"
    "$PYTHON" -m pip install -q --disable-pip-version-check --no-input -r "$HERE/requirements.txt"
    cp "$HERE/requirements.txt" "$CACHE/python/requirements.txt"
  fi
}

# The folder of one running counterpart: made if need be, absolute, and harmless in a shell and in a config file.
# 755 because mail is stored by a user of its own.
state_dir() {
  mkdir -p "$1"; chmod 755 "$1"
  local dir; dir=$(cd "$1" && pwd)
  [[ $dir =~ ^[A-Za-z0-9/._-]+$ ]] || die "the folder's name may have only letters, digits, '.', '_' and '-': $dir"
  [ ! -e "$dir/pids" ] || die "something runs in $dir already; first: $NAME stop $dir"
  printf '%s\n' "$dir"
}

# Runs a program in the background, with its output in DIR/LOG and its id in DIR/pids.
launch() { # DIR LOG COMMAND...
  local dir=$1 log=$2; shift 2
  "$@" < /dev/null > "$dir/$log" 2>&1 &
  printf '%s %s\n' "$!" "$(started_at "$!")" >> "$dir/pids"
}

# When a process started, in ticks since boot; nothing if it has ended. Tells a process from a later one that was
# given the same id. A zombie has ended, however late somebody collects it.
started_at() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2> /dev/null) || return 0
  read -ra fields <<< "${stat##*) }"
  [ "${fields[0]}" = Z ] || printf '%s\n' "${fields[19]}"
}

# Ends what `launch` started, the last first, and returns when it has ended. Safe to repeat.
stop_all() {
  local pid since signal _
  [ -f "$1/pids" ] || return 0
  while read -r pid since; do
    for signal in TERM KILL; do
      [ "$(started_at "$pid")" = "$since" ] || break
      kill -s "$signal" "$pid" 2> /dev/null || break
      for _ in $(seq 60); do [ "$(started_at "$pid")" = "$since" ] || break; sleep 0.05; done
    done
  done < <(tac "$1/pids")
  rm -f "$1/pids"
}

# Waits up to 15 s until the command succeeds.
wait_until() { local _; for _ in $(seq 150); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done; return 1; }

# N ports that are free on the loopback at this moment.
free_ports() {
  python3 -c '
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in held))' "$1"
}

listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1"); }
