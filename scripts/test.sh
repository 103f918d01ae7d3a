#!/usr/bin/env bash
# Sets the machine up, builds everything and runs the whole test suite.
#
#   scripts/test.sh         format, clang-tidy, all tests
#   scripts/test.sh --fast  format and the tests that need no real model
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/oracles.sh"

readonly source_folders=(common proto model privacy distill client server cli
  examples bench tests)

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
  fetch_eval_requests
  fetch_gemma
  fetch_published_tokenizers
  check_tidy
  run_tests
fi
