#include "tools/command/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <mutex>
#include <string_view>
#include <thread>

namespace flashmask::command {
namespace {

constexpr long kPollNanoseconds = 20'000'000;
constexpr pid_t kNoChild = 0, kStartingChild = -1;

std::mutex& section_mutex() {
  static std::mutex mutex;
  return mutex;
}

std::atomic<bool> interrupted{false};
std::atomic<pid_t> child_to_signal{kNoChild};

sigset_t& blocked_at_start() {
  static sigset_t blocked = [] {
    sigset_t none;
    sigemptyset(&none);
    return none;
  }();
  return blocked;
}

/// Hands a signal on to the child, if there is one.
bool gave_to_child(const siginfo_t& signal) {
  pid_t child = child_to_signal.load();
  for (const timespec poll{0, kPollNanoseconds / 20}; child == kStartingChild; child = child_to_signal.load())
    ::nanosleep(&poll, nullptr);
  if (child == kNoChild) return false;
  const bool is_from_a_process = signal.si_code <= 0;
  if (is_from_a_process) ::kill(child, signal.si_signo);
  return true;
}

[[noreturn]] void end_after_signals(const sigset_t& signals) {
  siginfo_t signal{};
  while (sigwaitinfo(&signals, &signal) < 0 || gave_to_child(signal)) continue;
  interrupted.store(true);
  // A second signal ends the wait for a section that does not end.
  const timespec poll{0, kPollNanoseconds};
  while (!section_mutex().try_lock()) {
    if (sigtimedwait(&signals, nullptr, &poll) > 0) break;
  }
  constexpr std::string_view kMessage = "\nflashmask: error: interrupted\n";
  static_cast<void>(!::write(STDERR_FILENO, kMessage.data(), kMessage.size()));
  // Not exit(): other threads are still at work on what destructors of statics would take from them.
  ::_exit(128 + signal.si_signo);
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
  pthread_sigmask(SIG_BLOCK, &signals, &blocked_at_start());
  std::thread([signals] { end_after_signals(signals); }).detach();
}

UninterruptedSection::UninterruptedSection() {
  section_mutex().lock();
}
UninterruptedSection::~UninterruptedSection() {
  section_mutex().unlock();
}

bool is_interrupted() {
  return interrupted.load();
}

void end_by_interrupt() {
  for (;;) ::pause();
}

SignalsForChild::SignalsForChild() {
  child_to_signal.store(kStartingChild);
}
SignalsForChild::~SignalsForChild() {
  end();
}
void SignalsForChild::started(pid_t child) {
  child_to_signal.store(child);
}
void SignalsForChild::end() {
  child_to_signal.store(kNoChild);
}

sigset_t signals_blocked_at_start() {
  return blocked_at_start();
}

}  // namespace flashmask::command
