#!/usr/bin/env bash
# Installs what a build of FlashMask JIT needs and is missing, on a Debian-like machine:
#   1. Debian packages, through apt-get (with sudo when not root);
#   2. CUDA's headers and NVRTC: from an installed toolkit, else from NVIDIA's wheels on PyPI, unpacked into .cuda.
# It may be run again at any time; what is there is left alone. Afterwards `cmake -S . -B build && cmake --build build`
# works as it stands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
usage: tools/setup.sh [--cuda auto|toolkit|wheels] [--llvm] [--dev]

  --cuda auto     an installed CUDA 13 toolkit, else the wheels (the default)
  --cuda toolkit  an installed toolkit (CUDA 12 or 13) and nothing else; forgets the wheels of an earlier run
  --cuda wheels   the wheels, even beside a toolkit; builds of this checkout then prefer them
  --llvm          also llvm-19-dev (large): a second reader for flashmask inspect --sections
  --dev           also clang-format-19 and clang-tidy-19

A toolkit is looked for in CUDA_HOME, CUDA_PATH, /usr/local/cuda, beside nvcc, and in /usr.
TEXT
}

say() { printf 'setup: %s\n' "$*"; }
fail() {  # fail WHAT MEND: both on stderr
  printf 'setup: %s\n       %s\n' "$1" "$2" >&2
  exit 1
}

cuda=auto
dev=false
llvm=false
while (($#)); do
  case $1 in
    --cuda) cuda=${2-}; shift ;;
    --cuda=*) cuda=${1#--cuda=} ;;
    --llvm) llvm=true ;;
    --dev) dev=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift || { usage >&2; exit 2; }
done
case $cuda in auto | toolkit | wheels) ;; *) usage >&2; exit 2 ;; esac

# --- Debian packages ------------------------------------------------------------------------------------------------

packages=(
  g++ cmake ninja-build pkg-config python3
  libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libssl-dev libxxhash-dev libdlpack-dev
  libtomlplusplus-dev libsqlite3-dev                                                 # … of the library and the command
  libgtest-dev libgmock-dev libbenchmark-dev abigail-tools                           # tests and benchmarks
)
if $llvm; then packages+=(llvm-19-dev); fi
if $dev; then packages+=(clang-format-19 clang-tidy-19); fi

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }

install_packages() {  # install_packages PACKAGE…
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "not root, and there is no sudo, to install: $*" \
      "Run as root: apt-get update && apt-get install --no-install-recommends $*"
    as_root=(sudo)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
  say "installing Debian packages: $*"
  # The lists of packages are fetched only if they are too old (or not there) to install from.
  if ! "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1; then
    "${apt[@]}" update || fail "apt-get update failed" "See its message above: network, or /etc/apt/sources.list*."
    "${apt[@]}" install -y --no-install-recommends "$@" ||
      fail "apt-get could not install: $*" "See its message above. Debian 12 and later have all of them."
  fi
}

