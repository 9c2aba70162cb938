# Writes OUTPUT: the files of FOLDER called NAMES (with commas between; may be none) as string constants.
string(REPLACE "," ";" names "${NAMES}")
set(text "#include \"runtime/tune/shipped.h\"\n\n#include <vector>\n\nnamespace flashmask::tune {\n\n")
string(APPEND text "std::span<const ShippedFile> shipped_files() {\n  static const std::vector<ShippedFile> files = {\n")
foreach(name IN LISTS names)
  file(READ ${FOLDER}/${name} content)
  # Compilers bound the length of one literal, not of those that follow each other.
  string(REGEX REPLACE "\n" "\n)json\"\nR\"json(" content "${content}")
  string(APPEND text "{\"${name}\", R\"json(${content})json\"},\n")
endforeach()
string(APPEND text "  };\n  return files;\n}\n\n}  // namespace flashmask::tune\n")
file(WRITE ${OUTPUT} "${text}")
