// What became of the last reload, for `deja reload`, which waits for it: <segment
// directory>/reload, the service's own. A line "<number> done|refused", and the text for a person.
// Numbers count the reloads of a segment directory's life. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "shm/base/result.h"

namespace deja {

struct ReloadOutcome {
  std::uint64_t number = 0;  ///< 0: there was none yet
  bool done = false;         ///< else refused: nothing has changed
  std::string text;          ///< what is served now, or why nothing changed

  /// Replaces the file, whole or not at all.
  Status write(const std::string& segment_directory) const;
  /// The last one; number 0 where there is none, or none that can be read.
  [[nodiscard]] static ReloadOutcome read(const std::string& segment_directory);
  /// At a stop: the directory is to be empty.
  static void remove(const std::string& segment_directory);
};

}  // namespace deja
