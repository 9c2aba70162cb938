#!/usr/bin/env bash
# The cookbook of masks is true: its pictures are what its commands draw, and no kind is missing.
# mask_pictures.sh REPOSITORY COMMAND
set -euo pipefail
repository=$1
command=$2
drawn=$(mktemp -d)
trap 'rm -rf "$drawn"' EXIT

"$repository/docs/masks/draw.sh" --command "$command" --into "$drawn"
diff -r --exclude=draw.sh "$repository/docs/masks" "$drawn/docs/masks" || {
  echo "FAILED: draw them again with docs/masks/draw.sh" >&2
  exit 1
}

kinds=$("$command" mask list | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p')
[[ -n $kinds ]] || { echo "FAILED: no kinds in the list" >&2; exit 1; }
for kind in $kinds; do
  for needed in "### $kind" "flashmask mask show $kind " "masks/$kind.svg"; do
    grep -q -F "$needed" "$repository/docs/masks.md" || { echo "FAILED: '$needed' is not in docs/masks.md" >&2; exit 1; }
  done
done
for picture in "$repository"/docs/masks/*.svg; do
  if (($(wc -c <"$picture") > 15000)); then
    echo "FAILED: $picture is too large for a page" >&2
    exit 1
  fi
done
