// Hands what is left of a rejected event to a worker, over a ring, for the keeper's file of dead
// letters (ring/rejected_event.h). The event was counted and is answered already: a letter is a
// kindness to whoever looks for the fault, and costs nobody else anything.
//
//  1. Only for what can't be understood: an event that may be sent again as it is (a full ring, a
//     full table, a journal in trouble, a rate) is none.
//  2. No more than the LetterBucket gives, and only into a ring that is more than half free with
//  it.
//     What is not handed over is counted.
//  3. A letter is visible with the sink's next publish(). An ingest that is killed before loses it.
//
// One ingest thread. Allocates nothing after construction.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ingest/extraction.h"
#include "ingest/letter_bucket.h"
#include "ring/rejected_event.h"
#include "ring/spsc_ring.h"
#include "shm/process_file.h"

namespace deja {

class RejectedLetters {
 public:
  struct Remains {
    std::string_view text;  ///< what there is of it; anybody's bytes
    RejectedForm form = RejectedForm::kBody;
    CallType call = CallType::kNone;  ///< of the route; kNone: a batch
    bool cut = false;                 ///< there was more of it
  };

  RejectedLetters(ProcessFile& process, std::uint32_t thread);
  /// To each worker in turn. It outlives this.
  void add_ring(RingProducer* ring) { rings_.push_back(ring); }

  /// Whether this one may be kept; counts it where it may not. To be followed by put().
  [[nodiscard]] bool admit(const Refusal& refusal);
  void put(const Refusal& refusal, const Remains& remains, std::int64_t received_us);

 private:
  std::vector<RingProducer*> rings_;
  std::size_t next_ = 0;
  LetterBucket bucket_;
  Counter handed_;
  Counter over_rate_;
  Counter no_room_;
};

}  // namespace deja
