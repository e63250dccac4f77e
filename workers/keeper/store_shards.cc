// Stored profiles under another count of shards. Each profile's name says its shard, so a new count
// gives most of them another name. Part of RedisStore.
//
//   begin (one script): the watermarks of the old count are put behind deja:resharding, those of
//   the
//                       new one begin at the lowest of them, deja:shards becomes the new count
//   file:               every profile is renamed to its shard of the new count
//   … the keeper replays its journal above the old watermarks, and writes …
//   end:                once every new watermark stands above all that was there before, and has
//   for
//                       redis.loss_window, deja:resharding goes
//
// While deja:resharding is there, whoever connects files again: what was renamed and got lost with
// Redis' tail, or was not renamed by one who died, lies under an old name. Each step may be done
// again. Another change of the count before the end puts one more line there.
//
// Crash points: keeper.after_resharding, keeper.in_filing, keeper.after_filing,
// keeper.before_resharded, keeper.after_resharded.
#include <charconv>

#include "shm/base/crash_point.h"
#include "workers/journal/journal_layout.h"
#include "workers/keeper/image.h"
#include "workers/keeper/redis_store.h"
#include "workers/keeper/stored_profile.h"

namespace deja {
namespace {

constexpr std::string_view kPageCount = "256";

// KEYS: deja:shards, deja:resharding. ARGV: our count, our epoch, the highest count there is.
// RPUSH comes first, since it is what a Redis without memory refuses. A line's lowest sequence is
// one that Redis has of everybody; so is the highest of those.
constexpr std::string_view kBegin = R"(
local had, ours = tonumber(redis.call('GET', KEYS[1])), tonumber(ARGV[1])
if had == ours then return 'there' end
if not had or had < 1 or had > tonumber(ARGV[3]) or had % 1 ~= 0 then return 'broken' end
local function watermark(shard) return string.format('deja:{%d}:watermark', shard) end
local line = {}
for shard = 0, had - 1 do
  local sequence = tonumber(redis.call('HGET', watermark(shard), 'sequence') or '0') or 0
  line[shard + 1] = string.format('%.0f', sequence)
end
redis.call('RPUSH', KEYS[2], table.concat(line, ' '))
local floor = 0
for _, known in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local lowest = math.huge
  for number in string.gmatch(known, '%d+') do lowest = math.min(lowest, tonumber(number)) end
  if lowest < math.huge then floor = math.max(floor, lowest) end
end
for shard = 0, math.max(had, ours) - 1 do redis.call('DEL', watermark(shard)) end
if floor > 0 then
  for shard = 0, ours - 1 do
    redis.call('HSET', watermark(shard), 'epoch', ARGV[2], 'sequence', string.format('%.0f', floor))
  end
end
redis.call('SET', KEYS[1], ARGV[1])
return 'begun'
)";

// KEYS: where a profile is, where it belongs. Should it be at both, the newer one stays.
constexpr std::string_view kFile = R"(
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
if redis.call('EXISTS', KEYS[2]) == 1 then
  local from = redis.call('HMGET', KEYS[1], 'epoch', 'sequence')
  local to = redis.call('HMGET', KEYS[2], 'epoch', 'sequence')
  local function number(text) return tonumber(text or '0') or 0 end
  local a, b = number(from[1]) - number(to[1]), number(from[2]) - number(to[2])
  if a < 0 or (a == 0 and b <= 0) then
    redis.call('DEL', KEYS[1])
    return 'older'
  end
end
redis.call('RENAME', KEYS[1], KEYS[2])
return 'filed'
)";

/// A line of deja:resharding; empty where it is none.
std::vector<std::uint64_t> parse_line(std::string_view line) {
  std::vector<std::uint64_t> sequences;
  while (!line.empty()) {
    std::uint64_t sequence = 0;
    const auto [end, problem] = std::from_chars(line.data(), line.data() + line.size(), sequence);
    if (problem != std::errc{} || sequence > kStoredNumberMax) return {};
    sequences.push_back(sequence);
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    if (line.starts_with(' ')) line.remove_prefix(1);
  }
  if (sequences.size() > kJournalShardsMax) return {};
  return sequences;
}

}  // namespace

