// The terminal while `deja top` has it: its other page, no cursor, keys as they are pressed. Left
// as it was found by the destructor; signals that would end the program come as keys do, so that it
// is run. One thread.
#pragma once

#include <termios.h>

#include <cstdint>
#include <string>
#include <vector>

#include "shm/base/descriptor.h"
#include "tools/top/frame.h"

namespace deja {

/// The size of the terminal on stdout; 80 × 24 where it does not say.
[[nodiscard]] TerminalSize terminal_size();

class Screen {
 public:
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  enum class Woken : std::uint8_t { kTime, kResized, kQuit };
  /// Until the time is over, the size changed, or somebody wants to leave: `q`, Ctrl-C, a signal, a
  /// terminal that is gone.
  [[nodiscard]] Woken wait(std::int64_t timeout_us);

  /// The lines in place of what was there; false: the terminal is gone.
  [[nodiscard]] bool show(const std::vector<std::string>& lines);

 private:
  bool has_keys_ = false;  // stdin is a terminal
  termios before_{};
  Descriptor signals_;
};

}  // namespace deja
