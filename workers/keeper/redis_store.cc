#include "workers/keeper/redis_store.h"

#include "workers/keeper/image.h"
#include "workers/keeper/stored_profile.h"

namespace deja {
namespace {

// KEYS[1]: profile or watermark. ARGV: epoch, sequence, catalog, then field, value, …
// HSET comes before any other change: it is what a Redis without memory refuses, and after a first
// change Redis would let the rest of a script pass.
constexpr std::string_view kGuard = R"(
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'catalog')
local epoch = tonumber(stored[1] or '0') or 0
local sequence = tonumber(stored[2] or '0') or 0
local our_epoch, our_sequence = tonumber(ARGV[1]), tonumber(ARGV[2])
if epoch > our_epoch then return 'fenced' end
if epoch == our_epoch and sequence >= our_sequence then return 'older' end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'sequence', ARGV[2], unpack(ARGV, 4))
if stored[3] and stored[3] ~= ARGV[3] then
  local given = {epoch = true, sequence = true}
  for at = 4, #ARGV, 2 do given[ARGV[at]] = true end
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if not given[field] then redis.call('HDEL', KEYS[1], field) end
  end
end
return 'written'
)";

constexpr std::string_view kRaiseEpoch = R"(
local stored = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
local epoch = string.format('%.0f', math.max(stored, tonumber(ARGV[1])) + 1)
redis.call('SET', KEYS[1], epoch)
return epoch
)";

constexpr std::string_view kConfirmEpoch = R"(
local stored = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
if stored > tonumber(ARGV[1]) then return 'fenced' end
if stored < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 'ours'
)";

StoreFault unreachable(std::string sentence) {
  return {StoreFault::Kind::kUnreachable, std::move(sentence)};
}
StoreFault refused(std::string sentence) {
  return {StoreFault::Kind::kRefused, std::move(sentence)};
}

}  // namespace

RedisStore::RedisStore(RedisUrl url, RedisLimits limits, StoreIdentity identity,
                       RedisConnection::WhileWaiting while_waiting)
    : url_(std::move(url)),
      limits_(limits),
      identity_(std::move(identity)),
      while_waiting_(std::move(while_waiting)) {}

std::optional<StoreFault> RedisStore::open(std::uint64_t& epoch, bool raise, std::string& note) {
  Result<RedisConnection> connected = RedisConnection::connect(url_, limits_, while_waiting_);
  if (!connected) return unreachable(connected.error().message());
  connection_.emplace(std::move(*connected));
  std::optional<StoreFault> fault = check(epoch, raise, note);
  if (fault) close();
  return fault;
}

std::optional<StoreFault> RedisStore::ask(std::initializer_list<std::string_view> arguments,
                                          RedisReply& reply) {
  Result<RedisReply> answer = connection_->command(arguments);
  if (!answer) return unreachable(answer.error().message());
  reply = std::move(*answer);
  if (!reply.is_error()) return std::nullopt;
  std::string sentence = url_.shown() + " answers: " + std::string(reply.text());
  if (reply.error_code() == "LOADING") return StoreFault{StoreFault::Kind::kLoading, sentence};
  if (reply.error_code() == "NOAUTH") {
    return refused(sentence + ". Put the user and password into [redis] url.");
  }
  return unreachable(std::move(sentence));
}

std::optional<StoreFault> RedisStore::check(std::uint64_t& epoch, bool raise, std::string& note) {
  RedisReply reply;
  if (auto fault = ask({"PING"}, reply)) return fault;
  if (auto fault = check_policy(note)) return fault;
  std::string stored;
  if (auto fault = claim(kApplianceKey, identity_.appliance, stored)) return fault;
  if (stored != identity_.appliance) {
    return refused(url_.shown() + " holds the profiles of the appliance '" + stored +
                   "', not of '" + identity_.appliance +
                   "'. Give each appliance a Redis database of its own ([redis] url).");
  }
  const std::string catalog = catalog_key(identity_.catalog_hash);
  if (auto fault = ask({"EXISTS", catalog}, reply)) return fault;
  if (reply.number() != 1U) {
    if (auto fault = ask({"SET", catalog, identity_.catalog}, reply)) return fault;
  }
  if (auto fault = load_guard()) return fault;
  if (auto fault = settle_epoch(epoch, raise)) return fault;
  // Behind the epoch: one who was replaced may not file anything back.
  return settle_shards(epoch);
}