std::optional<StoreFault> RedisStore::settle_shards(std::uint64_t epoch) {
  const std::string shards = std::to_string(identity_.shard_count);
  std::string stored;
  if (auto fault = claim(kShardsKey, shards, stored)) return fault;
  RedisReply reply;
  if (stored != shards) {
    if (auto fault = ask({"EVAL", kBegin, "2", kShardsKey, kReshardingKey, shards,
                          std::to_string(epoch), std::to_string(kJournalShardsMax)},
                         reply)) {
      return fault;
    }
    if (reply.text() == "broken") {
      return StoreFault{StoreFault::Kind::kRefused, url_.shown() +
                                                        " has a deja:shards that is no count: '" +
                                                        stored + "'. Restore Redis from a backup."};
    }
    CRASH_POINT("keeper.after_resharding");
  }
  if (auto fault = ask({"EXISTS", kReshardingKey}, reply)) return fault;
  resharding_ = reply.number() == 1U;
  if (!resharding_) return std::nullopt;
  if (auto fault = file_all()) return fault;
  CRASH_POINT("keeper.after_filing");
  return std::nullopt;
}

std::optional<StoreFault> RedisStore::file_all() {
  RedisReply reply;
  if (auto fault = ask({"SCRIPT", "LOAD", kFile}, reply)) return fault;
  const std::string script(reply.text());
  std::string cursor = "0";
  do {
    if (auto fault = ask({"SCAN", cursor, "MATCH", kProfilePattern, "COUNT", kPageCount}, reply)) {
      return fault;
    }
    if (reply.size() != 2) {
      return StoreFault{StoreFault::Kind::kUnreachable,
                        url_.shown() + " answers a SCAN with: " + std::string(reply.text())};
    }
    cursor = reply.element(0).text();
    if (auto fault = file_page(script, reply.element(1))) return fault;
  } while (cursor != "0");
  return std::nullopt;
}

/// What is no profile by its name stays where it is: reading back names it.
std::optional<StoreFault> RedisStore::file_page(const std::string& script, const RedisReply& page) {
  bool any = false;
  for (std::size_t at = 0; at < page.size(); ++at) {
    const RedisReply name = page.element(at);
    const std::optional<ProfileName> profile = parse_profile_key(name.text());
    if (!profile) continue;
    const std::uint32_t shard = shard_of(profile->key, identity_.shard_count);
    if (shard == profile->shard) continue;
    const std::string filed = profile_key(shard, profile->key);
    connection_->append({"EVALSHA", script, "2", name.text(), filed});
    any = true;
  }
  if (!any) return std::nullopt;
  std::string problem;
  const Status done = connection_->exchange([&](std::size_t, const RedisReply& reply) {
    // A key that only looks like a profile is refused when it is read back.
    if (reply.is_error() && reply.text().find("WRONGTYPE") == std::string_view::npos) {
      problem = reply.text();
    }
  });
  CRASH_POINT("keeper.in_filing");
  if (!done) return StoreFault{StoreFault::Kind::kUnreachable, done.error().message()};
  if (problem.empty()) return std::nullopt;
  return StoreFault{
      StoreFault::Kind::kUnreachable,
      url_.shown() + ": a profile can't be moved to its shard of the new count: " + problem};
}

std::optional<StoreFault> RedisStore::read_former(
    std::vector<std::vector<std::uint64_t>>& divisions) {
  divisions.clear();
  RedisReply reply;
  if (auto fault = ask({"LRANGE", kReshardingKey, "0", "-1"}, reply)) return fault;
  for (std::size_t at = 0; at < reply.size(); ++at) {
    std::vector<std::uint64_t> division = parse_line(reply.element(at).text());
    if (division.empty()) {
      return StoreFault{StoreFault::Kind::kRefused,
                        url_.shown() +
                            " has a deja:resharding that can't be read. Restore Redis "
                            "from a backup."};
    }
    divisions.push_back(std::move(division));
  }
  return std::nullopt;
}

std::optional<StoreFault> RedisStore::end_resharding() {
  CRASH_POINT("keeper.before_resharded");
  RedisReply reply;
  if (auto fault = ask({"DEL", kReshardingKey}, reply)) return fault;
  CRASH_POINT("keeper.after_resharded");
  resharding_ = false;
  return std::nullopt;
}

}  // namespace deja
