#!/usr/bin/env bash
# Whether the C interface is the one that was written down: c_abi.sh check|write LIBRARY HEADER BASELINE. The library's C
# files must have been compiled with debug information. `check` prints what differs, and what to do.
set -euo pipefail
mode=$1 library=$2 header=$3 baseline=$4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Of the shared library the C functions alone, with the types of their header: what a handle holds is nobody's business.
mkdir "$work/include"
cp "$header" "$work/include"
cat > "$work/suppressions" <<'TEXT'
[suppress_function]
symbol_name_not_regexp = ^fm_
drop = yes
[suppress_variable]
symbol_name_not_regexp = ^fm_
drop = yes
TEXT
describe() {  # describe FILE: without what differs between machines
  abidw --suppressions "$work/suppressions" --headers-dir "$work/include" --drop-private-types --no-corpus-path \
    --no-comp-dir-path --no-elf-needed --no-write-default-sizes --no-show-locs "$library" > "$1"
}

case $mode in
  write) describe "$baseline" ;;
  check)
    describe "$work/now.abi"
    grep -q "name='fm_runtime_request'" "$work/now.abi" || {
      printf 'FAILED: %s has no debug information of the C interface\n' "$library" >&2
      exit 1
    }
    if ! abidiff --no-show-locs "$baseline" "$work/now.abi"; then
      printf 'FAILED: the C interface is not the one of %s.\n' "$baseline" >&2
      printf 'If it is meant to change: structs grow at their end alone; then cmake --build BUILD --target c_abi_baseline\n' >&2
      exit 1
    fi
    ;;
  *) exit 2 ;;
esac
