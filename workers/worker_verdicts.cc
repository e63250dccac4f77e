#include "workers/worker_verdicts.h"

#include <cstring>
#include <utility>

namespace deja {
namespace {

constexpr std::uint64_t kVerdictBytes = ring_record_bytes(sizeof(VerdictLayout));

}  // namespace

VerdictWriter::VerdictWriter(MappedFile file, const std::atomic<std::uint64_t>* consumer_position)
    : file_(std::move(file)),
      ring_(file_.data(), file_.bytes(), consumer_position),
      last_end_(last_published_end()) {}

std::uint64_t VerdictWriter::last_published_end() const {
  // All records are of one size and none crosses the ring's end, so the newest lies right before
  // the published position, and stays there until something is committed behind it.
  const std::uint64_t end = ring_.published_position();
  if (end < kVerdictBytes) return 0;
  const std::uint64_t index = (end - kVerdictBytes) & (ring_.capacity_bytes() - 1);
  VerdictLayout verdict;
  std::memcpy(&verdict, file_.data() + sizeof(RingHeaderLayout) + index + sizeof(RingRecordLayout),
              sizeof verdict);
  return verdict.ring_end;
}

bool VerdictWriter::has_room() {
  // Half of the ring at most is committed and not yet published, so that last_published_end() of
  // the next life finds the newest published verdict whole.
  const std::uint64_t pending_bytes = ring_.committed_position() - ring_.published_position();
  return pending_bytes + 2 * kVerdictBytes <= ring_.capacity_bytes() / 2 &&
         ring_.claim(sizeof(VerdictLayout)) != nullptr;
}

void VerdictWriter::refuse(std::uint64_t ring_end, RefusalReason reason) {
  if (ring_end <= last_end_) return;
  std::uint8_t* claimed = ring_.claim(sizeof(VerdictLayout));
  if (claimed == nullptr) return;
  VerdictLayout verdict{};
  verdict.ring_end = ring_end;
  verdict.reason = reason;
  std::memcpy(claimed, &verdict, sizeof verdict);
  ring_.commit(sizeof verdict, kVerdict);
  last_end_ = ring_end;
}

}  // namespace deja
