// What was sent to one worker, kept outside of it, and what must have come of it: the reference
// that pictures of the segment are judged by. Test code; header only; one thread.
//
// Which of the events were applied follows from what was sent; the log must say the same, record
// for record, and the profiles must be the log's sum. Only who is evicted is the worker's choice.
#pragma once

#include <bit>
#include <map>
#include <string>
#include <vector>

#include "tests/step/segment_look.h"
#include "tests/support/worker_world.h"

namespace deja {

struct StepVersion : StepProfile {
  std::size_t logged_at = 0;  ///< needs so many records in the log; 0: it was stored before
  friend bool operator==(const StepVersion& one, const StepProfile& other) {
    return one.sequence == other.sequence && one.mask == other.mask && one.views == other.views &&
           one.highest == other.highest && one.partial == other.partial;
  }
};

class StepStory {
 public:
  using Complaints = std::vector<std::string>;

  struct Sent {
    TestEvent event;
    std::vector<std::uint8_t> bytes;
    LogKind kind = LogKind::kApplied;
    std::uint64_t begin = 0, end = 0;
    std::uint64_t bit = 0;
    bool struck = false;    ///< logged as applied, and decided to have no effect
    bool rejected = false;  ///< no event
  };
  struct Answer {
    std::string user;
    StepProfile stored;
    std::uint64_t end = 0;
    bool struck = false;  ///< as of an event
  };

  /// The next event of `user`; each has another value.
  [[nodiscard]] TestEvent event_of(const std::string& user, std::uint64_t id = 0) {
    TestEvent event{user};
    event.kinds = 3;
    event.id_low = id;
    const auto bit = static_cast<double>(std::uint64_t{1} << bits_[user]++);
    event.values = {{3, 0, ValueKind::kNumber, bit}};
    return event;
  }
  void send(TestIngest& ingest, const TestEvent& event, LogKind kind = LogKind::kApplied) {
    add(ingest, event, event.bytes(2), kind, static_cast<std::uint64_t>(event.values[0].number));
  }
  /// One that kills whoever applies it: its workers log it, and then that it has no effect.
  void send_struck(TestIngest& ingest, const TestEvent& event) {
    send(ingest, event);
    sent_.back().struck = true;
  }
  void send_broken(TestIngest& ingest) {
    add(ingest, TestEvent{}, std::vector<std::uint8_t>(24), LogKind::kDead, 0);
  }
  /// What ingest had rejected: logged, and of no account.
  void send_rejected(TestIngest& ingest) {
    add(ingest, TestEvent{}, std::vector<std::uint8_t>(168, 'r'), LogKind::kDead, 0,
        kRejectedEvent);
  }

  /// What was done so far was done in peace: its outcomes are taken from the log as they are.
  void settle(const SegmentLook& seen) {
    CHECK(log_.size() + seen.log.size() <= sent_.size() + answers.size());  // no decisions yet
    for (const StepLogged& logged : seen.log) {
      if (logged.record.kind != LogKind::kMerged) {
        sent_[ring_count_++].kind = logged.record.kind;
      }
      log_.push_back(logged);
    }
    settled_count_ = sent_.size();
  }
  /// Everything of the last part once more, as a producer that saw no answer sends it.
  void resend(TestIngest& ingest) {
    const std::size_t end = sent_.size();
    for (std::size_t at = settled_count_; at < end; ++at) {
      const Sent again = sent_[at];
      // What was refused or read no further than its place may be sent again as if it were new.
      const bool gone = again.kind == LogKind::kRefused || again.kind == LogKind::kDead;
      if (again.event.id_low == 0 || gone) continue;
      add(ingest, again.event, again.bytes, LogKind::kDuplicate, again.bit);
    }
  }

  std::map<std::string, std::vector<StepVersion>> stored;  ///< versions that no log tells of
  std::map<std::uint32_t, std::uint64_t> first_sequences;  ///< of shards that did not begin at 0
  std::vector<Answer> answers;                             ///< those that must be merged, in order
  std::uint32_t dropped_answers = 0;

  /// Judges a segment that was recovered and has emptied its rings.
  [[nodiscard]] Complaints judge_end(const SegmentLook& seen, const SegmentLooker& looker,
                                     WorkerWorld& world) const;
  /// Judges what a kill left, by what the log said in the end.
  [[nodiscard]] Complaints judge_cut(const SegmentLook& cut, const SegmentLook& end,
                                     const SegmentLooker& looker) const;

  [[nodiscard]] static std::uint32_t shard(const std::string& user) {
    return shard_of({KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())}, 2);
  }

 private:
  struct Told {
    const StepLogged* logged;
    std::string user;
    std::uint64_t id = 0;
    const Sent* sent = nullptr;  ///< null: an answer of the store, or a decision
    bool is_struck = false;      ///< killed whoever applied it
    std::size_t decided_at = 0;  ///< then: so many records till its decision
  };
  [[nodiscard]] static bool is_decision(const LogRecordLayout& record) {
    return record.kind == LogKind::kDead && record.sequence != 0;
  }
  void add(TestIngest& ingest, const TestEvent& event, const std::vector<std::uint8_t>& bytes,
           LogKind kind, std::uint64_t bit, std::uint32_t type = kEventRecord) {
    const std::uint64_t begin = sent_.empty() ? 0 : sent_.back().end;
    const std::uint64_t end = send_bytes(ingest, bytes, type);
    CHECK(end != 0);
    sent_.push_back({event, bytes, kind, begin, end, bit, false, type == kRejectedEvent});
  }
  [[nodiscard]] static std::uint64_t send_bytes(TestIngest& ingest,
                                                const std::vector<std::uint8_t>& bytes,
                                                std::uint32_t type) {
    const std::uint64_t end = ingest.commit(bytes, type);
    ingest.publish();
    return end;
  }
  /// The whole log, each record with what it is about.
  [[nodiscard]] std::vector<Told> tell(const SegmentLook& end, Complaints& complaints) const;
  static void tell_decision(const StepLogged& logged, std::vector<Told>& told,
                            const std::string& at, Complaints& complaints);
  [[nodiscard]] std::map<std::string, std::vector<StepVersion>> versions(
      const std::vector<Told>& told) const;
  [[nodiscard]] static bool may_be_gone(const SegmentLook& seen, const std::string& user,
                                        std::uint64_t sequence) {
    return seen.has_absent[shard(user)] && sequence <= seen.confirmed[shard(user)];
  }

  std::map<std::string, unsigned> bits_;
  std::vector<Sent> sent_;
  std::vector<StepLogged> log_;  // drained before the last part
  std::size_t ring_count_ = 0;   // of sent_, told by log_
  std::size_t settled_count_ = 0;
};

}  // namespace deja

#include "tests/step/story_judge.h"
