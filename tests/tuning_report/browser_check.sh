#!/usr/bin/env bash
# Made-up reports open in headless Chromium without a word on the console, and a page that does say something fails.
# browser_check.sh REPOSITORY WRITE_SAMPLE
set -euo pipefail
screenshot=$1/docs/tuning/screenshot.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$2" "$folder"
for page in measured modelled empty; do "$screenshot" "$folder/$page.html" "$folder/$page.png"; done
"$screenshot" "$folder/measured.html" "$folder/phone.png" --size 500x1200 --dark

echo '<!DOCTYPE html><title>x</title><script>no_such_function()</script>' >"$folder/broken.html"
if "$screenshot" "$folder/broken.html" "$folder/broken.png" 2>/dev/null; then
  echo "FAILED: an error on the console was not seen" >&2
  exit 1
fi
