// The batches of one connection that were taken and are not acked yet, oldest first. One ingest
// thread. Allocates while it grows to what the connection's credits allow, then no more.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ingest/event_sink.h"
#include "ingest/stream_reply.h"

namespace deja {

struct PlacedEvent {
  std::uint32_t index = 0;
  Placed placed;
};

struct InFlightBatch {
  std::uint64_t sequence = 0;
  std::uint32_t frame_bytes = 0;
  std::uint32_t event_count = 0;
  bool whole = false;  ///< all of its events were handed over
  std::int64_t whole_since_us = 0;
  std::vector<std::uint64_t> end_positions;  ///< by worker: behind the last of its events; 0: none
  std::vector<PlacedEvent> placed;
  std::vector<StreamReject> rejects;
  InFlightBatch* next = nullptr;
};

class StreamBatches {
 public:
  explicit StreamBatches(std::uint32_t worker_count) : worker_count_(worker_count) {}

  /// A batch behind all others.
  InFlightBatch& add(std::uint64_t sequence, std::uint32_t frame_bytes, std::uint32_t event_count);
  /// nullptr: there is none.
  [[nodiscard]] InFlightBatch* oldest() const { return first_; }
  [[nodiscard]] InFlightBatch* newest() const { return last_; }
  void drop_oldest();
  void clear() {
    while (first_ != nullptr) drop_oldest();
  }

  [[nodiscard]] std::uint64_t events_in_flight() const { return events_in_flight_; }
  [[nodiscard]] std::uint64_t bytes_in_flight() const { return bytes_in_flight_; }

 private:
  std::uint32_t worker_count_;
  std::vector<std::unique_ptr<InFlightBatch>> owned_;
  InFlightBatch* first_ = nullptr;
  InFlightBatch* last_ = nullptr;
  InFlightBatch* free_ = nullptr;
  std::uint64_t events_in_flight_ = 0;
  std::uint64_t bytes_in_flight_ = 0;
};

}  // namespace deja
