// What a worker tells ingest about a record that it refused: ring verdict-<w>-<i>, written before
// the consumed position that covers the record. Ingest reads the consumed position (acquire), then
// the verdicts, then answers.
#pragma once

#include <cstdint>

#include "ring/log_record.h"

namespace deja {

inline constexpr std::uint32_t kVerdict = 1;

struct VerdictLayout {
  std::uint64_t ring_end;  // of the refused record, as RingProducer::commit returned it
  RefusalReason reason;
  std::uint8_t reserved[7];
};
static_assert(sizeof(VerdictLayout) == 16);

}  // namespace deja
