#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "tests/tools/temporary_directory.h"

namespace flashmask::test {

struct Outcome {
  int exit_code = -1;  ///< 128 + signal where one ended it
  std::string out;
  std::string err;
};

/// The built command in a process of its own. Its cache is in `directory`, its environment this one's without
/// FLASHMASK_* and with `environment`.
class ChildCommand {
 public:
  enum class StandardError { kFile, kTerminal };

  ChildCommand(const TemporaryDirectory& directory, const std::vector<std::string>& words,
               const std::map<std::string, std::string>& environment = {}, StandardError error = StandardError::kFile);
  ~ChildCommand();
  ChildCommand(const ChildCommand&) = delete;
  ChildCommand& operator=(const ChildCommand&) = delete;

  void send(int signal) const;
  bool has_ended() const;
  /// Reads its terminal until `text` has come; false when it ended or a minute passed before.
  bool wait_for_terminal(const std::string& text);
  Outcome wait();

 private:
  TemporaryDirectory streams_;
  pid_t process_ = -1;
  int terminal_ = -1;
  std::string terminal_text_;
};

/// Runs it to its end.
Outcome run_command_line(const TemporaryDirectory& directory, const std::vector<std::string>& words,
                         const std::map<std::string, std::string>& environment = {});

}  // namespace flashmask::test
