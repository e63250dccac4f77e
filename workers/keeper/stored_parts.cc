#include "workers/keeper/stored_parts.h"

#include "shm/base/crash_point.h"
#include "workers/keeper/touched_set.h"

namespace deja {
namespace {

constexpr std::size_t kAskedAtOnceMax = 128;

}  // namespace

void StoredParts::want(std::uint32_t shard, const Key& key, std::uint64_t sequence) {
  wanted_.insert_or_assign(owned_key(key), Wanted{shard, sequence});
  counters_.partial_wanted.set(wanted_.size());
}

void StoredParts::want_all_partial() {
  ProfileCopy copy = table_.copy();
  for (std::uint32_t shard = 0; shard < table_.geometry().shard_count; ++shard) {
    ShardCursor cursor;
    for (;;) {
      const ReadOutcome outcome = table_.shard(shard).next(cursor, copy);
      if (outcome == ReadOutcome::kAbsent) break;
      if (outcome == ReadOutcome::kFound && copy.partial()) want(shard, copy.key(), 0);
    }
  }
}

Status StoredParts::tick() {
  if (wanted_.empty() || !store_.connected()) return Done{};
  std::vector<std::pair<std::string, Wanted>> asked;
  for (const auto& entry : wanted_) {
    asked.push_back(entry);
    if (asked.size() == kAskedAtOnceMax) break;
  }
  RedisConnection& connection = store_.connection();
  for (const auto& [owned, wanted] : asked) {
    connection.append({"HGET", profile_key(wanted.shard, key_of(owned)), "image"});
  }
  std::vector<RedisReply> images;
  const Status done = connection.exchange(
      [&](std::size_t, RedisReply reply) { images.push_back(std::move(reply)); });
  if (!done) return done;
  for (std::size_t at = 0; at < asked.size(); ++at) {
    const Result<bool> given = give(asked[at].second, asked[at].first, images[at]);
    if (!given) return given.error();
    if (*given) wanted_.erase(asked[at].first);
  }
  counters_.partial_wanted.set(wanted_.size());
  return Done{};
}

Result<bool> StoredParts::give(const Wanted& wanted, const std::string& owned,
                               const RedisReply& reply) {
  const std::uint32_t shard = wanted.shard;
  if (reply.is_error()) return false;
  const Key key = key_of(owned);
  StoredImages::Profile profile;
  std::uint32_t type = kReturnStored;
  if (reply.kind() == RedisReply::Kind::kNil) {
    type = kReturnNothing;
    profile.record.shard = shard;
    profile.record.key_size = static_cast<std::uint8_t>(key.size);
    profile.record.key_namespace = static_cast<std::uint8_t>(key.name_space);
    profile.key = {key.bytes, key.size};
  } else {
    switch (images_.read({shard, key}, reply, profile)) {
      case StoredImages::Outcome::kGood:
        break;
      case StoredImages::Outcome::kRefused:
        return true;
      case StoredImages::Outcome::kLostRedis:
        return Error{images_.problem(), 0, {}};
    }
  }
  // Looked at after Redis answered, right before it is given: see 1.
  ProfileCopy copy = table_.copy();
  const ReadOutcome outcome = table_.shard(shard).get(key, copy);
  if (outcome == ReadOutcome::kBusy) return false;
  if (outcome == ReadOutcome::kAbsent) {
    // Logged and not published yet: its turn comes; or its event was found to be deadly.
    return table_.shard(shard).sequence() >= wanted.sequence;
  }
  if (!copy.partial()) return true;
  CRASH_POINT("keeper.before_stored_part");
  if (!rings_.try_give_part(type, profile.record, profile.key, profile.frame)) return false;
  CRASH_POINT("keeper.after_stored_part");
  counters_.stored_parts.add();
  return true;
}

}  // namespace deja
