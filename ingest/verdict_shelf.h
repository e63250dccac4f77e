// Verdicts of one worker that nobody has asked for yet. They come in the order of the records they
// are about, so a circular array in that order is searched by halving. One ingest thread; no
// allocation after construction.
//
// Whoever is gone (a closed connection) never asks, so the shelf drops its oldest when it is full.
// A drop must not turn a refusal into an ack: a record at or before the last one dropped that is
// not found counts as refused. The client sends it again, and the id makes that safe.
#pragma once

#include <cstdint>
#include <vector>

#include "ring/log_record.h"

namespace deja {

class VerdictShelf {
 public:
  static constexpr std::size_t kCapacityDefault = 4096;  // a power of two
  explicit VerdictShelf(std::size_t capacity = kCapacityDefault) : verdicts_(capacity) {}

  /// A verdict that is not behind all others is ignored: a worker that died between a verdict and
  /// the position that covers it says it again.
  void put(std::uint64_t ring_end, RefusalReason reason);
  /// kNone when the record was not refused.
  [[nodiscard]] RefusalReason take(std::uint64_t ring_end);
  /// True: take() has nothing but kNone to say.
  [[nodiscard]] bool empty() const { return first_ == last_ && forgotten_until_ == 0; }
  /// Verdicts up to there may have been lost: such records count as refused.
  void forget_until(std::uint64_t ring_end) {
    if (ring_end > forgotten_until_) forgotten_until_ = ring_end;
  }

 private:
  struct Verdict {
    std::uint64_t ring_end = 0;
    RefusalReason reason = RefusalReason::kNone;  // kNone: it was taken
  };
  [[nodiscard]] Verdict& at(std::uint64_t number) {
    return verdicts_[number & (verdicts_.size() - 1)];
  }
  std::vector<Verdict> verdicts_;
  std::uint64_t first_ = 0;  // numbers of verdicts, free-running
  std::uint64_t last_ = 0;
  std::uint64_t newest_end_ = 0;
  std::uint64_t forgotten_until_ = 0;
};

}  // namespace deja
