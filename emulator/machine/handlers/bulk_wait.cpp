#include "emulator/machine/handlers/families.h"
namespace flashmask::emulator {
void lower_bulk(Builder& builder) { builder.unsupported("bulk copies are not linked in"); }
}
