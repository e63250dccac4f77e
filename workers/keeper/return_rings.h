// The keeper's ends of the return rings: hands what store and journal have to the workers that
// still wait for it, and later stored parts to partial profiles. At start it may wait (in bounded
// naps) while a ring is full; later it never does. The keeper's thread alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ring/bell.h"
#include "ring/positions.h"
#include "ring/return_record.h"
#include "ring/spsc_ring.h"
#include "shm/segment.h"
#include "workers/journal/journal_layout.h"

namespace deja {

class ReturnRings {
 public:
  /// `nap` sleeps a little and answers false when waiting is to end (the keeper is told to stop).
  [[nodiscard]] static Result<ReturnRings> open(const Segment& segment, std::function<bool()> nap);

  /// The worker still wants its profiles: it had not said that all of them are in.
  [[nodiscard]] bool waits(std::uint32_t worker) const { return workers_[worker].waits; }

  /// What an earlier keeper handed over is first consumed. False: waiting was ended.
  [[nodiscard]] bool wait_until_consumed();

  /// Each hands one record over; nothing for a worker that had recovered when the rings were opened
  /// or consumed. False: waiting was ended. `profile.frame_bytes` is frame.size().
  /// `type`: kReturnProfile or kReturnNeeded.
  [[nodiscard]] bool give_profile(std::uint32_t type, const ReturnProfileLayout& profile,
                                  std::string_view key, std::string_view frame);
  [[nodiscard]] bool give_ids(std::uint32_t shard, std::span<const JournalIdLayout> ids);
  [[nodiscard]] bool give_event(std::uint32_t shard, std::uint64_t sequence,
                                std::span<const std::uint64_t> words);
  [[nodiscard]] bool give_shard(const ReturnShardLayout& shard);
  /// Says to all that this was all, and wakes them.
  [[nodiscard]] bool give_end();

  /// A kReturnStored or kReturnNothing for a worker that has recovered. False: no room now.
  [[nodiscard]] bool try_give_part(std::uint32_t type, const ReturnProfileLayout& profile,
                                   std::string_view key, std::string_view frame);

 private:
  struct Worker {
    MappedFile ring_file;
    MappedFile worker_file;
    std::unique_ptr<RingProducer> ring;
    std::unique_ptr<BellRope> bell;
    bool waits = true;
    std::uint32_t unpublished = 0;
  };
  ReturnRings(const TableGeometry& geometry, std::function<bool()> nap);
  [[nodiscard]] static bool recovered(const Worker& worker);
  [[nodiscard]] std::uint8_t* claim(Worker& worker, std::uint32_t size);
  void commit(Worker& worker, std::uint32_t size, std::uint32_t type);
  void publish(Worker& worker);

  TableGeometry geometry_;
  std::function<bool()> nap_;
  std::vector<Worker> workers_;
};

}  // namespace deja
