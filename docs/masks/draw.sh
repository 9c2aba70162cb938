#!/usr/bin/env bash
# Draws the pictures of docs/masks.md: runs every `flashmask mask show … -o docs/masks/….svg` that stands there.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: docs/masks/draw.sh [--command build/bin/flashmask] [--into DIRECTORY]

  --command FILE    the built command
  --into DIRECTORY  where docs/masks/ is filled; by default this repository itself
TEXT
}

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
command=$repository/build/bin/flashmask
into=$repository
while (($#)); do
  case $1 in
    --command) command=$(realpath "${2-}"); shift ;;
    --into) into=${2-}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift || { usage >&2; exit 2; }
done

flashmask() { "$command" "$@"; }

mkdir -p "$into/docs/masks"
cd "$into"
drawn=0
# shellcheck disable=SC2162  # `read` without -r joins lines that end in a backslash
while read line; do
  [[ $line == "flashmask mask show "*" -o docs/masks/"*.svg ]] || continue
  eval "$line" >/dev/null
  drawn=$((drawn + 1))
done <"$repository/docs/masks.md"
echo "draw.sh: $drawn pictures in $into/docs/masks"
