#!/usr/bin/env bash
# Runs a command as on a machine without a CUDA toolkit: nothing in the environment names one, the loader's cache holds
# none, and, where mount namespaces are allowed, its folders are empty. Tells on stderr which of the ways it took.
#
#   tools/without_toolkit.sh COMMAND [ARGUMENT…]
#   tools/without_toolkit.sh --fallback COMMAND …   only the way that needs no privilege
set -euo pipefail

if [[ ${1-} == --inside ]]; then  # second stage, in a mount namespace of its own
  shift
  for folder in /usr/local/cuda /usr/local/cuda-[0-9]*; do
    if [[ -d $folder ]]; then mount -t tmpfs -o ro tmpfs "$(readlink -f "$folder")"; fi
  done
  mount --bind /dev/null /etc/ld.so.cache
  exec "$@"
fi

fallback=false
if [[ ${1-} == --fallback ]]; then fallback=true; shift; fi
(($#)) || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }

unset CUDA_HOME CUDA_PATH LD_LIBRARY_PATH
PATH=/usr/local/bin:/usr/bin:/bin

if ! $fallback; then
  for namespace in "--mount" "--user --map-root-user --mount"; do
    # shellcheck disable=SC2086  # several options
    if unshare $namespace mount --bind /dev/null /etc/ld.so.cache 2>/dev/null; then
      echo "without_toolkit: in a mount namespace (unshare $namespace)" >&2
      exec unshare $namespace "$(readlink -f "$0")" --inside "$@"
    fi
  done
fi

# The loader itself as the command, told to use no cache. It searches the system's own folders and RUNPATHs only.
loader=$(readelf -l "$1" | sed -n 's/.*interpreter: \(.*\)]/\1/p')
[[ -n $loader ]] || { echo "without_toolkit: $1 is no dynamic executable" >&2; exit 1; }
echo "without_toolkit: through $loader --inhibit-cache" >&2
exec "$loader" --inhibit-cache "$@"
