#!/usr/bin/env bash
# The main job: a teacher distils into a student, two clients fine-tune it on
# private text over gRPC, the server aggregates under differential privacy, and
# a tuned model falls out. Sets the machine up first (scripts/bootstrap.sh);
# what is there already is neither installed, downloaded nor built again.
#
#   scripts/quickstart.sh [FIELD=VALUE ...]   fields of configs/quickstart/server.yaml,
#                                             as rounds.count=5
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"

readonly runs="$root/runs/quickstart"
readonly data="$root/data/quickstart"
readonly student="$root/data/models/student-24"
readonly tandem="$root/build/release/bin/tandem"
readonly domains=(jargon foldoc wn)
readonly held_out=24 tokens=128
children=()

# Ends what this script has started, however it ends itself.
end_children() {
  local pid
  for pid in "${children[@]}"; do
    kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
  done
  children=()
}
trap end_children EXIT
trap 'exit 130' INT TERM

prepare_data() {
  local domain
  for domain in "${domains[@]}"; do
    [[ -s $data/$domain.train.jsonl && -s $data/$domain.heldout.jsonl ]] || {
      say "Turning the dictionaries into JSONL in data/quickstart"
      attempt "the data could not be prepared" "read the message above" \
        "$tandem" data dictionary --input "$root/data/dict" \
        --name jargon --name foldoc --name wn --out "$data"
      return
    }
  done
}

prepare_student() {
  [[ -s $student/config.json ]] && return  # the last file to be written
  say "Pruning the teacher to 24 of its 30 layers: data/models/student-24"
  attempt "the student could not be made" "read the message above" \
    "$tandem" model prune --model "$model" --keep-layers 24 --out "$student"
}

# start LOG COMMAND...: runs it in the background, its pid in children[-1].
start() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 &
  children+=($!)
}

# The address that the server prints once it listens.
wait_for_server() {
  local out=$1 pid=$2 address
  while kill -0 "$pid" 2>/dev/null; do
    address=$(sed -n 's/^listening on //p' "$out" | head -n 1)
    if [[ -n $address ]]; then
      printf '%s\n' "$address"
      return
    fi
    sleep 0.1
  done
  fail "the server ended before it listened" "read its message above"
}

start_client() {
  local name=$1 letter=$2 address=$3
  start "$runs/$name/client-$letter.log" env OMP_NUM_THREADS=1 \
    OMP_WAIT_POLICY=passive "$tandem" client \
    --config "configs/quickstart/client-$letter.yaml" --server "$address" \
    --set "cache_directory=$runs/$name/cache-$letter"
}

# run_federation NAME FIELD=VALUE...: a server and two clients, three processes,
# state in runs/quickstart/NAME. The server's progress goes to the terminal.
run_federation() {
  local name=$1 field sets=() server address
  shift
  for field in "$@"; do sets+=(--set "$field"); done
  rm -rf "${runs:?}/$name"
  mkdir -p "$runs/$name"
  OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive "$tandem" server \
    --config configs/quickstart/server.yaml --set "run.directory=$runs/$name" \
    "${sets[@]}" >"$runs/$name/server.out" &
  server=$!
  children+=("$server")
  address=$(wait_for_server "$runs/$name/server.out" "$server")
  start_client "$name" a "$address"
  start_client "$name" b "$address"
  await_children "$name"
}

# The first of the children to fail ends the others with this script.
await_children() {
  local name=$1 _
  for _ in "${children[@]}"; do
    wait -n || fail "a process of the run '$name' failed" \
      "the last lines of its clients' logs (the server's are above):
$(tail -n 2 "$runs/$name"/client-*.log)"
  done
  children=()
}

# evaluate NAME MODEL: on all held-out files, into runs/quickstart/eval. Models
# and data do not change, so that this is done once.
evaluate() {
  local name=$1 evaluated=$2 domain out
  mkdir -p "$runs/eval"
  for domain in "${domains[@]}"; do
    out="$runs/eval/$name-$domain-$held_out.json"
    [[ -s $out ]] && continue
    "$tandem" eval --model "$evaluated" --data "$data/$domain.heldout.jsonl" \
      --max-examples $held_out --max-sequence-tokens $tokens >"$out.new" ||
      fail "$name could not be evaluated on $domain" "read the message above"
    mv "$out.new" "$out"
  done
}

export_as() {
  local format=$1 out="$runs/export/$2"
  shift 2
  attempt "the export to $out failed" "read the message above" \
    "$tandem" export --run "$runs/full" --format "$format" --out "$out" "$@"
}

export_all() {
  rm -rf "$runs/export"
  mkdir -p "$runs/export"
  export_as peft peft
  export_as hf hf --type bf16
  export_as gguf student-f16.gguf --type f16
  export_as gguf student-q8_0.gguf --type q8_0
}

bootstrap "$@"
cd "$root"  # configurations name files from here
build tandem
prepare_data
prepare_student
started=$SECONDS
say "Evaluating student and teacher before the run"
evaluate student "$student"
evaluate teacher "$model"
say "Federation alone: two clients, no teacher"
run_federation federation distillation.enabled=false "$@"
say "Full run: distillation, then federation with distillation in between"
run_federation full "$@"
say "Exporting the tuned student"
export_all
"$venv/bin/python" "$root/scripts/quickstart_table.py" "$tandem" "$runs" $held_out |
  tee "$runs/table.txt"
say "Done in $((SECONDS - started)) s after set-up; artefacts: runs/quickstart/export"
