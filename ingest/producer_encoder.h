// What a producer says on the stream: whole frames, in memory of its own that is used again. One
// thread. No exception leaves it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ingest/event.capnp.h"
#include "ingest/producer.h"
#include "ingest/stream_frame.h"

namespace deja {

/// About how many bytes of a frame an event takes: never less than it really does.
[[nodiscard]] std::size_t encoded_bytes_max(const ProducerEvent& event);

class ProducerEncoder {
 public:
  ProducerEncoder();

  /// Each is valid until the next call of either; empty: it is larger than a frame may be.
  [[nodiscard]] std::span<const std::uint8_t> hello(const ProducerOptions& options);
  /// `events` are pointers, in order; their message ids are filled.
  [[nodiscard]] std::span<const std::uint8_t> batch(std::uint64_t sequence, std::int64_t sent_at_us,
                                                    std::span<const ProducerEvent* const> events);

 private:
  template <typename Fill>
  std::span<const std::uint8_t> build(Fill fill);
  std::vector<std::uint64_t> scratch_;
  std::vector<std::uint8_t> frame_;
};

}  // namespace deja
