#!/usr/bin/env bash
# Runs a kernel test program as an ordinary user, from a copy that such a user can reach.
# Usage: as_ordinary_user.sh BUILD_DIR TEST_PROGRAM [PREFIX_PROGRAM]    the prefix starts the test program
set -euo pipefail

build=$1
program=$2
prefix=${3:-}
if [ "$(id -u)" != 0 ]; then
  echo "already an ordinary user: the test itself is this run"
  exec ${prefix:+"$build/tests/$prefix"} "$build/tests/$program"
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
chmod 755 "$copy"
cp "$build/bin/symbiont-launcher" "$build/tests/hostile_worker" "$build/tests/$program" ${prefix:+"$build/tests/$prefix"} "$copy"
cd "$copy"
SYMBIONT_BIN_DIR=$copy SYMBIONT_HOSTILE_WORKER=$copy/hostile_worker \
  setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all -- ${prefix:+"./$prefix"} "./$program"