missing=()
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  for package in "${packages[@]}"; do
    # A cmake, ninja or python3 from elsewhere does as well as Debian's.
    case $package in
      cmake | python3) command -v "$package" >/dev/null && continue ;;
      ninja-build) command -v ninja >/dev/null && continue ;;
    esac
    is_installed "$package" || missing+=("$package")
  done
  if ((${#missing[@]})); then install_packages "${missing[@]}"; else say "Debian packages: all there"; fi
else
  say "no apt-get here: if CMake misses something, install what Debian calls: ${packages[*]}"
fi

needed=3.24
have=$(cmake --version | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
if [[ $(printf '%s\n' "$needed" "$have" | sort -V | head -n 1) != "$needed" ]]; then
  fail "cmake $have ($(command -v cmake)) is too old: $needed is needed" \
    "Install a newer one (Debian 12 has 3.25) and put it first in PATH."
fi

# --- CUDA's headers and NVRTC -----------------------------------------------------------------------------------------

cuda_major() { sed -n 's/^#define CUDA_VERSION \([0-9]*\)[0-9]\{3\}.*/\1/p' "$1/cuda.h"; }

# Prints "INCLUDE_DIR NVRTC_PATH MAJOR" of the first toolkit that has all we need, of the least major version $1.
find_toolkit() {
  local least=$1 root include library major nvcc roots=()
  roots=(${CUDA_HOME:+"$CUDA_HOME"} ${CUDA_PATH:+"$CUDA_PATH"} /usr/local/cuda)
  if nvcc=$(command -v nvcc); then roots+=("$(dirname "$(dirname "$(readlink -f "$nvcc")")")"); fi
  roots+=(/usr)
  for root in "${roots[@]}"; do
    include=$root/include
    [[ -e $include/cuda.h && -e $include/nvrtc.h ]] || continue
    major=$(cuda_major "$include")
    if [[ -z $major ]] || ((major < least)); then continue; fi
    for library in "$root"/lib64/libnvrtc.so."$major" "$root"/lib/libnvrtc.so."$major" \
      "$root"/lib/"$(uname -m)"-linux-gnu/libnvrtc.so."$major"; do
      if [[ -e $library ]]; then
        printf '%s\t%s\t%s\n' "$include" "$library" "$major"
        return 0
      fi
    done
  done
  return 1
}

# The wheels, pinned to one release of CUDA: NVRTC itself, cuda.h, and the headers that device code may include, those of
# the C++ library (cuda/barrier and its kin) among them.
wheels=("nvidia-cuda-nvrtc==13.0.*" "nvidia-cuda-runtime==13.0.*" "nvidia-cuda-crt==13.0.*" "nvidia-cuda-cccl==13.0.*")
wheel_files=(include/cuda.h include/nvrtc.h include/mma.h include/crt/mma.h include/cccl/cuda/barrier
  lib/libnvrtc.so.13 lib/libnvrtc-builtins.so.13.0)

have_wheels() {
  local file
  for file in "${wheel_files[@]}" complete; do [[ -e .cuda/$file ]] || return 1; done
}

fetch_wheels() {
  local work=.cuda-unpacking wheel
  if ! python3 -m pip --version >/dev/null 2>&1; then
    command -v apt-get >/dev/null || fail "python3 has no pip" "Install pip for $(command -v python3)."
    install_packages python3-pip ca-certificates
  fi
  # Debian's python3, which apt-get gave a pip, where the first one in PATH has none.
  local python=python3
  "$python" -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3

  rm -rf "$work"
  mkdir "$work"
  say "fetching from PyPI (about 90 MB): ${wheels[*]}"
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --retries 5 \
    --dest "$work/wheels" "${wheels[@]}" ||
    fail "pip could not fetch the wheels" \
      "Check the network (or pip's proxy and index settings), or install a CUDA 13 toolkit and use --cuda toolkit."
  mkdir -p "$work/cuda/lib" "$work/cuda/include" "$work/cuda/licenses"
  for wheel in "$work"/wheels/*.whl; do
    "$python" -m zipfile -e "$wheel" "$work/unpacked"
    basename "$wheel" | cut -d - -f 1,2 >>"$work/cuda/complete"
  done
  cp -a "$work"/unpacked/nvidia/cu13/include/. "$work/cuda/include/"
  mv "$work"/unpacked/nvidia/cu13/lib/libnvrtc.so.13 "$work"/unpacked/nvidia/cu13/lib/libnvrtc-builtins.so.13.0 \
    "$work/cuda/lib/"
  find "$work/unpacked" -iname 'license*' -type f | while read -r wheel; do
    cp "$wheel" "$work/cuda/licenses/$(basename "$(dirname "$(dirname "$wheel")")").txt"
  done
  rm -rf .cuda
  mv "$work/cuda" .cuda  # whole or not at all
  rm -rf "$work"
  have_wheels || fail "the wheels hold other files than expected: need ${wheel_files[*]}" \
    "Use --cuda toolkit, or report the versions listed in .cuda/complete."
}

use_wheels() {
  if have_wheels; then say "CUDA: wheels in .cuda, all there ($(paste -sd ' ' .cuda/complete))"; else
    fetch_wheels
    say "CUDA: wheels unpacked into .cuda ($(paste -sd ' ' .cuda/complete))"
  fi
}

use_toolkit() {  # use_toolkit "INCLUDE\tNVRTC\tMAJOR"
  local include library major
  IFS=$'\t' read -r include library major <<<"$1"
  say "CUDA: installed toolkit, CUDA $major: headers in $include, NVRTC $library"
}

case $cuda in
  wheels)
    use_wheels
    touch .cuda/forced  # read by CMake: this checkout prefers .cuda to a toolkit
    ;;
  toolkit)
    found=$(find_toolkit 12) || fail "no CUDA toolkit with cuda.h, nvrtc.h and libnvrtc was found" \
      "Set CUDA_HOME to it, or use --cuda wheels."
    rm -rf .cuda
    use_toolkit "$found"
    ;;
  auto)
    if [[ -e .cuda/forced ]]; then
      use_wheels
      say "CUDA: the wheels were asked for earlier; --cuda toolkit goes back"
    elif found=$(find_toolkit 13); then
      use_toolkit "$found"
    else
      say "CUDA: no toolkit of version 13 with headers and NVRTC is installed"
      use_wheels
    fi
    ;;
esac
say "done; next: cmake -S . -B build && cmake --build build"
