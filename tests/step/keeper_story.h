// What the workers logged, read from the log itself, and what must have come of it on the disk and
// in Redis: the reference that a keeper's pictures are judged by. Test code; header only; one
// thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/step/disk_watch.h"
#include "tests/step/redis_picture.h"
#include "tests/workers/keeper/test_appliance.h"
#include "workers/dead_letters/dead_letter_scan.h"
#include "workers/journal/journal_reader.h"

namespace deja {

/// (shard, sequence) of every record in the journal, with its kinds.
using JournalSeen = std::map<std::pair<std::uint32_t, std::uint64_t>, std::set<JournalKind>>;

[[nodiscard]] inline std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

[[nodiscard]] inline JournalSeen journal_of(const DiskFiles& files,
                                            std::vector<std::string>& complaints) {
  JournalSeen seen;
  for (const auto& [path, bytes] : files) {
    if (!path.starts_with("journal/")) continue;
    const auto name = JournalSegmentName::parse(path.substr(sizeof "journal/" - 1));
    if (!name) continue;
    const JournalSegmentFacts facts = read_journal_bytes(
        bytes_of(bytes), *name,
        [&](const JournalHeaderLayout&, const JournalRecordLayout& record, auto, auto) {
          seen[{record.shard, record.sequence}].insert(record.kind);
        });
    for (const std::string& damage : facts.damages) complaints.push_back("torn: " + damage);
  }
  return seen;
}

class KeeperStory {
 public:
  using Complaints = std::vector<std::string>;
  struct Logged {
    LogRecordLayout record{};
    std::string user;  ///< of an applied event
    std::string payload;
    std::uint64_t end_position = 0;
  };

  KeeperStory(MappedFile& log, std::uint32_t shard_count) : shard_count_(shard_count) {
    std::atomic<std::uint64_t> position{0};
    RingConsumer reader(log.data(), log.bytes(), &position);
    for (;;) {
      const RingRecord record = reader.next();
      if (record.outcome != RingRecord::Outcome::kRecord) break;
      Logged logged;
      std::memcpy(&logged.record, record.payload, sizeof logged.record);
      const auto* payload = reinterpret_cast<const char*>(record.payload) + sizeof logged.record;
      logged.payload.assign(payload, logged.record.event_bytes);
      logged.end_position = record.end_position;
      if (logged.record.kind == LogKind::kApplied) {
        std::vector<std::uint64_t> words(logged.payload.size() / 8);
        std::memcpy(words.data(), logged.payload.data(), logged.payload.size());
        EventFacts facts;
        CHECK(read_event_facts(words.data(), words.size(), 64, facts) == nullptr);
        logged.user.assign(facts.key.bytes, facts.key.size);
        users_[logged.user] = logged.record.shard;
      }
      log_.push_back(std::move(logged));
    }
  }

  [[nodiscard]] const std::map<std::string, std::uint32_t>& users() const { return users_; }
  /// Effects of the user's up to the shard's `sequence`; those that `journal` (or, without one, the
  /// log) knows to be struck have none.
  [[nodiscard]] std::uint64_t views(const std::string& user, std::uint64_t sequence,
                                    const JournalSeen* journal = nullptr) const {
    std::uint64_t count = 0;
    for (const Logged& logged : log_) {
      if (logged.user != user || logged.record.sequence > sequence) continue;
      if (!is_struck(logged.record, journal)) ++count;
    }
    return count;
  }
  [[nodiscard]] std::uint64_t last_sequence(std::uint32_t shard) const {
    std::uint64_t last = 0;
    for (const Logged& logged : log_) {
      if (logged.record.shard == shard) last = std::max(last, logged.record.sequence);
    }
    return last;
  }
  /// The highest sequence of the shard that was told to be durable.
  [[nodiscard]] std::uint64_t durable_sequence(std::uint32_t shard,
                                               std::uint64_t ring_position) const {
    std::uint64_t last = 0;
    for (const Logged& logged : log_) {
      if (logged.record.shard == shard && logged.record.ring_end <= ring_position) {
        last = std::max(last, logged.record.sequence);
      }
    }
    return last;
  }

