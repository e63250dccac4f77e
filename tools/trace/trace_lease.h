// The one file of the segment that `deja trace` writes: what is followed, for how long, and which
// slots may be used again (ring/trace_layout.h). A lease, not a switch: whoever holds it renews it,
// and when that ends, however it ends, ingest follows nothing any more. One thread.
#pragma once

#include <cstdint>

#include "ring/trace_layout.h"
#include "shm/place_lock.h"
#include "shm/segment.h"

namespace deja {

/// By when ingest follows what it was told: its threads sleep for 10 ms at most, and look then.
inline constexpr std::int64_t kTraceNoticedNs = 50'000'000;

/// How long a lease lasts that nobody renews.
inline constexpr std::int64_t kTraceLeaseNs = 2'000'000'000;

/// What to follow; any of them.
struct Followed {
  double sample = 0;            ///< this part of all ids, 0 to 1
  bool has_user = false;        ///< … and who has this hash
  std::uint64_t user_hash = 0;  ///< keyed_hash() of a key, under the superblock's secret
  bool requests = false;        ///< … and events whose request has a sampled traceparent
};

class TraceLease {
 public:
  /// Takes the place of the appliance's only tracer, and waits until what a predecessor had left is
  /// off. An Error names who has it.
  [[nodiscard]] static Result<TraceLease> take(const Segment& segment);
  /// Follows nothing any more, at once.
  ~TraceLease();
  TraceLease(TraceLease&&) = default;
  TraceLease& operator=(TraceLease&&) = delete;

  /// From the next renew() on, in each ingest thread with its next pass.
  void follow(const Followed& what);
  /// To be called several times within kTraceLeaseNs.
  void renew();
  /// The slots of that lane before `number` are not needed any more.
  void collected(std::uint32_t lane, std::uint64_t number);

 private:
  TraceLease(PlaceLock place, MappedFile file) : place_(std::move(place)), file_(std::move(file)) {}
  [[nodiscard]] TraceControlLayout& control() const { return *file_.at<TraceControlLayout>(); }
  PlaceLock place_;
  MappedFile file_;
};

}  // namespace deja
