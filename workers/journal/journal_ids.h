// Lists of ids as the journal keeps them: in the order of their sequences, each once, and no more
// than the dedup window. Pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "workers/journal/journal_layout.h"

namespace deja {

/// Same sequence: one of them, once.
template <typename Item>
void sort_by_sequence(std::vector<Item>& items) {
  const auto before = [](const Item& a, const Item& b) { return a.sequence < b.sequence; };
  const auto same = [](const Item& a, const Item& b) { return a.sequence == b.sequence; };
  if (!std::is_sorted(items.begin(), items.end(), before)) {
    std::stable_sort(items.begin(), items.end(), before);
  }
  items.erase(std::unique(items.begin(), items.end(), same), items.end());
}

inline void keep_newest_ids(std::vector<JournalIdLayout>& ids, std::size_t count_max) {
  sort_by_sequence(ids);
  if (ids.size() <= count_max) return;
  ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(count_max));
}

/// The ids of a kIds record's payload; bytes that are no whole id are left out.
template <typename Visit>
void for_each_journal_id(std::span<const std::uint8_t> payload, Visit&& visit) {
  for (; payload.size() >= sizeof(JournalIdLayout);
       payload = payload.subspan(sizeof(JournalIdLayout))) {
    JournalIdLayout id;
    std::memcpy(&id, payload.data(), sizeof id);
    visit(id);
  }
}

}  // namespace deja
