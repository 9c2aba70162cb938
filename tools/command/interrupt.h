#pragma once

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

}  // namespace flashmask::command
