# cmake -DFOLDER=… -DNAMES=a.cu,b.cuh -DOUTPUT=embedded.cpp -P embed.cmake
string(REPLACE "," ";" NAMES "${NAMES}")
set(body "")
foreach(name IN LISTS NAMES)
  file(READ ${FOLDER}/${name} text)
  string(APPEND body "    {\"${name}\", R\"cu(${text})cu\"},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"tests/emulator/programs/embedded.h\"

namespace flashmask::emulator::programs {
namespace {
constexpr Source kSources[] = {
${body}};
}  // namespace

std::span<const Source> embedded_sources() { return kSources; }

}  // namespace flashmask::emulator::programs
")
