#!/usr/bin/env bash
# Sets up, builds, and runs the main job: causal attention over a batch of packed documents, checked against fp64. It runs
# the job twice: the first compiles its kernel (or finds it, if the demo ran before), the second finds it and compiles
# nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
usage: tools/demo.sh [--cuda auto|toolkit|wheels] [--fresh] [--device auto|cuda|emulator]

  --cuda MODE    handed to tools/setup.sh
  --fresh        forget the kernels of earlier demos
  --device D     where to run; auto is the GPU if there is one, else the emulator

Everything lies in demo-output/, the kernels in demo-output/cache.
TEXT
}

setup_arguments=()
device=auto
fresh=false
while (($#)); do
  case $1 in
    --cuda) setup_arguments+=(--cuda "${2-}"); shift ;;
    --device) device=${2-}; shift ;;
    --fresh) fresh=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift || { usage >&2; exit 2; }
done

tools/setup.sh "${setup_arguments[@]}"
if [[ -e .cuda/forced ]]; then unset CUDA_HOME CUDA_PATH; fi

echo
echo "demo: building in build/ (release)"
# A build folder that another generator made is kept as it is.
generator=Ninja
if [[ -e build/CMakeCache.txt ]]; then generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' build/CMakeCache.txt); fi
cmake --preset release -B build -G "$generator" --log-level=NOTICE
cmake --build build --parallel "${FLASHMASK_BUILD_JOBS:-$(nproc)}" --target flashmask_command packed_documents

if $fresh; then rm -rf demo-output; fi
mkdir -p demo-output
export FLASHMASK_CACHE_DIR=$PWD/demo-output/cache
input=demo-output/packed_documents.safetensors

echo
echo "demo: a batch of packed documents"
build/bin/packed_documents "$input"

job=(build/bin/flashmask run "$input" -o demo-output/attention.safetensors --causal --device "$device" --verify)
for run in first second; do
  echo
  echo "demo: $run run: ${job[*]}"
  "${job[@]}" | tee "demo-output/$run.txt"
done

grep -q 'compiles 0,.* on disk 2' demo-output/second.txt || {
  echo "demo: the second run did not find its kernel in demo-output/cache: see its counters above" >&2
  exit 1
}
echo
echo "demo: verified against fp64; the second run found its kernel on disk and compiled nothing"
