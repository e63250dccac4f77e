// Whether a process still shows signs of life: a number that it changes again and again (its
// heartbeat) is looked at again and again. Pure; steady time is given in, so neither a step of the
// wall clock nor a suspended host looks like a process that hangs.
//
// Invariants
//  1. Silence counts only while somebody looks: after a gap between two looks (the supervisor was
//     stopped, or the whole host) everybody gets the whole bound again.
//  2. A process that has not beaten twice is starting (attaching, sweeping, redoing), which may
//     take `start_ns`; from then on its silence may last `silence_ns`.
#pragma once

#include <cstdint>

namespace deja {

struct PulseBounds {
  std::int64_t silence_ns = 0;  ///< 0: never missed
  std::int64_t start_ns = 60'000'000'000;
};

class Pulse {
 public:
  /// A gap between two looks that can't be ours alone: we look every 100 ms.
  static constexpr std::int64_t kGapNs = 1'000'000'000;

  /// A new life begins.
  void begin(std::int64_t now_ns) { *this = Pulse(now_ns); }

  Pulse() = default;

  /// One look at the number. True: it has stood still for too long.
  [[nodiscard]] bool missing(std::int64_t beat, std::int64_t now_ns, const PulseBounds& bounds) {
    const bool away = now_ns - looked_ns_ > kGapNs;
    looked_ns_ = now_ns;
    if (beat != beat_ && beats_ < kBeatsOfLife) ++beats_;
    if (away || beat != beat_) changed_ns_ = now_ns;
    beat_ = beat;
    if (bounds.silence_ns == 0) return false;
    return now_ns - changed_ns_ > (beats_ < kBeatsOfLife ? bounds.start_ns : bounds.silence_ns);
  }

 private:
  /// The first is its opening of the file, the second its first pass.
  static constexpr int kBeatsOfLife = 2;
  explicit Pulse(std::int64_t now_ns) : looked_ns_(now_ns), changed_ns_(now_ns) {}

  std::int64_t beat_ = 0;
  std::int64_t looked_ns_ = 0;
  std::int64_t changed_ns_ = 0;
  int beats_ = 0;
};

}  // namespace deja
