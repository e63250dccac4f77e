// What the keeper has to know of an event record (ring/event_record.capnp) that it passes on: whose
// it is and its id. The bytes may be anybody's. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shm/key.h"

namespace deja {

struct EventFacts {
  Key key;  ///< views the words
  std::uint64_t id_low = 0;
  std::uint64_t id_high = 0;
  std::uint32_t shard = 0;
};

/// The same event in another count of shards: replaces the record's words. False: they are none.
[[nodiscard]] bool move_event(std::vector<std::uint64_t>& words, std::uint32_t shard);

/// Null, or what is wrong. `words` are 8-byte aligned.
[[nodiscard]] const char* read_event_facts(const std::uint64_t* words, std::size_t count,
                                           std::uint32_t key_bytes_max, EventFacts& facts);

}  // namespace deja
