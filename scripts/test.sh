#!/usr/bin/env bash
# Sets the machine up, builds everything and runs the whole test suite.
#
#   scripts/test.sh         format, clang-tidy, all tests
#   scripts/test.sh --fast  format and the tests that need no real model
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"

readonly source_folders=(common proto model privacy distill client server cli
  examples tests)

install_oracles() {
  local requirements="$root/scripts/requirements-test.txt"
  if ! has_requirements "$requirements"; then
    say "Installing the test oracles of scripts/requirements-test.txt into .venv"
    attempt "the test oracles could not be installed" \
      "check the network; removing .venv starts afresh" \
      "$venv/bin/python" -m pip install -q -r "$requirements" \
      ${TANDEM_TORCH_INDEX:+--extra-index-url "$TANDEM_TORCH_INDEX"}
  fi
  local interop="$root/tests/interop"
  # npm ci insists on packages for other systems, so install does it; versions
  # and digests come from package-lock.json all the same. A copy of that file
  # says that all is installed.
  cmp -s "$interop/package-lock.json" "$interop/node_modules/.tandem-lock.json" &&
    return
  say "Installing a prebuilt llama.cpp (node-llama-cpp) into tests/interop"
  PATH="$venv/bin:$PATH" attempt "node-llama-cpp could not be installed" \
    "check the network; removing tests/interop/node_modules starts afresh" \
    npm install --no-save --prefix "$interop" --omit=optional --ignore-scripts --no-audit --no-fund
  cp "$interop/package-lock.json" "$interop/node_modules/.tandem-lock.json"
}

check_format() {
  say "Checking the format"
  (cd "$root" && find "${source_folders[@]}" -path '*/node_modules' -prune -o \
    -name '*.cc' -print0 -o -name '*.h' -print0 |
    xargs -0 "$venv/bin/clang-format" --dry-run -Werror) ||
    fail "some files are not formatted" \
      "run .venv/bin/clang-format -i on each file named above"
}

check_tidy() {
  say "Running clang-tidy on what changed since it was last clean"
  attempt "clang-tidy found something" "mend what it names above" \
    "$venv/bin/python" "$root/scripts/tidy.py"
}

run_tests() {
  say "Running the tests"
  # Two at a time, each with one thread: two cores are kept busy either way.
  cd "$root"
  OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive ctest --test-dir build/release \
    --output-on-failure --no-tests=error --parallel 2 "$@"
  say "$(count_cases) test cases passed"
}

# A ctest entry runs all cases of a folder or file: those that gtest and pytest
# count as passed.
count_cases() {
  sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\.$/\1/p; s/^([0-9]+) passed.*$/\1/p' \
    build/release/Testing/Temporary/LastTest.log |
    awk '{ sum += $1 } END { print sum + 0 }'
}

fast=0
case ${1:-} in
  '') ;;
  --fast) fast=1 ;;
  *)
    echo "usage: scripts/test.sh [--fast]" >&2
    exit 2
    ;;
esac

bootstrap "$@"
install_oracles
check_format
build all
if ((fast)); then
  run_tests -L fast
else
  check_tidy
  run_tests
fi
