#include "tools/command/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <ctime>
#include <mutex>
#include <string_view>
#include <thread>

namespace flashmask::command {
namespace {

constexpr long kPollNanoseconds = 20'000'000;

std::mutex& section_mutex() {
  static std::mutex mutex;
  return mutex;
}

[[noreturn]] void end_after_signals(const sigset_t& signals) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) continue;
  // A second signal ends the wait for a section that does not end.
  const timespec poll{0, kPollNanoseconds};
  while (!section_mutex().try_lock()) {
    if (sigtimedwait(&signals, nullptr, &poll) > 0) break;
  }
  constexpr std::string_view kMessage = "\nflashmask: error: interrupted\n";
  static_cast<void>(!::write(STDERR_FILENO, kMessage.data(), kMessage.size()));
  // Not exit(): other threads are still at work on what destructors of statics would take from them.
  ::_exit(128 + signal);
}

}  // namespace

void handle_interrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action{};
    // A signal that our caller had us ignore (nohup, a background job) stays ignored.
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&signals, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] { end_after_signals(signals); }).detach();
}

UninterruptedSection::UninterruptedSection() {
  section_mutex().lock();
}
UninterruptedSection::~UninterruptedSection() {
  section_mutex().unlock();
}

}  // namespace flashmask::command
