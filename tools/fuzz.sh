#!/usr/bin/env bash
# Builds the fuzzers by clang and runs them for long; tests/fuzz/README.md says what each of them proves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
usage: tools/fuzz.sh [--seconds N] [FUZZER…]

  --seconds N  for each fuzzer (default 600)
  FUZZER       some of cache_entry_fuzz cache_pack_fuzz manifest_fuzz arguments_fuzz safetensors_fuzz fuzz_ptx
               (default: all), one after the other

Needs clang 19 with its libFuzzer (Debian: clang-19 libclang-rt-19-dev). Builds in build-fuzz; what was found lies in
build-fuzz/findings, new inputs in build-fuzz/corpus. Exits with 1 if there is a finding.
TEXT
}

declare -A source_of=(  # the seeds, and the dictionary
  [cache_entry_fuzz]='build-fuzz/fuzz-seeds/entry tests/cache/entry_fuzz.dict'
  [cache_pack_fuzz]='build-fuzz/fuzz-seeds/pack tests/cache/entry_fuzz.dict'
  [manifest_fuzz]='build-fuzz/fuzz-seeds/manifest tests/runtime/manifest_fuzz.dict'
  [arguments_fuzz]='build-fuzz/fuzz-seeds/arguments tests/tools/arguments_fuzz.dict'
  [safetensors_fuzz]='build-fuzz/fuzz-seeds/safetensors tests/tools/safetensors_fuzz.dict'
  [fuzz_ptx]='tests/fuzz/ptx tests/fuzz/ptx.dict'
)
seconds=600
fuzzers=()
while (($#)); do
  case $1 in
    --seconds) seconds=${2-}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) if [[ -z ${source_of[$1]-} ]]; then usage >&2; exit 2; fi; fuzzers+=("$1") ;;
  esac
  shift || { usage >&2; exit 2; }
done
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }
((${#fuzzers[@]})) || fuzzers=(cache_entry_fuzz cache_pack_fuzz manifest_fuzz arguments_fuzz safetensors_fuzz fuzz_ptx)

cmake --preset fuzz
cmake --build build-fuzz --parallel "${FLASHMASK_BUILD_JOBS:-$(nproc)}" --target write_fuzz_seeds "${fuzzers[@]}"
build-fuzz/tests/fuzz/write_fuzz_seeds build-fuzz/fuzz-seeds

mkdir -p build-fuzz/findings
failed=0
for fuzzer in "${fuzzers[@]}"; do
  read -r seeds dictionary <<<"${source_of[$fuzzer]}"
  corpus=build-fuzz/corpus/$fuzzer
  log=build-fuzz/$fuzzer.log
  mkdir -p "$corpus"
  # New inputs go to the first folder; the seeds stay as they are.
  outcome='no finding'
  if ! "$(find build-fuzz/tests -name "$fuzzer" -type f)" -max_total_time="$seconds" -dict="$dictionary" \
    -artifact_prefix="build-fuzz/findings/$fuzzer-" -print_final_stats=1 -timeout=10 -rss_limit_mb=3000 \
    "$corpus" "$seeds" >"$log" 2>&1; then
    outcome="a FINDING, see $log"
    failed=1
  fi
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '%-18s %12s executions in %s s: %s\n' "$fuzzer" "${executions:-?}" "$seconds" "$outcome"
done
exit $failed
