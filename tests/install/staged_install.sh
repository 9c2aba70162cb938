#!/usr/bin/env bash
# One test of the staged install: staged_install.sh TEST. SOURCE, BUILD, STAGE, LIBDIR and WORK are folders, set by CTest.
set -euo pipefail

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

TheTreeIsStaged() {
  rm -rf "$STAGE"
  cmake --install "$BUILD" --prefix "$STAGE"
  local file
  for file in bin/flashmask include/flashmask/runtime.h "$LIBDIR"/libflashmask.so \
    "$LIBDIR"/cmake/flashmask/flashmaskConfig.cmake "$LIBDIR"/pkgconfig/flashmask.pc; do
    [[ -e $STAGE/$file ]] || fail "$file was not installed"
  done
}

FindPackageBuildsAndRunsAnExample() {
  local build=$WORK/find_package
  rm -rf "$build"
  cmake -S "$SOURCE/examples/install_consumer" -B "$build" -DCMAKE_PREFIX_PATH="$STAGE" -DCMAKE_BUILD_TYPE=Release
  cmake --build "$build"
  grep -q "^flashmask_DIR:PATH=$STAGE" "$build/CMakeCache.txt" || fail "another flashmask than the staged one was found"
  "$build/install_consumer"
  "$build/c_interface"
}

AProgramThatCarriesItsKernelsNeedsNeitherCompilerNorCache() {
  local build=$WORK/embedded_pack output
  rm -rf "$build"
  cmake -S "$SOURCE/examples/embedded_pack" -B "$build" -DCMAKE_PREFIX_PATH="$STAGE" -DCMAKE_BUILD_TYPE=Release
  cmake --build "$build"
  rm -rf "$build/kernels" "$build/kernels.pack"
  # Without a home, and with an NVRTC that cannot be opened.
  output=$(env -u HOME -u XDG_CACHE_HOME -u FLASHMASK_CACHE_DIR FLASHMASK_NVRTC=/nowhere/libnvrtc.so \
    "$build/embedded_pack")
  printf '%s\n' "$output"
  [[ $output == *': right; compiled 0,'* ]] || fail "the kernel did not come out of the program, or is wrong"
}

PkgConfigBuildsAndRunsAnExample() {
  export PKG_CONFIG_PATH=$STAGE/$LIBDIR/pkgconfig
  local flags program=$WORK/pkg_config_consumer
  flags=$(pkg-config --cflags --libs flashmask)
  # shellcheck disable=SC2086  # several flags
  "$CXX" -std=c++20 ${CXXFLAGS-} "$SOURCE/examples/install_consumer/main.cpp" -o "$program" $flags
  LD_LIBRARY_PATH=$STAGE/$LIBDIR "$program"
  # shellcheck disable=SC2086
  "$CC" -std=c11 ${CFLAGS-} "$SOURCE/examples/install_consumer/c_interface.c" -o "$program.c" $flags
  LD_LIBRARY_PATH=$STAGE/$LIBDIR "$program.c"
}

TheCommandRunsFromAMovedTree() {
  local moved=$WORK/moved
  rm -rf "$moved"
  cp -a "$STAGE" "$moved"
  "$moved/bin/flashmask" --version
  local library
  library=$(ldd "$moved/bin/flashmask" | sed -n 's/.*libflashmask.*=> \([^ ]*\) .*/\1/p')
  [[ $(readlink -f "$library") == $(readlink -f "$moved")/* ]] || fail "the command loads $library, not the library beside it"
}

KernelsAreTheSameWhereverTheInstallationAndTheCacheLie() {
  local work=$WORK/two_places place
  rm -rf "$work"
  mkdir -p "$work/one" "$work/another place/below"
  cat >"$work/kernels.toml" <<'TOML'
version = 1
[[kernels]]
pass = ["mask-plan", "mask-build"]
form = ["c1", "f2"]
target = ["sm_80", "sm_90a"]
TOML
  # Two installations, each in a folder, a home and a current directory of its own: equal digests and equal bytes.
  for place in one 'another place/below'; do
    cp -a "$STAGE" "$work/$place/tree"
    mkdir "$work/$place/home"
    (
      cd "$work/$place/home"
      export HOME=$PWD FLASHMASK_CACHE_DIR=$work/$place/cache
      ../tree/bin/flashmask compile "$work/kernels.toml" -j 1
      ../tree/bin/flashmask cache export -o ../kernels.pack
    )
  done
  cmp "$work/one/kernels.pack" "$work/another place/below/kernels.pack" || fail "two installations made other kernels"
  # Both moved once more: everything is still found.
  mv "$work/one/tree" "$work/tree"
  mv "$work/another place/below/cache" "$work/moved cache"
  FLASHMASK_CACHE_DIR="$work/moved cache" FLASHMASK_NO_JIT=1 "$work/tree/bin/flashmask" compile "$work/kernels.toml"
}

OnlyItsOwnSymbolsAreVisible() {
  local visible foreign name
  visible=$(nm -D -C --defined-only "$STAGE/$LIBDIR/libflashmask.so" | cut -d ' ' -f 3-)
  foreign=$(grep -v -E '^(flashmask::|fm_|(vtable|typeinfo|typeinfo name) for flashmask::)' <<<"$visible" || true)
  [[ -z $foreign ]] || fail "these symbols are not ours to show: $foreign"
  for name in 'flashmask::Runtime::request(' 'flashmask::open_cuda_device(' 'flashmask::reference::attention(' \
    'flashmask::default_tile_config(' 'fm_runtime_request'; do
    grep -q -F "$name" <<<"$visible" || fail "$name is not visible"
  done
}

NoCudaLibraryIsNeededToLinkOrStart() {
  local file needed
  for file in "$LIBDIR/libflashmask.so" bin/flashmask; do
    needed=$(readelf -d "$STAGE/$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    printf '%s needs: %s\n' "$file" "${needed//$'\n'/ }"
    if grep -E 'cuda|nvrtc|nvidia' <<<"$needed"; then fail "$file needs a CUDA library to start"; fi
  done
}

EveryPublicHeaderCompilesAlone() {
  local header
  for header in "$STAGE"/include/flashmask/*.h; do
    echo "$header"
    # No other include path than the stage's and the compiler's own: a header that needs another library does not compile.
    "$CXX" -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Werror -fsyntax-only -x c++ -I "$STAGE/include" \
      -include "$header" /dev/null
    if grep -E '^ *# *include *<(fmt|spdlog|nlohmann|CLI|cuda|nvrtc|openssl|xxhash|sqlite3|toml)' "$header"; then
      fail "$header includes another library's header"
    fi
  done
  "$CC" -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c -I "$STAGE/include" \
    -include "$STAGE/include/flashmask/flashmask.h" /dev/null
}

"$1"
