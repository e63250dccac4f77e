#include "workers/keeper/stored_parts.h"

#include "shm/base/crash_point.h"
#include "workers/keeper/touched_set.h"

namespace deja {
namespace {

constexpr std::size_t kQuestionsAtOnceMax = 128;
/// A page's misses are some dozens.
constexpr std::size_t kAskedMax = 4096;

}  // namespace

void StoredParts::want(std::uint32_t shard, const Key& key, std::uint64_t sequence) {
  wanted_.insert_or_assign(owned_key(key), Wanted{shard, sequence});
  counters_.partial_wanted.set(wanted_.size());
}

void StoredParts::ask(const Key& key) {
  if (asked_.size() < kAskedMax) {
    asked_.insert(owned_key(key));
  } else {
    counters_.asked[kAskedTooMany].add();
  }
}

void StoredParts::want_all_partial() {
  ProfileCopy copy = table_.copy();
  for (std::uint32_t shard = 0; shard < table_.geometry().shard_count; ++shard) {
    // Nobody begins without a part in the store unless some may be in it alone.
    if (!table_.shard(shard).has_absent()) continue;
    ShardCursor cursor;
    for (;;) {
      const ReadOutcome outcome = table_.shard(shard).next(cursor, copy);
      if (outcome == ReadOutcome::kAbsent) break;
      if (outcome == ReadOutcome::kFound && copy.partial()) want(shard, copy.key(), 0);
    }
  }
}

std::vector<StoredParts::Question> StoredParts::next_questions() const {
  std::vector<Question> questions;
  for (const auto& [owned, wanted] : wanted_) {
    if (questions.size() == kQuestionsAtOnceMax) return questions;
    questions.push_back({owned, wanted, false});
  }
  const std::uint32_t shard_count = table_.geometry().shard_count;
  for (const std::string& owned : asked_) {
    if (questions.size() == kQuestionsAtOnceMax) break;
    questions.push_back({owned, {shard_of(key_of(owned), shard_count), 0}, true});
  }
  return questions;
}

Status StoredParts::tick() {
  if (empty() || !store_.connected()) return Done{};
  const std::vector<Question> questions = next_questions();
  RedisConnection& connection = store_.connection();
  for (const Question& question : questions) {
    const std::string name = profile_key(question.wanted.shard, key_of(question.owned));
    connection.append({"HGET", name, "image"});
  }
  std::vector<RedisReply> images;
  const Status done = connection.exchange(
      [&](std::size_t, RedisReply reply) { images.push_back(std::move(reply)); });
  if (!done) return done;
  for (std::size_t at = 0; at < questions.size(); ++at) {
    const Result<bool> given = give(questions[at], images[at]);
    if (!given) return given.error();
    if (!*given) continue;
    if (questions[at].asked) {
      asked_.erase(questions[at].owned);
    } else {
      wanted_.erase(questions[at].owned);
    }
  }
  counters_.partial_wanted.set(wanted_.size());
  return Done{};
}

Result<bool> StoredParts::give(const Question& question, const RedisReply& reply) {
  const Wanted& wanted = question.wanted;
  const std::uint32_t shard = wanted.shard;
  if (reply.is_error()) return false;
  const Key key = key_of(question.owned);
  StoredImages::Profile profile;
  std::uint32_t type = question.asked ? kReturnAsked : kReturnStored;
  if (reply.kind() == RedisReply::Kind::kNil) {
    if (question.asked) {
      counters_.asked[kAskedNothing].add();
      return true;
    }
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
  if (outcome == ReadOutcome::kAbsent && !question.asked) {
    // Logged and not published yet: its turn comes; or its event was found to be deadly.
    return table_.shard(shard).sequence() >= wanted.sequence;
  }
  if (outcome == ReadOutcome::kFound && !copy.partial()) {
    if (question.asked) counters_.asked[kAskedPresent].add();
    return true;
  }
  CRASH_POINT("keeper.before_stored_part");
  if (!rings_.try_give_part(type, profile.record, profile.key, profile.frame)) return false;
  CRASH_POINT("keeper.after_stored_part");
  (question.asked ? counters_.asked[kAskedGiven] : counters_.stored_parts).add();
  return true;
}

}  // namespace deja
