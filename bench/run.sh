#!/usr/bin/env bash
# Sets up, builds and runs a benchmark beside its peers.
#
#   bench/run.sh engine [FLAG...]     flags of bench/engine/run.py, such as
#                                     --only train,decode --repetitions 3
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/oracles.sh"

readonly bench_venv="$root/.venv-bench"

# The peers that no test needs, in an environment that sees the tests' packages.
install_peers() {
  local python="$bench_venv/bin/python"
  if [[ ! -x $python ]]; then
    "$venv/bin/python" -m venv --without-pip "$bench_venv"
    "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
      >"$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tests.pth"
  fi
  "$python" -c 'import llama_cpp' 2>/dev/null && return
  say "Building llama-cpp-python into .venv-bench (some minutes)"
  attempt "the peers of bench/requirements.txt could not be installed" \
    "read pip's message above; removing .venv-bench starts afresh" \
    "$python" -m pip install -q -r "$root/bench/requirements.txt"
}

if [[ ${1:-} != engine ]]; then
  echo "usage: bench/run.sh engine [FLAG...]" >&2
  exit 2
fi

bootstrap "$@"
shift
install_oracles
fetch_eval_requests
install_peers
build engine_bench tandem
exec "$bench_venv/bin/python" "$root/bench/engine/run.py" "$@"
