#pragma once

#include <sys/types.h>

#include <csignal>

namespace flashmask::command {

/// Makes SIGINT, SIGTERM and SIGHUP end the process with 128 + signal (130 for SIGINT) as soon as no
/// UninterruptedSection is open, or at the second signal. Call it once, before any other thread is started: the signals
/// are blocked and waited for by a thread of their own, so no work is ever cut inside one.
void handle_interrupts();

/// While one lives, an interrupt waits: for publishing files.
class UninterruptedSection {
 public:
  UninterruptedSection();
  ~UninterruptedSection();
  UninterruptedSection(const UninterruptedSection&) = delete;
  UninterruptedSection& operator=(const UninterruptedSection&) = delete;
};

/// Whether a signal waits for the section to close: long work inside one asks, and stops early.
bool is_interrupted();
/// Outside of every section, once is_interrupted(): the process ends here, as the signal asks for.
[[noreturn]] void end_by_interrupt();

/// While one lives, signals are for a child process and do not end this one: what another process sends is handed on,
/// what a terminal sends has reached the child already. Made before the child, for a signal that comes while it starts
/// would end this process and leave the child alone; such a signal waits for started().
class SignalsForChild {
 public:
  SignalsForChild();
  ~SignalsForChild();
  void started(pid_t child);
  /// The child is about to be reaped, and its number to be free.
  void end();
  SignalsForChild(const SignalsForChild&) = delete;
  SignalsForChild& operator=(const SignalsForChild&) = delete;
};

/// The signals that this process was started with as blocked ones: what a child is to be started with.
sigset_t signals_blocked_at_start();

}  // namespace flashmask::command
