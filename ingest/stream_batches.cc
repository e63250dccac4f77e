#include "ingest/stream_batches.h"

#include <algorithm>

namespace deja {
namespace {

// A batch without events counts as one, so that there is an end to those too.
std::uint64_t credit_of(const InFlightBatch& batch) {
  return std::max<std::uint64_t>(1, batch.event_count);
}

}  // namespace

InFlightBatch& StreamBatches::add(std::uint64_t sequence, std::uint32_t frame_bytes,
                                  std::uint32_t event_count) {
  if (free_ == nullptr) {
    owned_.push_back(std::make_unique<InFlightBatch>());
    free_ = owned_.back().get();
  }
  InFlightBatch& batch = *free_;
  free_ = batch.next;
  batch.sequence = sequence;
  batch.frame_bytes = frame_bytes;
  batch.event_count = event_count;
  batch.whole = false;
  batch.end_positions.assign(worker_count_, 0);
  batch.placed.clear();
  batch.rejects.clear();
  batch.next = nullptr;
  (last_ == nullptr ? first_ : last_->next) = &batch;
  last_ = &batch;
  events_in_flight_ += credit_of(batch);
  bytes_in_flight_ += frame_bytes;
  return batch;
}

void StreamBatches::drop_oldest() {
  InFlightBatch& batch = *first_;
  events_in_flight_ -= credit_of(batch);
  bytes_in_flight_ -= batch.frame_bytes;
  first_ = batch.next;
  if (first_ == nullptr) last_ = nullptr;
  batch.next = free_;
  free_ = &batch;
}

}  // namespace deja
