#include "ingest/rejected_letters.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "ingest/refusal_codes.h"
#include "shm/base/clock.h"

namespace deja {
namespace {

/// With the largest letter in it more than half of the ring is free.
bool half_free(const RingProducer& ring) {
  constexpr std::uint64_t kLargest =
      ring_record_bytes(sizeof(RejectedEventLayout) + kRejectedTextMax);
  // A consumer that claims to be ahead is as far behind as can be.
  const std::uint64_t used = ring.committed_position() - ring.consumer_position();
  const std::uint64_t half = ring.capacity_bytes() / 2;
  return used <= half && half - used > std::min(kLargest, ring.capacity_bytes() / 4);
}

template <std::size_t size>
void put_text(char (&into)[size], const char* text) {
  std::memcpy(into, text, std::min(std::strlen(text), size - 1));
}

}  // namespace

RejectedLetters::RejectedLetters(ProcessFile& process, std::uint32_t thread)
    : bucket_(steady_ns()) {
  const auto counter = [&](const char* outcome) {
    return process.counter("deja_rejected_letters_total{outcome=\"" + std::string(outcome) +
                           "\",thread=\"" + std::to_string(thread) + "\"}");
  };
  handed_ = counter("handed");
  over_rate_ = counter("over_rate");
  no_room_ = counter("no_room");
}

bool RejectedLetters::admit(const Refusal& refusal) {
  if (refusal.code == nullptr || worth_resending(refusal.code)) return false;
  next_ = (next_ + 1) % rings_.size();
  if (!half_free(*rings_[next_])) {
    no_room_.add();
    return false;
  }
  if (!bucket_.take(steady_ns())) {
    over_rate_.add();
    return false;
  }
  return true;
}

void RejectedLetters::put(const Refusal& refusal, const Remains& remains,
                          std::int64_t received_us) {
  RingProducer& ring = *rings_[next_];
  constexpr auto kHeadBytes = static_cast<std::uint32_t>(sizeof(RejectedEventLayout));
  const std::uint64_t room =
      std::min<std::uint64_t>(kRejectedTextMax, ring.capacity_bytes() / 4 - kHeadBytes - 8);
  const auto text_bytes =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(remains.text.size(), room));
  std::uint8_t* record = ring.claim(kHeadBytes + text_bytes);
  if (record == nullptr) {
    no_room_.add();
    return;
  }
  RejectedEventLayout head{};
  head.received_us = received_us;
  head.text_bytes = text_bytes;
  head.flags = remains.cut || text_bytes < remains.text.size() ? kRejectedCut : 0;
  head.form = remains.form;
  head.call = static_cast<std::uint8_t>(remains.call);
  put_text(head.code, refusal.code);
  put_text(head.path, refusal.path);
  std::memcpy(record, &head, sizeof head);
  if (text_bytes != 0) std::memcpy(record + sizeof head, remains.text.data(), text_bytes);
  ring.commit(kHeadBytes + text_bytes, kRejectedEvent, Counted::kNo);
  handed_.add();
}

}  // namespace deja
