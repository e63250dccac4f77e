// What the file of dead letters holds, found in bytes that may be anybody's. Pure; any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "shm/base/result.h"
#include "workers/dead_letters/dead_letter_layout.h"

namespace deja {

struct DeadLetter {
  static constexpr std::size_t kNoCatalog = std::numeric_limits<std::size_t>::max();
  std::uint64_t number = 0;
  DeadLetterLayout head{};
  std::span<const std::uint8_t> record;  ///< views the file's bytes
  std::size_t catalog = kNoCatalog;      ///< index of DeadLetterScan::catalogs
  bool settled = false;
};

struct DeadLetterScan {
  enum class State : std::uint8_t {
    kEmpty,   ///< not even a whole header: nothing was ever kept in it
    kGood,    ///< letters, and perhaps damage
    kBroken,  ///< not a file of dead letters, or its header is damaged
    kNewer,   ///< of a later version
  };
  State state = State::kEmpty;
  DeadLetterHeaderLayout header{};
  std::vector<std::span<const std::uint8_t>> catalogs;
  std::vector<DeadLetter> letters;   ///< by growing number
  std::uint64_t good_end = 0;        ///< behind the last good frame: here the next one is written
  std::uint64_t tail_bytes = 0;      ///< behind that, torn
  std::vector<std::string> damages;  ///< sentences
};

/// Reads all of it. The views in the result are into `bytes`.
[[nodiscard]] DeadLetterScan scan_dead_letters(std::span<const std::uint8_t> bytes);

/// The whole file; empty where there is none. An error for one that is far beyond its bound.
[[nodiscard]] Result<std::vector<std::uint8_t>> read_dead_letters(const std::string& path);
[[nodiscard]] Result<std::vector<std::uint8_t>> read_dead_letters(int descriptor,
                                                                  const std::string& path);

}  // namespace deja
