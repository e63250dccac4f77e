// Which of the declared events a message is: by call and name, all that match. Built once from the
// catalog, immutable, any thread; recognising allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/extraction.h"
#include "shm/base/text_words.h"
#include "shm/catalog.capnp.h"

namespace deja {

/// "track", for a person.
[[nodiscard]] const char* call_name(CallType call);

class Recognizer {
 public:
  explicit Recognizer(schema::Catalog::Reader catalog);

  /// Bit k: Catalog.events[k] matches. 0: none does.
  [[nodiscard]] std::uint64_t recognize(CallType call, std::string_view name) const {
    if (name.size() > name_bytes_max_) return any_[static_cast<std::size_t>(call)];
    const std::uint64_t hash = hash_of(call, name);
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Entry& entry = entries_[at];
      if (entry.kinds == 0) return any_[static_cast<std::size_t>(call)];
      if (entry.hash == hash && entry.call == call && entry.name == name) return entry.kinds;
    }
  }

  /// kinds_of_slot()[s]: the events that have a field of slot s.
  [[nodiscard]] std::span<const std::uint64_t> kinds_of_slot() const { return kinds_of_slot_; }

  /// The names declared for a call, "*" left out: for "nearest declared".
  [[nodiscard]] std::vector<std::string_view> names_of(CallType call) const;

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::uint64_t kinds = 0;  // those of "*" included; 0: an empty entry
    CallType call = CallType::kNone;
    std::string name;
  };

  [[nodiscard]] static std::uint64_t hash_of(CallType call, std::string_view name) {
    // Of long names the ends: names are told apart by comparing them, not by this.
    const std::uint64_t first = first_word(name.data(), name.size());
    const std::uint64_t last =
        name.size() > 8 ? load_word<std::uint64_t>(name.data() + name.size() - 8) : 0;
    std::uint64_t hash = (first ^ name.size()) * 0x9e3779b97f4a7c15U;
    hash = (hash ^ hash >> 32U ^ last ^ static_cast<std::uint64_t>(call)) * 0xff51afd7ed558ccdU;
    return hash ^ hash >> 32U;
  }
  void add(CallType call, std::string_view name, std::uint64_t kind);

  std::vector<Entry> entries_;
  std::size_t mask_ = 0;
  std::size_t name_bytes_max_ = 0;
  std::uint64_t any_[7] = {};
  std::vector<std::uint64_t> kinds_of_slot_;
};

}  // namespace deja
