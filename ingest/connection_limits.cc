#include "ingest/connection_limits.h"

namespace deja {

bool AddressGate::admit(const PeerAddress& peer) {
  if (!counts(peer)) return true;
  const std::lock_guard<std::mutex> lock(counting_);
  std::uint32_t& count = counts_[peer.subscriber().bytes];
  if (count >= per_address_max_) return false;
  ++count;
  return true;
}

void AddressGate::leave(const PeerAddress& peer) {
  if (!counts(peer)) return;
  const std::lock_guard<std::mutex> lock(counting_);
  const auto found = counts_.find(peer.subscriber().bytes);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

}  // namespace deja
