// What connections may take together: places per address, and memory for their buffers. One for
// all threads of a process. Any thread.
//
// Memory: every connection has kFreeBytes to itself, which an ordinary request needs not leave;
// beyond that its buffers are charged to one budget. Whoever wants to grow when the budget is spent
// is refused and closed, and nobody else is: so the bound is the budget, one receive for each
// connection that hits it, and kFreeBytes for each place. Once half of the budget is spent, idle
// connections give back what they keep for their next request.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "ingest/connection.h"
#include "ingest/peer_address.h"

namespace deja {

class BufferBudget {
 public:
  static constexpr std::uint64_t kDefaultBytes = 256ULL << 20U;
  explicit BufferBudget(std::uint64_t bytes = kDefaultBytes) : bytes_max_(bytes) {}

  [[nodiscard]] bool exceeded() const { return held() > bytes_max_; }
  [[nodiscard]] bool scarce() const { return held() > bytes_max_ / 2; }
  [[nodiscard]] std::uint64_t held() const { return held_.load(std::memory_order_relaxed); }

 private:
  friend class BufferShare;
  const std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> held_{0};
};

/// What one connection holds of it; that connection's thread.
class BufferShare {
 public:
  static constexpr std::size_t kFreeBytes = 48 * 1024;

  explicit BufferShare(BufferBudget* budget) : budget_(budget) {}
  ~BufferShare() { (void)hold(0); }
  BufferShare(const BufferShare&) = delete;
  BufferShare& operator=(const BufferShare&) = delete;

  /// The connection's buffers are so large now. False: it has grown beyond what is left, so it must
  /// not grow further.
  [[nodiscard]] bool hold(std::size_t bytes) {
    if (budget_ == nullptr) return true;
    const std::size_t charged = bytes > kFreeBytes ? bytes - kFreeBytes : 0;
    const bool grows = charged > charged_;
    // Unsigned: a difference below zero wraps, and adds up all the same.
    if (charged != charged_) {
      budget_->held_.fetch_add(std::uint64_t{charged} - charged_, std::memory_order_relaxed);
    }
    charged_ = charged;
    return !grows || !budget_->exceeded();
  }
  [[nodiscard]] bool scarce() const { return budget_ != nullptr && budget_->scarce(); }

 private:
  BufferBudget* budget_;
  std::size_t charged_ = 0;
};

/// Places of one address. Taken and given back where connections open and close: not on the way of
/// an event, so it may lock and allocate. It knows as many addresses as there are connections.
class AddressGate final : public ConnectionGate {
 public:
  /// 0: no limit. Proxies of ours and unix sockets have none.
  AddressGate(std::uint32_t per_address_max, const TrustedProxies& proxies)
      : per_address_max_(per_address_max), proxies_(proxies) {}

  [[nodiscard]] bool admit(const PeerAddress& peer) override;
  void leave(const PeerAddress& peer) override;

 private:
  [[nodiscard]] bool counts(const PeerAddress& peer) const {
    return per_address_max_ != 0 && peer.known && !proxies_.contains(peer);
  }
  std::uint32_t per_address_max_;
  const TrustedProxies& proxies_;
  std::mutex counting_;
  std::map<std::array<std::uint8_t, 16>, std::uint32_t> counts_;
};

}  // namespace deja
