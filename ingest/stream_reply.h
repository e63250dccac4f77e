// Builds what the server says on a stream: whole frames, in memory of its own that is used again
// for each. One ingest thread, shared by its connections; no allocation after construction.
#pragma once

#include <capnp/common.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ingest/event.capnp.h"
#include "ingest/extraction.h"
#include "ingest/stream_frame.h"

namespace deja {

/// An event of a batch that was not taken.
struct StreamReject {
  std::uint32_t index = 0;
  bool retry = false;
  Refusal refusal;
};

class StreamReply {
 public:
  StreamReply();

  /// Each is valid until the next call of any.
  [[nodiscard]] std::span<const std::uint8_t> hello(stream_schema::AckLevel level,
                                                    const char* appliance);
  [[nodiscard]] std::span<const std::uint8_t> ack(std::uint64_t sequence,
                                                  stream_schema::AckLevel level, const char* token,
                                                  std::span<const StreamReject> rejects);
  [[nodiscard]] std::span<const std::uint8_t> error(const char* error_code, const char* message);

 private:
  template <typename Fill>
  std::span<const std::uint8_t> build(Fill fill);

  // The largest reply is an ack that rejects a whole batch: 37 words for each, at most.
  static constexpr std::size_t kScratchWords = kFrameBytesMax / 8 - 1;
  static_assert(kBatchEventsMax * 37 + 256 < kScratchWords);
  std::vector<std::uint64_t> scratch_;
  std::vector<std::uint8_t> frame_;
};

}  // namespace deja
