// Builds an EventRecord (ring/event_record.capnp) in place: the words of one segment, root pointer
// first, no segment table. Written by hand instead of with capnp::MessageBuilder, since that
// allocates and copies; the library reads the same words (tests/ingest/sink). Any thread; no
// allocation.
//
//   word 0 root │ 1..6 data │ 7 key pointer │ 8 values pointer │ key, padded to 8 │
//   tag │ 3 words for each value: number, slot element kind, text pointer │ texts, each padded to 8
#pragma once

#include <cstdint>
#include <span>

#include "ingest/extraction.h"
#include "shm/key.h"

namespace deja {

struct RecordFields {
  std::int64_t received_us = 0;
  std::int64_t time_us = 0;
  std::uint64_t id_low = 0;
  std::uint64_t id_high = 0;
  std::uint64_t kinds = 0;
  std::uint32_t shard = 0;
  Key key;
};

/// What of an extraction goes into the record: the values whose slot one of `kinds` has a field of.
struct RecordValues {
  std::span<const CapturedValue> captured;
  std::span<const std::uint64_t> kinds_of_slot;
  std::uint64_t kinds = 0;

  [[nodiscard]] bool wants(const CapturedValue& value) const {
    return value.slot < kinds_of_slot.size() && (kinds_of_slot[value.slot] & kinds) != 0 &&
           !value.value.absent();
  }
};

struct RecordSize {
  std::uint32_t value_count = 0;
  std::uint64_t bytes = 0;  ///< a multiple of 8
};

[[nodiscard]] RecordSize record_size(const RecordFields& fields, const RecordValues& values);

/// Writes exactly size.bytes bytes to `into`, which is 8-byte aligned. `size` is record_size() of
/// the same arguments.
void build_record(const RecordFields& fields, const RecordValues& values, const RecordSize& size,
                  std::uint8_t* into);

}  // namespace deja
