// The program that an upgrade has put where the running one came from: whether there is one,
// whether it understands the config and the segment, and becoming it. The process stays the same,
// so its children stay its children, systemd's main process stays what it was, and the sockets stay
// open; the places' locks are let go for the instant of the exec, and who takes them then is the
// supervisor. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shm/base/result.h"
#include "tools/serve/crew.h"

namespace deja {

/// "7-1a2b3c4d": the layout's version and its hash, as `deja --version` says it.
[[nodiscard]] std::string layout_text(std::uint32_t version, std::uint32_t hash);
/// Of this program.
[[nodiscard]] std::string layout_text();

class NextProgram {
 public:
  /// Nothing where the running program is the one that lies at its path.
  [[nodiscard]] static std::optional<NextProgram> find();

  /// Whether `config` is right by it: runs its `deja validate`, and attends to `crew` meanwhile. An
  /// error has all that it said, or that it said nothing for a minute.
  Status validate(Crew& crew, const std::string& config) const;
  /// Its layout_text(); empty where it does not say.
  [[nodiscard]] std::string layout(Crew& crew) const;

  /// Becomes it, with this process's arguments; `sockets` stay open. Returns only with an error.
  [[nodiscard]] Error become(const std::vector<int>& sockets) const;

 private:
  explicit NextProgram(std::string path) : path_(std::move(path)) {}
  /// All that it said.
  [[nodiscard]] Result<std::string> run(Crew& crew, std::vector<std::string> arguments,
                                        bool& succeeded) const;
  std::string path_;
};

/// Where this program was become by another: the sockets that it left, taken from the environment
/// once.
[[nodiscard]] std::optional<std::vector<int>> take_inheritance();

/// Whether `pid` runs a file that is not at its path any more.
[[nodiscard]] bool runs_replaced_program(pid_t pid);

}  // namespace deja
