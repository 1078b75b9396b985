#!/usr/bin/env bash
# Runs the attack suite as an ordinary user, from a copy that such a user can reach. What only root can do unconfined is not
# attacked; attacks_test.py has a floor for what remains.
# Usage: as_ordinary_user.sh BUILD_DIR PYTHON
set -euo pipefail

build=$1
python=$2
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" != 0 ]; then
  echo "already an ordinary user: the test itself is this run"
  exec "$python" -B "$here/attacks_test.py"
fi
as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --)
cd /
# The build's interpreter may lie in somebody's home.
"${as_user[@]}" "$python" -c "" 2>/dev/null || python=/usr/bin/python3
if ! "${as_user[@]}" "$python" -c ""; then
  echo "skipped: an ordinary user cannot run $python"
  [ "${SYMBIONT_REQUIRE:-}" = all ] && exit 1
  exit 77
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/tests/hostile/attacks" "$copy/docs" "$copy/bin"
cp "$here"/*.py "$copy/tests/hostile/attacks"
cp "$here/../../../docs/attacks.md" "$copy/docs"
cp "$build/bin/symbiont" "$build/bin/symbiont-launcher" "$build/tests/attack" "$copy/bin"
chmod -R a+rX "$copy"
SYMBIONT_BIN_DIR=$copy/bin SYMBIONT_ATTACK=$copy/bin/attack \
  "${as_user[@]}" "$python" -B "$copy/tests/hostile/attacks/attacks_test.py"