std::optional<StoreFault> RedisStore::check_policy(std::string& note) {
  Result<RedisReply> reply = connection_->command({"CONFIG", "GET", "maxmemory-policy"});
  if (!reply) return unreachable(reply.error().message());
  note.clear();
  if (reply->size() != 2) {
    note = "Redis does not tell its maxmemory-policy: make sure that it is noeviction";
    return std::nullopt;
  }
  const std::string policy(reply->element(1).text());
  if (policy == "noeviction") return std::nullopt;
  return refused(url_.shown() + " has maxmemory-policy " + policy +
                 " and may throw profiles away. Set maxmemory-policy noeviction in its config.");
}

std::optional<StoreFault> RedisStore::claim(std::string_view key, const std::string& value,
                                            std::string& stored) {
  RedisReply reply;
  if (auto fault = ask({"GET", key}, reply)) return fault;
  if (reply.kind() == RedisReply::Kind::kNil) {
    if (auto fault = ask({"SETNX", key, value}, reply)) return fault;
    if (auto fault = ask({"GET", key}, reply)) return fault;
  }
  stored = reply.text();
  return std::nullopt;
}

std::optional<StoreFault> RedisStore::settle_epoch(std::uint64_t& epoch, bool raise) {
  RedisReply reply;
  const std::string ours = std::to_string(epoch);
  if (raise) {
    if (auto fault = ask({"EVAL", kRaiseEpoch, "1", kEpochKey, ours}, reply)) return fault;
    const std::optional<std::uint64_t> raised = reply.number();
    if (!raised || *raised <= epoch || *raised > kStoredNumberMax) {
      return refused(url_.shown() + " has a deja:epoch that is no epoch: '" +
                     std::string(reply.text()) + "'. Restore Redis from a backup.");
    }
    epoch = *raised;
    return std::nullopt;
  }
  if (auto fault = ask({"EVAL", kConfirmEpoch, "1", kEpochKey, ours}, reply)) return fault;
  if (reply.text() == "fenced") {
    return StoreFault{StoreFault::Kind::kFenced,
                      url_.shown() +
                          " is written to by a later life of this appliance than epoch " + ours +
                          ". Stop one of the two."};
  }
  return std::nullopt;
}

std::optional<StoreFault> RedisStore::load_guard() {
  RedisReply reply;
  if (auto fault = ask({"SCRIPT", "LOAD", kGuard}, reply)) return fault;
  guard_piece_ = text_piece("EVALSHA", reply.text(), "1");
  return std::nullopt;
}

std::optional<StoreFault> RedisStore::read_watermarks(std::vector<std::uint64_t>& sequences) {
  sequences.assign(identity_.shard_count, 0);
  for (std::uint32_t shard = 0; shard < identity_.shard_count; ++shard) {
    connection_->append({"HGET", watermark_key(shard), "sequence"});
  }
  std::string problem;
  Status done = connection_->exchange([&](std::size_t shard, const RedisReply& reply) {
    const std::optional<std::uint64_t> sequence = reply.number();
    if (sequence && *sequence <= kStoredNumberMax) {
      sequences[shard] = *sequence;
    } else if (reply.kind() != RedisReply::Kind::kNil) {
      problem = reply.is_error() ? std::string(reply.text()) : "no number";
    }
  });
  if (!done) return unreachable(done.error().message());
  if (!problem.empty())
    return unreachable(url_.shown() + ": a watermark can't be read: " + problem);
  return std::nullopt;
}

void RedisStore::append_write(std::string_view key, std::uint64_t epoch, std::uint64_t sequence,
                              std::string_view catalog,
                              const std::vector<std::string_view>& fields) {
  RespBuffer& write = begin_write(key, epoch, sequence, catalog, fields.size() / 2);
  for (const std::string_view field : fields) write.text(field);
}

RespBuffer& RedisStore::begin_write(std::string_view key, std::uint64_t epoch,
                                    std::uint64_t sequence, std::string_view catalog,
                                    std::size_t field_count) {
  constexpr std::size_t kTextsBefore = 7;
  RespBuffer& write = connection_->append_command(kTextsBefore + 2 * field_count);
  write.piece(guard_piece_);
  write.text(key);
  write.number(epoch);
  write.number(sequence);
  write.text(catalog);
  return write;
}

WriteOutcome RedisStore::outcome_of(const ShortReply& reply) {
  if (reply.kind != RedisReply::Kind::kText) return WriteOutcome::kError;
  if (reply.text == "written") return WriteOutcome::kWritten;
  if (reply.text == "older") return WriteOutcome::kOlder;
  if (reply.text == "fenced") return WriteOutcome::kFenced;
  return WriteOutcome::kError;
}

}  // namespace deja
