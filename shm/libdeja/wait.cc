// Waiting for one's own click: polls the workers' consumed positions, since a reader can't be rung.
#include <cstring>
#include <ctime>

#include "shm/libdeja/handle.h"
#include "shm/token.h"

namespace deja::libdeja {
namespace {

/// An event is visible within some microseconds, mostly: so long it isn't worth a sleep.
constexpr int kSpins = 200;
constexpr std::int64_t kNapFirst_ns = 20'000;
constexpr std::int64_t kNapLongest_ns = 1'000'000;

std::int64_t steady_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline void pause_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Whether the worker has consumed the part's ring up to its position.
bool consumed(const Attachment& attachment, const TokenPart& part) {
  const auto* file = reinterpret_cast<const ConsumedLayout*>(attachment.consumed[part.worker].data);
  // SYNC(consumed.position): the entries it covers were published before.
  return consumed_ring(file, part.ingest)->position.load(std::memory_order_acquire) >=
         part.position;
}

/// One look. Positions only grow, so a part that was met stays met: `part` is the first that isn't.
enum class Look : std::uint8_t { kVisible, kNotYet, kEnded };
Look look(const Attachment& attachment, bool earlier_life, TokenReader& parts, TokenPart& part,
          bool& more) {
  if (attachment.ended()) return Look::kEnded;
  if (earlier_life) {
    // All that was accepted then was recovered before this life began to serve.
    return attachment.state() == SegmentState::kStarting ? Look::kNotYet : Look::kVisible;
  }
  while (more && consumed(attachment, part)) more = parts.next(part);
  return more ? Look::kNotYet : Look::kVisible;
}

}  // namespace
}  // namespace deja::libdeja

using namespace deja::libdeja;

deja_status deja_wait(const deja_appliance* appliance, const char* token, int64_t timeout_us) {
  if (appliance == nullptr || token == nullptr) return DEJA_MISUSE;
  const Attachment& attachment = appliance->attachment;
  deja::TokenReader parts(token, std::strlen(token));
  if (!parts.valid()) return DEJA_MISUSE;
  if (parts.incarnation() > attachment.incarnation) return DEJA_STALE;
  const bool earlier_life = parts.incarnation() < attachment.incarnation;
  deja::TokenPart part;
  while (parts.next(part)) {
    const bool here =
        part.worker < attachment.geometry.worker_count && part.ingest < attachment.ingest_count;
    if (!earlier_life && !here) return DEJA_MISUSE;
  }
  parts.rewind();
  bool more = parts.next(part);

  std::int64_t deadline_ns = 0;
  std::int64_t nap_ns = kNapFirst_ns;
  for (int spin = 0;; ++spin) {
    const Look seen = look(attachment, earlier_life, parts, part, more);
    if (seen == Look::kVisible) return DEJA_OK;
    if (seen == Look::kEnded) return DEJA_STALE;
    if (timeout_us <= 0) return DEJA_TIMEOUT;
    if (spin == 0) {
      const std::int64_t longest_us = std::int64_t{1} << 50U;  // 36 years, without an overflow
      const std::int64_t wait_us = timeout_us < longest_us ? timeout_us : longest_us;
      deadline_ns = steady_now_ns() + wait_us * 1000;
    }
    if (spin < kSpins) {
      pause_core();
      continue;
    }
    const std::int64_t left_ns = deadline_ns - steady_now_ns();
    if (left_ns <= 0) return DEJA_TIMEOUT;
    const timespec nap{0, left_ns < nap_ns ? left_ns : nap_ns};
    nanosleep(&nap, nullptr);
    if (nap_ns < kNapLongest_ns) nap_ns *= 2;
  }
}
