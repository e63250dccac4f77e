// Lists of ids as the journal keeps them: in the order of their sequences, each once, and no more
// than the dedup window. Pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <tuple>
#include <vector>

#include "shm/key.h"
#include "workers/journal/journal_layout.h"

namespace deja {

inline auto id_order(const JournalIdLayout& id) {
  return std::tie(id.sequence, id.low, id.high);
}

/// The same id twice: once. Two of the same sequence come from two shards of a former count.
inline void sort_ids(std::vector<JournalIdLayout>& ids) {
  const auto before = [](const auto& a, const auto& b) { return id_order(a) < id_order(b); };
  const auto same = [](const auto& a, const auto& b) { return id_order(a) == id_order(b); };
  if (!std::is_sorted(ids.begin(), ids.end(), before)) std::sort(ids.begin(), ids.end(), before);
  ids.erase(std::unique(ids.begin(), ids.end(), same), ids.end());
}

inline void keep_last(std::vector<JournalIdLayout>& ids, std::size_t count_max) {
  if (ids.size() <= count_max) return;
  ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(count_max));
}

inline void keep_newest_ids(std::vector<JournalIdLayout>& ids, std::size_t count_max) {
  sort_ids(ids);
  keep_last(ids, count_max);
}

/// Of several shards' ids: their sequences say nothing of who is older, so the clock does.
inline void keep_latest_ids(std::vector<JournalIdLayout>& ids, std::size_t count_max) {
  sort_ids(ids);
  std::stable_sort(ids.begin(), ids.end(),
                   [](const auto& a, const auto& b) { return a.consumed_us < b.consumed_us; });
  keep_last(ids, count_max);
}

/// Whose id stands in a record of a segment that counts `counted` shards, among `shard_count`.
[[nodiscard]] inline std::uint32_t shard_of_id(const JournalIdLayout& id, std::uint32_t recorded,
                                               std::uint32_t counted, std::uint32_t shard_count) {
  return counted == shard_count ? recorded : shard_of_hash(id.key_hash, shard_count);
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
