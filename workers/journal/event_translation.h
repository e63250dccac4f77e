// An event that was journaled under one config, read under another: kinds are found again by their
// names, values by their paths; what this config does not know is left out. So a changed config
// after a power loss costs no event of a feature that it kept. Start-up code; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shm/value.h"

namespace deja {

class EventTranslation {
 public:
  /// Both are catalog messages, segment tables included. Nothing where one of them can't be read.
  [[nodiscard]] static std::optional<EventTranslation> between(std::string_view from,
                                                               std::string_view to);

  /// Replaces an event record's words. False: nothing of the event is known any more, or the words
  /// are no event record.
  [[nodiscard]] bool translate(std::vector<std::uint64_t>& words) const;

 private:
  static constexpr std::uint16_t kNoSlot = 0xffff;
  std::vector<std::uint64_t> kinds_;  // bit k → bits in the other catalog
  std::vector<std::uint16_t> slots_;
};

/// Translations by the catalog that they come from, each made once.
class EventTranslations {
 public:
  [[nodiscard]] bool translate(const std::string& from, std::string_view to,
                               std::vector<std::uint64_t>& words) {
    const auto [place, is_new] = known_.try_emplace(from);
    if (is_new) place->second = EventTranslation::between(from, to);
    return place->second && place->second->translate(words);
  }

 private:
  std::map<std::string, std::optional<EventTranslation>> known_;
};

}  // namespace deja
