#!/usr/bin/env bash
# Opens a page of `flashmask tune report` in headless Chromium and takes a picture of it. Fails where the page says
# anything on the console: an error of its script, a refused style, a file that it asked for.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: docs/tuning/screenshot.sh PAGE.html PICTURE.png [--size WIDTHxHEIGHT] [--dark]

  --size WIDTHxHEIGHT  of the window, in pixels; by default 1400x2400
  --dark               as those see it who prefer dark pages
TEXT
}

page='' picture='' size=1400x2400 dark=()
while (($#)); do
  case $1 in
    --size) size=${2-}; shift ;;
    --dark) dark=(--blink-settings=preferredColorScheme=0 --force-dark-mode) ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) if [[ -z $page ]]; then page=$1; elif [[ -z $picture ]]; then picture=$1; else usage >&2; exit 2; fi ;;
  esac
  shift || { usage >&2; exit 2; }
done
[[ -n $page && -n $picture && $size == +([0-9])x+([0-9]) ]] || { usage >&2; exit 2; }
file=$(realpath -e "$page")

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
  echo "screenshot.sh: no chromium: apt-get install chromium" >&2
  exit 1
}
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
log=$profile/log
rm -f "$picture"
# Without a network: the page must need none. The sandbox does not work for root, and nothing foreign is opened here.
timeout 120 "$chromium" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
  --user-data-dir="$profile/data" --proxy-server=127.0.0.1:9 --virtual-time-budget=3000 "${dark[@]}" \
  --enable-logging=stderr --v=0 --window-size="${size/x/,}" --screenshot="$(realpath -m "$picture")" \
  "file://$file" >"$log" 2>&1 || {
  cat "$log" >&2
  echo "screenshot.sh: chromium failed" >&2
  exit 1
}
if grep ':CONSOLE' "$log" >&2; then
  echo "screenshot.sh: the page wrote to the console" >&2
  exit 1
fi
[[ -s $picture ]] || { echo "screenshot.sh: no picture was taken" >&2; exit 1; }
echo "screenshot.sh: $picture"
