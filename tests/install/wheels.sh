#!/usr/bin/env bash
# NVRTC from the wheels in .cuda compiles a kernel where no toolkit can be found: wheels.sh TEST. SOURCE, BUILD and WORK are
# folders, set by CTest. What was opened is read from the dynamic loader's own log, not from ours.
set -euo pipefail

case $1 in
  TheWheelsServeWithoutAToolkit) way=() ;;
  TheWheelsServeWithoutAToolkitNorPrivileges) way=(--fallback) ;;
  *) echo "unknown test $1" >&2; exit 2 ;;
esac
log=$WORK/$1.loader
rm -rf "$log".* "$WORK/$1.cache"
export FLASHMASK_CACHE_DIR=$WORK/$1.cache  # empty: the kernel must be compiled
unset FLASHMASK_NVRTC
without_toolkit=("$SOURCE/tools/without_toolkit.sh" "${way[@]}")

# Through the default search where this build prefers the wheels or nothing else can be found; the way without privileges
# cannot hide /usr/local/cuda, so there NVRTC is named.
if ((${#way[@]})); then export FLASHMASK_NVRTC=$SOURCE/.cuda/lib/libnvrtc.so.13; fi

"${without_toolkit[@]}" "$BUILD/bin/flashmask" doctor || (($? == 1))  # 1: it found something missing, a GPU for instance
result=$(LD_DEBUG=libs LD_DEBUG_OUTPUT="$log" "${without_toolkit[@]}" "$BUILD/bin/flashmask" compile \
  --pass forward --dtype bf16 --head-dim 64 --form causal --target sm_80 --json)
printf '%s\n' "$result"
grep -q -E '"compiled": *true' <<<"$result" || { echo "FAILED: nothing was compiled" >&2; exit 1; }

opened=$(sed -n 's/.*calling init: //p' "$log".* | grep -E 'nvrtc|libcuda|libnvvm' | sort -u)
printf 'opened:\n%s\n' "$opened"
for library in libnvrtc.so.13 libnvrtc-builtins.so.13.0; do
  grep -q -x -F "$SOURCE/.cuda/lib/$library" <<<"$opened" ||
    { echo "FAILED: $library of the wheels was not opened" >&2; exit 1; }
done
if grep -v -F "$SOURCE/.cuda/lib/" <<<"$opened" | grep nvrtc; then
  echo "FAILED: an NVRTC of another place was opened" >&2
  exit 1
fi
