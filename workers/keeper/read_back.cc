#include "workers/keeper/read_back.h"

#include <algorithm>
#include <string_view>

namespace deja {
namespace {

constexpr std::string_view kPageCount = "256";
constexpr std::size_t kNamesAtOnce = 256;
constexpr std::uint64_t kEventsBetweenBeats = 4096;

}  // namespace

ReadBack::Outcome ReadBack::run(const std::vector<std::uint64_t>& watermarks) {
  sequences_ = watermarks;
  for (std::uint32_t shard = 0; shard < sequences_.size(); ++shard) {
    sequences_[shard] =
        std::max({sequences_[shard], parts_.journal.highest_sequence(shard), parts_.begin_above});
  }
  for (const auto step : {&ReadBack::give_ids, &ReadBack::give_touched, &ReadBack::give_events,
                          &ReadBack::give_others}) {
    if (const Outcome outcome = (this->*step)(); outcome != Outcome::kDone) return outcome;
  }
  if (!parts_.before_shards(sequences_)) return Outcome::kStopped;
  for (std::uint32_t shard = 0; shard < sequences_.size(); ++shard) {
    if (!parts_.rings.give_shard({sequences_[shard], shard, 0})) return Outcome::kStopped;
  }
  return parts_.rings.give_end() ? Outcome::kDone : Outcome::kStopped;
}

ReadBack::Outcome ReadBack::lost_redis(const std::string& problem) {
  problem_ = problem;
  return Outcome::kLostRedis;
}

ReadBack::Outcome ReadBack::give_ids() {
  for (std::uint32_t shard = 0; shard < sequences_.size(); ++shard) {
    if (!parts_.rings.give_ids(shard, parts_.journal.ids(shard))) return Outcome::kStopped;
  }
  return Outcome::kDone;
}

/// The stored profiles that events of the journal are about.
ReadBack::Outcome ReadBack::give_touched() {
  std::vector<std::string> names;
  for (std::uint32_t shard = 0; shard < sequences_.size(); ++shard) {
    for (const JournalIndex::Entry& entry : parts_.journal.entries(shard)) {
      if (entry.kind != JournalKind::kEvent) continue;
      if (replayed_count_ % kEventsBetweenBeats == 0) parts_.alive();
      if (Status read = parts_.journal.read(entry, words_); !read) {
        problem_ = read.error().message();
        return Outcome::kLostJournal;
      }
      EventFacts facts;
      if (read_event_facts(words_.data(), words_.size(), parts_.geometry.key_bytes, facts) !=
          nullptr) {
        continue;
      }
      std::string name = profile_key(shard, facts.key);
      if (!given_.insert(name).second) continue;
      names.push_back(std::move(name));
      if (names.size() < kNamesAtOnce) continue;
      if (const Outcome outcome = fetch(names, kReturnNeeded); outcome != Outcome::kDone)
        return outcome;
      names.clear();
    }
  }
  return fetch(names, kReturnNeeded);
}

ReadBack::Outcome ReadBack::give_events() {
  for (std::uint32_t shard = 0; shard < sequences_.size(); ++shard) {
    for (const JournalIndex::Entry& entry : parts_.journal.entries(shard)) {
      if (entry.kind != JournalKind::kEvent) continue;
      if (Status read = parts_.journal.read(entry, words_); !read) {
        problem_ = read.error().message();
        return Outcome::kLostJournal;
      }
      const std::string& written_under = parts_.journal.catalog_of(entry);
      // Of an event that this config knows nothing of only its sequence is left.
      if (written_under != parts_.catalog &&
          !translations_.translate(written_under, parts_.catalog, words_)) {
        continue;
      }
      if (parts_.journal.is_moved(entry) && !move_event(words_, shard)) continue;
      if (!parts_.rings.give_event(shard, entry.sequence, words_)) return Outcome::kStopped;
      ++replayed_count_;
      parts_.counters.replayed.add();
    }
  }
  return Outcome::kDone;
}

ReadBack::Outcome ReadBack::give_others() {
  std::string cursor = "0";
  do {
    Result<RedisReply> page = parts_.store.connection().command(
        {"SCAN", cursor, "MATCH", kProfilePattern, "COUNT", kPageCount});
    if (!page) return lost_redis(page.error().message());
    if (page->size() != 2) {
      return lost_redis("Redis answers a SCAN with: " + std::string(page->text()));
    }
    cursor = page->element(0).text();
    if (const Outcome outcome = take_page(page->element(1)); outcome != Outcome::kDone) {
      return outcome;
    }
  } while (cursor != "0");
  return Outcome::kDone;
}

ReadBack::Outcome ReadBack::take_page(const RedisReply& page) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at < page.size(); ++at) {
    const std::string name(page.element(at).text());
    if (name.ends_with("}:watermark") || given_.count(name) != 0) continue;
    if (parse_profile_key(name)) {
      names.push_back(name);
    } else {
      parts_.images.refuse("unknown_name");
    }
  }
  return fetch(names, kReturnProfile);
}

ReadBack::Outcome ReadBack::fetch(const std::vector<std::string>& names, std::uint32_t type) {
  RedisConnection& connection = parts_.store.connection();
  for (const std::string& name : names) connection.append({"HGET", name, "image"});
  std::vector<RedisReply> images;
  const Status done = connection.exchange(
      [&](std::size_t, RedisReply reply) { images.push_back(std::move(reply)); });
  if (!done) return lost_redis(done.error().message());
  for (std::size_t at = 0; at < names.size(); ++at) {
    // A user who is new since the watermark has nothing stored yet.
    if (images[at].kind() == RedisReply::Kind::kNil && given_.count(names[at]) != 0) continue;
    StoredImages::Profile profile;
    switch (parts_.images.read(*parse_profile_key(names[at]), images[at], profile)) {
      case StoredImages::Outcome::kRefused:
        continue;
      case StoredImages::Outcome::kLostRedis:
        return lost_redis(parts_.images.problem());
      case StoredImages::Outcome::kGood:
        break;
    }
    const ReturnProfileLayout& record = profile.record;
    if (!parts_.rings.give_profile(type, record, profile.key, profile.frame)) {
      return Outcome::kStopped;
    }
    sequences_[record.shard] = std::max(sequences_[record.shard], record.sequence);
    ++restored_count_;
    parts_.counters.restored.add();
    if (profile.translated) {
      ++translated_count_;
      parts_.counters.translated.add();
    }
  }
  return Outcome::kDone;
}

}  // namespace deja
