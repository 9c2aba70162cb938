#!/usr/bin/env bash
# Sets up, builds everything and runs the tests. Ends with CTest's own closing lines.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
SECONDS=0

usage() {
  cat <<'TEXT'
usage: tools/test.sh [--cuda auto|toolkit|wheels] [--asan | --tsan] [-- CTEST_ARGUMENT…]

  --cuda MODE     handed to tools/setup.sh
  --asan, --tsan  under AddressSanitizer and UndefinedBehaviorSanitizer, or ThreadSanitizer (in build-asan, build-tsan)
  -- …            handed to ctest, e.g.  tools/test.sh -- -R Store

Warnings are errors where CI=true. Tests that need a GPU have the label gpu and run where there is one.
TEXT
}

setup_arguments=()
preset=release
build=build
while (($#)); do
  case $1 in
    --cuda) setup_arguments+=(--cuda "${2-}"); shift ;;
    --asan | --tsan) preset=${1#--}; build=build-$preset ;;
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; exit 2 ;;
  esac
  shift || { usage >&2; exit 2; }
done
if [[ ${CI-} == true && $preset == release ]]; then preset=ci; fi

took() {  # took STEP: seconds since the last step
  printf '\n== %s: %d s\n\n' "$1" $((SECONDS - step_start))
  step_start=$SECONDS
}
step_start=0

tools/setup.sh "${setup_arguments[@]}"
took setup

# Where the wheels were forced, a toolkit that the environment names must not be opened instead.
if [[ -e .cuda/forced ]]; then unset CUDA_HOME CUDA_PATH; fi

# A build folder that another generator made is kept as it is.
generator=Ninja
if [[ -e $build/CMakeCache.txt ]]; then
  generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$build/CMakeCache.txt")
fi
cmake --preset "$preset" -B "$build" -G "$generator"
cmake --build "$build" --parallel "${FLASHMASK_BUILD_JOBS:-$(nproc)}"
took build

# Cheap, and only where the tool is; a file out of shape is an error in CI alone.
if command -v clang-format-19 >/dev/null && git rev-parse --git-dir >/dev/null 2>&1; then
  git ls-files -z -- '*.h' '*.cpp' '*.c' '*.cu' '*.cuh' | xargs -0 -r clang-format-19 --dry-run --Werror ||
    [[ ${CI-} != true ]]
  took 'format check'
fi

# More than a sanitizer looks for by itself.
export ASAN_OPTIONS=${ASAN_OPTIONS-strict_string_checks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS-suppressions=$PWD/tests/thread_sanitizer.supp}

# The time of the whole run is told before CTest's closing lines, which stay the last ones.
ctest --test-dir "$build" --output-on-failure --parallel "${FLASHMASK_TEST_JOBS:-$(nproc)}" "$@" 2>&1 |
  while IFS= read -r line; do
    if [[ $line =~ ^[0-9]+%\ tests\ passed ]]; then
      printf '== tests: %d s; tools/test.sh in all, packages included: %d s\n\n' $((SECONDS - step_start)) "$SECONDS"
    fi
    printf '%s\n' "$line"
  done
