// The worker's end of verdict-<w>-<i>: refusals of records of ring i, in the order of their
// positions. A verdict is committed when the record is refused and published before the consumed
// position that covers it; one that was published before the worker died is not given again.
// One thread; no allocation.
#pragma once

#include <cstdint>

#include "ring/spsc_ring.h"
#include "ring/verdict.h"
#include "shm/mapped_file.h"

namespace deja {

class VerdictWriter {
 public:
  /// The verdict ring mapped for writing, and where ingest keeps its consumer position.
  VerdictWriter(MappedFile file, const std::atomic<std::uint64_t>* consumer_position);

  /// Whether one more verdict finds room now. False is back-pressure: ingest has to read.
  [[nodiscard]] bool has_room();
  /// Call only after has_room(), or in a redo, when what had room before has it again. Does nothing
  /// for a record whose verdict is there already.
  void refuse(std::uint64_t ring_end, RefusalReason reason);
  bool publish() { return ring_.publish(); }

 private:
  [[nodiscard]] std::uint64_t last_published_end() const;

  MappedFile file_;
  RingProducer ring_;
  std::uint64_t last_end_;  // of the newest verdict in the ring; 0: none ever
};

}  // namespace deja
