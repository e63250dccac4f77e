// What to tell a person about events that nothing was declared for: "no event matches track
// 'Product Veiwed'; nearest declared: 'Product Viewed'". Looking for the nearest name allocates and
// takes its time, so it is done once for each of the first kNamesMax different names of a life;
// from then on a name costs a hash and a look. One ingest thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "ingest/extraction.h"
#include "ingest/recognizer.h"

namespace deja {

class UnmatchedNames {
 public:
  static constexpr std::size_t kNamesMax = 96;

  explicit UnmatchedNames(const Recognizer& recognizer) : recognizer_(recognizer) {}

  /// The sentence for the error log, valid until the next call. A group's name is its id, hence a
  /// datum of somebody's, and is left out.
  [[nodiscard]] std::string_view sentence(CallType call, std::string_view name);

 private:
  static constexpr std::size_t kEntries = 256;  // a power of two above kNamesMax
  struct Entry {
    std::uint64_t hash = 0;
    std::string sentence;  // empty: an empty entry
  };
  [[nodiscard]] std::string compose(CallType call, std::string_view name) const;

  const Recognizer& recognizer_;
  std::array<Entry, kEntries> entries_;
  std::size_t count_ = 0;
};

}  // namespace deja
