#include "tools/command/commands.h"
#include "tools/command/interrupt.h"

int main(int argc, char** argv) {
  flashmask::command::handle_interrupts();
  return flashmask::command::run_command({argv + (argc > 0 ? 1 : 0), argv + argc});
}
