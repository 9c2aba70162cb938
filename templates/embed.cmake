# cmake -DFOLDER=… -DNAMES=a.cuh,b/c.cuh -DOUTPUT=embedded.cpp -P embed.cmake
string(REPLACE "," ";" NAMES "${NAMES}")
set(body "")
foreach(name IN LISTS NAMES)
  file(READ ${FOLDER}/${name} text)
  string(REGEX REPLACE "(^|\n)#(pragma once|include \"[^\n]*)" "\\1" text "${text}")
  string(STRIP "${text}" text)
  string(APPEND text "\n")
  string(SHA256 digest "${text}")
  string(APPEND body "    {\"${name}\", \"${digest}\", R\"cuh(${text})cuh\"},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"templates/embedded.h\"

namespace flashmask::templates {
namespace {
constexpr Template kTemplates[] = {
${body}};
}  // namespace

std::span<const Template> all() { return kTemplates; }

}  // namespace flashmask::templates
")
