#include "workers/keeper/read_back.h"

#include <algorithm>
#include <string_view>

namespace deja {
namespace {

/// Enough that Redis works for a millisecond or more before it waits for the next question.
constexpr std::string_view kPageCount = "1024";
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

/// Page by page: the next page's names are asked for together with this one's images.
ReadBack::Outcome ReadBack::give_others() {
  Page page;
  page.next = "0";
  do {
    if (const Outcome outcome = fetch(page, kReturnProfile); outcome != Outcome::kDone) {
      return outcome;
    }
  } while (!page.names.empty() || !page.next.empty());
  return Outcome::kDone;
}

/// The stored profiles of these names are handed over.
ReadBack::Outcome ReadBack::fetch(const std::vector<std::string>& names, std::uint32_t type) {
  Page page;
  page.names = names;
  return fetch(page, type);
}

/// Fetches and hands over `page`, and makes it the one after it; a page without names and next is
/// the end.
ReadBack::Outcome ReadBack::fetch(Page& page, std::uint32_t type) {
  RedisConnection& connection = parts_.store.connection();
  for (const std::string& name : page.names) connection.append({"HGET", name, "image"});
  if (!page.next.empty()) {
    connection.append({"SCAN", page.next, "MATCH", kProfilePattern, "COUNT", kPageCount});
  }
  std::vector<RedisReply> images;
  RedisReply scanned;
  const Status done = connection.exchange([&](std::size_t at, RedisReply reply) {
    if (at < page.names.size()) {
      images.push_back(std::move(reply));
    } else {
      scanned = std::move(reply);
    }
  });
  if (!done) return lost_redis(done.error().message());
  for (std::size_t at = 0; at < page.names.size(); ++at) {
    if (const Outcome outcome = give(page.names[at], images[at], type); outcome != Outcome::kDone) {
      return outcome;
    }
  }
  page.names.clear();
  if (page.next.empty()) return Outcome::kDone;
  if (scanned.size() != 2) {
    return lost_redis("Redis answers a SCAN with: " + std::string(scanned.text()));
  }
  page.next = scanned.element(0).text();
  if (page.next == "0") page.next.clear();
  take_names(scanned.element(1), page.names);
  return Outcome::kDone;
}

void ReadBack::take_names(const RedisReply& scanned, std::vector<std::string>& names) {
  for (std::size_t at = 0; at < scanned.size(); ++at) {
    const std::string name(scanned.element(at).text());
    if (name.ends_with("}:watermark") || given_.count(name) != 0) continue;
    if (parse_profile_key(name)) {
      names.push_back(name);
    } else {
      parts_.images.refuse("unknown_name");
    }
  }
}

ReadBack::Outcome ReadBack::give(const std::string& name, const RedisReply& image,
                                 std::uint32_t type) {
  // A user who is new since the watermark has nothing stored yet.
  if (image.kind() == RedisReply::Kind::kNil && given_.count(name) != 0) return Outcome::kDone;
  StoredImages::Profile profile;
  switch (parts_.images.read(*parse_profile_key(name), image, profile)) {
    case StoredImages::Outcome::kRefused:
      return Outcome::kDone;
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
  return Outcome::kDone;
}

}  // namespace deja
