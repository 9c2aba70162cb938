#!/usr/bin/env bash
# Reads the hardware counters of one attention kernel with Nsight Compute.
#
#   bench/profile.sh [--command FLASHMASK] IN.safetensors [OPTIONS OF flashmask run]
#   build/bin/packed_documents in.safetensors --tokens 8192 --heads 16 && bench/profile.sh in.safetensors --causal
#
# Everything behind --command goes to `flashmask run`, which says what the descriptor is: --causal, --window, --tile,
# --backward (then the backward's main kernel is read), --deterministic. The GPU is used, and the output thrown away
# unless -o says where to.
#
# Exit codes: 0 the counters were printed, 2 usage, 3 no profiler here, 4 the profiler may not read counters here,
# 5 the command fails without a profiler already, 6 the profiler failed or saw no such kernel.
set -euo pipefail

usage=2 no_profiler=3 not_permitted=4 command_failed=5 profiler_failed=6
sections=(SpeedOfLight LaunchStats Occupancy ComputeWorkloadAnalysis MemoryWorkloadAnalysis SchedulerStats
          WarpStateStats InstructionStats)

stop() { # CODE MESSAGE...
  local code=$1
  shift
  printf 'profile.sh: %s\n' "$@" >&2
  exit "$code"
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command=$root/build/bin/flashmask
if [[ ${1:-} == --command ]]; then
  [[ $# -ge 2 ]] || stop $usage "--command FLASHMASK: the path of the command is needed"
  command=$2
  shift 2
fi
if [[ $# -eq 0 || $1 == -h || $1 == --help ]]; then
  sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit $usage
fi
[[ -x $command ]] || stop $usage "$command is not there; build it, or name another with --command"

pass=forward output=
for argument in "$@"; do
  case $argument in
    --backward) pass=backward ;;
    -o* | --output | --output=*) output=given ;;
    --device | --device=*) stop $usage "--device: the GPU is what a profiler reads" ;;
  esac
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
run=("$command" run "$@" --device cuda)
[[ -n $output ]] || run+=(-o "$scratch/out.safetensors")

profiler=$(command -v ncu || true)
toolkit=${CUDA_HOME:-/usr/local/cuda}
if [[ -z $profiler && -x $toolkit/bin/ncu ]]; then profiler=$toolkit/bin/ncu; fi
[[ -n $profiler ]] || stop $no_profiler "ncu (Nsight Compute) is not on PATH, nor in $toolkit/bin (CUDA_HOME); it comes" \
  "with the CUDA toolkit"

# Once without the profiler: the kernel is compiled and in the cache then, and what fails is not the profiler's doing.
"${run[@]}" > "$scratch/plain" 2>&1 || stop $command_failed "${run[*]} fails:" "$(cat "$scratch/plain")"

# The main kernel's name ends with its tile; what prepares and finishes a backward has a word behind it.
status=0
"$profiler" --kernel-name-base function --kernel-name "regex:^flashmask_${pass}_.*[0-9]\$" --launch-count 1 \
  "${sections[@]/#/--section=}" "${run[@]}" > "$scratch/counters" 2>&1 || status=$?
if grep -q 'ERR_NVGPUCTRPERM' "$scratch/counters"; then
  stop $not_permitted "this user may not read the GPU's counters: an administrator can allow it (NVIDIA's driver option" \
    "NVreg_RestrictProfilingToAdminUsers=0), or run as root; in a container the host must"
fi
if [[ $status -ne 0 ]]; then stop $profiler_failed "ncu failed with code $status:" "$(cat "$scratch/counters")"; fi
if grep -q 'No kernels were profiled' "$scratch/counters"; then
  stop $profiler_failed "ncu saw no kernel named flashmask_${pass}_*:" "$(cat "$scratch/counters")"
fi
cat "$scratch/counters"
