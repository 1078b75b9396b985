#!/usr/bin/env bash
# usage: install_test.sh CMAKE BUILD_FOLDER COMPILER VERSION
set -euo pipefail
cmake=$1 build=$2 compiler=$3 version=$4
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix="$work/prefix"
unset SYMBIONT_BIN_DIR

"$cmake" --install "$build" --prefix "$prefix" >"$work/install.log" || { cat "$work/install.log"; exit 1; }

expect_version() {
  local printed
  printed=$("$@")
  echo "$*: $printed"
  [[ $printed == *"$version"* ]]
}

echo "== find_package"
"$cmake" -G Ninja -S "$here/consumer" -B "$work/consumer" "-DCMAKE_PREFIX_PATH=$prefix" "-DCMAKE_CXX_COMPILER=$compiler"
"$cmake" --build "$work/consumer"
expect_version "$work/consumer/consumer"

echo "== pkg-config"
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name symbiont.pc)")
read -r -a flags <<<"$(pkg-config --cflags --libs symbiont)"
"$compiler" -o "$work/by-pkg-config" "$here/consumer/consumer.cc" "${flags[@]}" \
  "-Wl,-rpath,$(pkg-config --variable=libdir symbiont)"
expect_version "$work/by-pkg-config"

echo "== installed programs"
for program in "$prefix"/bin/*; do
  if ldd "$program" | grep 'not found'; then
    echo "$program does not find its libraries" && exit 1
  fi
done
if [[ -x $prefix/bin/symbiont ]]; then
  expect_version "$prefix/bin/symbiont" version
fi