  /// Everything told to be durable is on the disk, dead letters too; and so is what lost its place
  /// in the log.
  void judge_disk(const DiskFiles& files, std::uint64_t ring_position, std::uint64_t log_position,
                  Complaints& complaints) const {
    const JournalSeen journal = journal_of(files, complaints);
    const std::vector<DeadLetterText> letters = letters_of(files, complaints);
    for (std::size_t at = 0; at < log_.size(); ++at) {
      const Logged& logged = log_[at];
      const bool told = logged.record.ring_end <= ring_position;
      const bool given_back = logged.end_position <= log_position;
      if (!told && !given_back) continue;
      const std::string which = " of log record " + std::to_string(at);
      if (logged.record.sequence != 0) {
        const auto found = journal.find({logged.record.shard, logged.record.sequence});
        const JournalKind kind =
            logged.record.kind == LogKind::kDead ? JournalKind::kDead : JournalKind::kEvent;
        if (found == journal.end() || !found->second.contains(kind)) {
          complaints.push_back((told
                                    ? "lost: was told durable and is not synced, the event"
                                    : "lost: its space was given back and it is not synced, that") +
                               which);
        }
      }
      if (logged.record.kind != LogKind::kDead) continue;
      std::size_t count = 0;
      bool settled = logged.record.sequence == 0;
      for (const DeadLetterText& letter : letters) {
        if (letter.record != logged.payload || letter.ring_end != logged.record.ring_end) continue;
        ++count;
        settled |= letter.settled;
      }
      // Of a rejected event's letter nobody was promised that the disk has it.
      const bool rejected = logged.record.reason == RefusalReason::kRejected;
      if (count != 1 && !(rejected && count == 0)) {
        complaints.push_back((count == 0 ? "lost: the letter" : "doubled: the letter") + which);
      } else if (given_back && !settled) {
        complaints.push_back("lost: that it was settled, the letter" + which);
      }
    }
  }

  /// Redis has no version that never was, its watermark passes over nothing that it has not, ours
  /// is not above it, and nothing is there before the disk has it.
  void judge_redis(RedisPictures& redis, const DiskFiles& synced,
                   const std::atomic<std::uint64_t>* watermarks, Complaints& complaints) const {
    const JournalSeen journal = journal_of(synced, complaints);
    std::vector<std::uint64_t> in_redis;
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      in_redis.push_back(redis.number(watermark_key(shard), "sequence"));
      if (watermarks[shard].load() > in_redis[shard]) {
        complaints.emplace_back("order: our watermark is above Redis'");
      }
    }
    for (const auto& [user, shard] : users_) {
      const std::string key = profile_key(
          shard, {KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())});
      const std::uint64_t sequence = redis.number(key, "sequence");
      const std::uint64_t has = redis.number(key, "views");
      if (has != views(user, sequence)) {
        complaints.push_back("torn: Redis has " + user + " as it never was");
      }
      if (has < views(user, in_redis[shard])) {
        complaints.push_back("lost: Redis' watermark is above what it has of " + user);
      }
      for (std::uint64_t at = 1; at <= sequence; ++at) {
        if (journal.contains({shard, at})) continue;
        complaints.push_back("order: " + user + " is in Redis before the disk has it");
        break;
      }
    }
  }

 private:
  struct DeadLetterText {
    std::string record;
    std::uint64_t ring_end = 0;
    bool settled = false;
  };
  static std::vector<DeadLetterText> letters_of(const DiskFiles& files, Complaints& complaints) {
    std::vector<DeadLetterText> letters;
    const auto file = files.find("dead_letters");
    if (file == files.end()) return letters;
    const DeadLetterScan scan = scan_dead_letters(bytes_of(file->second));
    for (const std::string& damage : scan.damages) complaints.push_back("torn: letters: " + damage);
    for (const DeadLetter& letter : scan.letters) {
      letters.push_back({std::string(letter.record.begin(), letter.record.end()),
                         letter.head.ring_end, letter.settled});
    }
    return letters;
  }
  [[nodiscard]] bool is_struck(const LogRecordLayout& record, const JournalSeen* journal) const {
    if (journal != nullptr) {
      const auto found = journal->find({record.shard, record.sequence});
      return found != journal->end() && found->second.contains(JournalKind::kDead);
    }
    for (const Logged& logged : log_) {
      if (logged.record.kind == LogKind::kDead && logged.record.shard == record.shard &&
          logged.record.sequence == record.sequence) {
        return true;
      }
    }
    return false;
  }

  std::uint32_t shard_count_;
  std::vector<Logged> log_;
  std::map<std::string, std::uint32_t> users_;
};

}  // namespace deja
