// How many events one address and one write key may send in a second. One for all threads of the
// process, so that a client that opens more connections gets no more; any thread, one or two
// compare-and-swaps for a request or batch, none for an event. Allocates in the constructor only.
//
// A bucket holds what a second brings. Whoever's bucket is not empty may send, however much: the
// bucket then goes below zero and has to fill again first. So a batch larger than the rate is
// taken, and paid for by a longer pause. A bucket is one number: the instant at which it will be
// full again (GCRA, as in ATM's traffic management; "virtual scheduling").
//
// Addresses share a table of fixed size, four places for each hash. Where all four are taken the
// newcomer gets the place with the smallest debt, and that debt: who cycles through addresses to
// push out his own earns nothing by it, at the price of strangers who share his debt while he does.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "ingest/peer_address.h"
#include "shm/base/clock.h"
#include "shm/keyed_hash.h"

namespace deja {

class RateLimits {
 public:
  struct Options {
    std::uint64_t address_events_per_s = 0;  ///< 0: no limit
    std::uint64_t key_events_per_s = 0;      ///< likewise
    std::size_t key_count = 0;
    std::size_t address_sets = 4096;  ///< of four places each; a power of two
    std::int64_t (*clock_ns)() = steady_ns;
  };
  RateLimits() : RateLimits(Options()) {}
  explicit RateLimits(const Options& options);

  /// Seconds until it may send again, rounded up; 0: now. An unknown address (a unix socket) and a
  /// negative key (there are none) have no limit.
  [[nodiscard]] std::uint32_t address_pause_s(const PeerAddress& address) const;
  [[nodiscard]] std::uint32_t key_pause_s(std::int32_t key) const;
  void charge_address(const PeerAddress& address, std::uint64_t events);
  void charge_key(std::int32_t key, std::uint64_t events);

 private:
  struct Place {
    std::atomic<std::uint64_t> tag{0};     // the address's hash; 0: free
    std::atomic<std::int64_t> full_ns{0};  // when the bucket is full again
  };
  [[nodiscard]] std::uint64_t tag_of(const PeerAddress& address) const;
  [[nodiscard]] Place* set_of(std::uint64_t tag) const;
  [[nodiscard]] Place& place_of(std::uint64_t tag) const;
  [[nodiscard]] std::uint32_t pause_s(const std::atomic<std::int64_t>& full_ns) const;
  void charge(std::atomic<std::int64_t>& full_ns, std::uint64_t events, std::uint64_t per_s) const;

  Options options_;
  HashSecret secret_;
  std::unique_ptr<Place[]> places_;
  std::vector<std::atomic<std::int64_t>> keys_;
};

}  // namespace deja
