#include "ingest/rate_limits.h"

#include <algorithm>
#include <limits>
#include <random>

namespace deja {
namespace {

constexpr std::size_t kWays = 4;
constexpr std::int64_t kSecondNs = 1'000'000'000;
// Of one request: far beyond any batch, and times a second still no overflow.
constexpr std::uint64_t kEventsMax = 1'000'000;

std::uint64_t random_word(std::random_device& device) {
  return std::uint64_t{device()} << 32U | device();
}

}  // namespace

RateLimits::RateLimits(const Options& options) : options_(options), keys_(options.key_count) {
  std::random_device device;
  secret_ = {{random_word(device), random_word(device)}};
  if (options_.address_events_per_s != 0) {
    places_ = std::make_unique<Place[]>(options_.address_sets * kWays);
  }
}

std::uint64_t RateLimits::tag_of(const PeerAddress& address) const {
  const PeerAddress subscriber = address.subscriber();
  const std::uint64_t hash =
      sip_hash<1, 3>(secret_, reinterpret_cast<const char*>(subscriber.bytes.data()),
                     static_cast<std::uint32_t>(subscriber.bytes.size()), 16);
  return std::max<std::uint64_t>(hash, 1);
}

RateLimits::Place* RateLimits::set_of(std::uint64_t tag) const {
  return &places_[(tag & (options_.address_sets - 1)) * kWays];
}

// Two threads may give a place away at once: then one address's charge lands on the other's, which
// a limit survives. Nothing else is in these words, so they need no order.
RateLimits::Place& RateLimits::place_of(std::uint64_t tag) const {
  Place* set = set_of(tag);
  Place* least = set;
  std::int64_t least_ns = std::numeric_limits<std::int64_t>::max();
  for (Place* place = set; place != set + kWays; ++place) {
    if (place->tag.load(std::memory_order_relaxed) == tag) return *place;
    const std::int64_t full_ns = place->full_ns.load(std::memory_order_relaxed);
    if (full_ns < least_ns) {
      least = place;
      least_ns = full_ns;
    }
  }
  least->tag.store(tag, std::memory_order_relaxed);
  return *least;
}

std::uint32_t RateLimits::pause_s(const std::atomic<std::int64_t>& full_ns) const {
  const std::int64_t missing_ns = full_ns.load(std::memory_order_relaxed) - options_.clock_ns();
  if (missing_ns < kSecondNs) return 0;
  const std::int64_t pause_s = (missing_ns - kSecondNs) / kSecondNs + 1;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(pause_s, 86'400));
}

void RateLimits::charge(std::atomic<std::int64_t>& full_ns, std::uint64_t events,
                        std::uint64_t per_s) const {
  const auto cost_ns =
      static_cast<std::int64_t>(std::min(events, kEventsMax) * std::uint64_t{kSecondNs} / per_s);
  const std::int64_t now_ns = options_.clock_ns();
  std::int64_t before = full_ns.load(std::memory_order_relaxed);
  while (!full_ns.compare_exchange_weak(before, std::max(before, now_ns) + cost_ns,
                                        std::memory_order_relaxed)) {
  }
}

std::uint32_t RateLimits::address_pause_s(const PeerAddress& address) const {
  if (options_.address_events_per_s == 0 || !address.known) return 0;
  const std::uint64_t tag = tag_of(address);
  const Place* set = set_of(tag);
  for (const Place* place = set; place != set + kWays; ++place) {
    if (place->tag.load(std::memory_order_relaxed) == tag) return pause_s(place->full_ns);
  }
  return 0;  // never met; its first charge finds it a place
}

std::uint32_t RateLimits::key_pause_s(std::int32_t key) const {
  if (options_.key_events_per_s == 0 || key < 0) return 0;
  return pause_s(keys_[static_cast<std::size_t>(key)]);
}

void RateLimits::charge_address(const PeerAddress& address, std::uint64_t events) {
  if (options_.address_events_per_s == 0 || !address.known) return;
  charge(place_of(tag_of(address)).full_ns, events, options_.address_events_per_s);
}

void RateLimits::charge_key(std::int32_t key, std::uint64_t events) {
  if (options_.key_events_per_s == 0 || key < 0) return;
  charge(keys_[static_cast<std::size_t>(key)], events, options_.key_events_per_s);
}

}  // namespace deja
