#include "flashmask/runtime.h"

namespace flashmask {

const char* version() {
  return FLASHMASK_VERSION;
}

}  // namespace flashmask
