// Whether LLVM's object library can be compiled against and linked; see CMakeLists.txt.
#include <llvm/Object/ELF.h>

int main(int count, char** words) {
  llvm::Expected<llvm::object::ELF64LEFile> file = llvm::object::ELF64LEFile::create(words[count - 1]);
  if (!file) return llvm::toString(file.takeError()).empty();
  return file->sections() ? 0 : 1;
}
