// How a story judges a segment: what a kill left, and what a recovery made of it. Included by
// story.h alone. Test code; header only; one thread.
#pragma once

#include "tests/step/story.h"

namespace deja {

inline std::vector<StepStory::Told> StepStory::tell(const SegmentLook& end,
                                                    Complaints& complaints) const {
  std::vector<StepLogged const*> all;
  for (const StepLogged& logged : log_) all.push_back(&logged);
  for (const StepLogged& logged : end.log) all.push_back(&logged);
  std::vector<Told> told;
  std::size_t ring = 0;
  std::size_t answer = 0;
  auto sequences = first_sequences;
  for (const StepLogged* logged : all) {
    const LogRecordLayout& record = logged->record;
    const std::string at = "log record " + std::to_string(told.size());
    if (is_decision(record)) {
      tell_decision(*logged, told, at, complaints);
      continue;
    }
    if (record.kind == LogKind::kMerged) {
      if (answer == answers.size()) {
        complaints.push_back("doubled: " + at + " merges what was merged");
        break;
      }
      told.push_back({logged, answers[answer].user});
      told.back().is_struck = answers[answer].struck;
      if (record.ring_position != answers[answer].end)
        complaints.push_back("log: " + at + " merges another answer");
      ++answer;
    } else {
      if (ring == sent_.size()) {
        complaints.push_back("doubled: " + at + " is of no record in the ring");
        break;
      }
      const Sent& sent = sent_[ring++];
      if (record.ring_position != sent.begin || record.ring_end != sent.end) {
        complaints.push_back("doubled or lost: " + at + " is of another place in the ring");
      }
      if ((record.reason == RefusalReason::kRejected) != sent.rejected) {
        complaints.push_back("log: " + at + " is of the wrong reason");
      }
      if (record.kind != sent.kind) complaints.push_back("log: " + at + " is of the wrong kind");
      if ((record.kind == LogKind::kApplied || record.kind == LogKind::kDead) &&
          logged->payload != sent.bytes) {
        complaints.push_back("torn: " + at + " has other bytes than the ring");
      }
      told.push_back({logged, sent.event.key, sent.event.id_low, &sent, sent.struck});
    }
    if ((record.kind == LogKind::kApplied || record.kind == LogKind::kMerged) &&
        record.sequence != ++sequences[record.shard]) {
      complaints.push_back("log: " + at + " has not the next sequence");
    }
  }
  if (ring != sent_.size())
    complaints.emplace_back("lost: records of the ring without one in the log");
  for (const Told& one : told) {
    if (one.is_struck && one.decided_at == 0) complaints.emplace_back("lost: a decision");
  }
  if (answer != answers.size()) complaints.emplace_back("lost: an answer was not merged");
  for (std::uint32_t shard = 0; shard < end.sequences.size(); ++shard) {
    const auto last = sequences.find(shard);
    if (end.sequences[shard] != (last == sequences.end() ? 0 : last->second)) {
      complaints.emplace_back("lost: a shard's sequence is not its log's");
    }
  }
  return told;
}

/// That an event which was logged as applied, or a merge, has no effect.
inline void StepStory::tell_decision(const StepLogged& logged, std::vector<Told>& told,
                                     const std::string& at, Complaints& complaints) {
  Told decision{&logged, {}};
  bool found = false;
  for (Told& one : told) {
    if (!one.is_struck) continue;
    const LogRecordLayout& about = one.logged->record;
    if (about.shard != logged.record.shard || about.sequence != logged.record.sequence) continue;
    found = true;
    if (one.decided_at != 0) complaints.push_back("doubled: " + at + " decides again");
    one.decided_at = told.size() + 1;
    if (logged.payload != one.logged->payload || about.ring_end != logged.record.ring_end) {
      complaints.push_back("torn: " + at + " is not the event that it is about");
    }
  }
  if (!found) complaints.push_back("lost: " + at + " strikes what killed nobody");
  told.push_back(decision);
}

inline std::map<std::string, std::vector<StepVersion>> StepStory::versions(
    const std::vector<Told>& told) const {
  auto all = stored;
  std::size_t answer = 0;
  for (std::size_t at = 0; at < told.size(); ++at) {
    const LogRecordLayout& record = told[at].logged->record;
    const bool merged = record.kind == LogKind::kMerged;
    const Sent* sent = told[at].sent;
    if (!merged && record.kind != LogKind::kApplied) continue;
    if (told[at].is_struck) {
      answer += merged ? 1 : 0;
      continue;
    }
    std::vector<StepVersion>& known = all[told[at].user];
    StepVersion next = known.empty() ? StepVersion{} : known.back();
    if (!merged && (record.flags & kLogBeganPartial) != 0) {
      next = {};
      next.partial = true;
    }
    if (merged) next.partial = false;
    const std::uint64_t more = merged ? answers[answer++].stored.mask : sent->bit;
    next.mask += more;
    next.views += static_cast<std::uint64_t>(std::popcount(more));
    next.highest = std::bit_floor(next.mask);
    next.sequence = record.sequence;
    next.logged_at = at + 1;
    known.push_back(next);
  }
  return all;
}

inline StepStory::Complaints StepStory::judge_end(const SegmentLook& seen,
                                                  const SegmentLooker& looker,
                                                  WorkerWorld& world) const {
  Complaints complaints = seen.faults;
  const std::vector<Told> told = tell(seen, complaints);
  for (const auto& [user, known] : versions(told)) {
    const StepVersion& last = known.back();
    const auto found = seen.profiles.find(user);
    if (found == seen.profiles.end()) {
      if (!may_be_gone(seen, user, last.sequence)) complaints.push_back("lost: " + user);
    } else if (!(last == found->second)) {
      const StepProfile& is = found->second;
      const char* what = is.views > last.views   ? "doubled: "
                         : is.views < last.views ? "lost: "
                                                 : "torn: ";
      complaints.push_back(what + user + " has " + std::to_string(is.views) + " events worth " +
                           std::to_string(is.mask) + " at " + std::to_string(is.sequence) +
                           ", not " + std::to_string(last.views) + " worth " +
                           std::to_string(last.mask) + " at " + std::to_string(last.sequence));
    }
  }
  std::uint64_t used = 0;
  for (const std::uint64_t count : seen.used_counts) used += count;
  if (used != seen.profiles.size()) complaints.emplace_back("table: used_count is wrong");
  std::uint64_t counts[6] = {};
  std::set<std::uint64_t> verdicts;
  for (std::size_t at = 0; at < sent_.size(); ++at) {
    const Sent& sent = sent_[at];
    if (sent.rejected) continue;
    const LogKind outcome = sent.struck ? LogKind::kDead : sent.kind;
    ++counts[static_cast<int>(outcome)];
    const bool refused = outcome == LogKind::kDead || outcome == LogKind::kRefused;
    if (refused && at >= settled_count_) verdicts.insert(sent.end);
    if (at >= settled_count_ && sent.kind == LogKind::kApplied && sent.event.id_low != 0 &&
        !seen.ids[shard(sent.event.key)].contains(looker.folded(sent.event.id_low))) {
      complaints.push_back("lost: an id of " + sent.event.key);
    }
  }
  if (seen.verdicts != verdicts || seen.verdict_count != verdicts.size()) {
    complaints.emplace_back("doubled or lost: a verdict");
  }
  const auto expect_count = [&](std::string_view name, std::uint64_t count) {
    if (world.counter(name) == count) return;
    complaints.push_back("count: " + std::string(name) + " " + std::to_string(world.counter(name)) +
                         ", not " + std::to_string(count));
  };
  expect_count(kAppliedCounter, counts[1]);
  expect_count(kDuplicateCounter, counts[2]);
  expect_count(kTableFullCounter, counts[3]);
  expect_count(kDeadCounter, counts[4]);
  expect_count("deja_profiles", used);
  if (seen.consumed_position != seen.ring_position || seen.applied_position != seen.log_position ||
      seen.returned_position != seen.return_ring_position) {
    complaints.emplace_back("lost: a position is not at its end");
  }
  return complaints;
}

/// The order of a step's stores: the log before the effect before the id before the sequence before
/// the positions; and a reader sees a version whole.
inline StepStory::Complaints StepStory::judge_cut(const SegmentLook& cut, const SegmentLook& end,
                                                  const SegmentLooker& looker) const {
  Complaints complaints = cut.faults;
  Complaints ignored;  // judge_end() says them
  const std::vector<Told> told = tell(end, ignored);
  const auto known = versions(told);
  const std::size_t logged_count = log_.size() + cut.log.size();
  for (const auto& [user, is] : cut.profiles) {
    const auto versions_known = known.find(user);
    const StepVersion* match = nullptr;
    if (versions_known != known.end()) {
      for (const StepVersion& version : versions_known->second) {
        if (version == is) match = &version;
      }
    }
    if (match == nullptr) {
      complaints.push_back("torn: a reader sees " + user + " as it never was");
    } else if (match->logged_at > logged_count) {
      complaints.push_back("order: the effect on " + user + " is seen before the log has it");
    }
  }
  const auto visible = [&](const Told& one) {
    // Of a struck event that it was decided is all that there is to see.
    if (one.decided_at != 0) return one.decided_at <= logged_count;
    const auto found = cut.profiles.find(one.user);
    if (found != cut.profiles.end()) return found->second.sequence >= one.logged->record.sequence;
    return may_be_gone(cut, one.user, one.logged->record.sequence);
  };
  for (std::size_t at = 0; at < told.size(); ++at) {
    const LogRecordLayout& record = told[at].logged->record;
    const bool merged = record.kind == LogKind::kMerged;
    const bool of_answer = record.ring_end == 0;  // a merge, or a decision about one
    const bool consumed = of_answer ? record.ring_position <= cut.returned_position
                                    : record.ring_end <= cut.consumed_position;
    const bool has_sequence = merged || record.kind == LogKind::kApplied;
    const bool counted = has_sequence && record.sequence <= cut.sequences[record.shard];
    const bool refused = has_verdict(record.reason) || told[at].is_struck;
    const bool recent = at >= log_.size();  // older ids may be forgotten
    const bool has_id = recent && record.kind == LogKind::kApplied && told[at].id != 0;
    const bool id_kept = has_id && cut.ids[record.shard].contains(looker.folded(told[at].id));
    const std::string what = " of log record " + std::to_string(at);
    if (id_kept && !visible(told[at]))
      complaints.push_back("order: the id" + what + " before its effect");
    if (counted && !visible(told[at]))
      complaints.push_back("order: the sequence" + what + " before its effect");
    if (counted && has_id && !id_kept)
      complaints.push_back("order: the sequence" + what + " before its id");
    if (consumed && has_sequence && !counted)
      complaints.push_back("order: the position" + what + " before its sequence");
    if (consumed && at >= logged_count)
      complaints.push_back("order: the position" + what + " before the log");
    if (consumed && recent && refused && !of_answer && !cut.verdicts.contains(record.ring_end))
      complaints.push_back("order: the position" + what + " before its verdict");
    if (told[at].logged->end_position <= cut.applied_position && !consumed)
      complaints.push_back("order: applied_position" + what + " before the ring's");
  }
  return complaints;
}

}  // namespace deja
