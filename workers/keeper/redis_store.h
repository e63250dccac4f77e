// The keeper's side of Redis: connected, checked to be ours, and written to only through a guard.
// One thread. Blocks as RedisConnection does.
//
//  1. Nothing is read from or written to a database that another appliance has taken, or that may
//     evict what it was given. Profiles of another count of shards are filed anew
//     (store_shards.cc).
//  2. The guard runs in Redis itself: a write whose (epoch, sequence) is not above the stored one
//     changes nothing, whoever sends it and however late. "older": Redis has it already, or better;
//     "fenced": a keeper of a later epoch writes here, so ours has been replaced.
//  3. The epoch is raised in Redis before anything is written under it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workers/redis/redis_connection.h"

namespace deja {

struct StoreIdentity {
  std::string appliance;
  std::uint32_t shard_count = 0;
  std::uint64_t catalog_hash = 0;
  std::string catalog;  ///< the message
};

/// Why Redis can't be used, as a sentence.
struct StoreFault {
  enum class Kind : std::uint8_t {
    kUnreachable,  ///< may pass: try again
    kLoading,      ///< there, and reading its file: try again, without a bound
    kRefused,      ///< will not pass by itself: the sentence says what to do
    kFenced,       ///< a later keeper has taken over
  };
  Kind kind = Kind::kUnreachable;
  std::string sentence;
};

enum class [[nodiscard]] WriteOutcome : std::uint8_t{kWritten, kOlder, kFenced, kError};

class RedisStore {
 public:
  RedisStore(RedisUrl url, RedisLimits limits, StoreIdentity identity,
             RedisConnection::WhileWaiting while_waiting);

  /// Connects and checks. `epoch` 0 or `raise`: a new one is taken, above `epoch` and above the
  /// stored one; else Redis is told ours where it had lost it. `note` is set to what could not be
  /// checked, if anything.
  [[nodiscard]] std::optional<StoreFault> open(std::uint64_t& epoch, bool raise, std::string& note);
  [[nodiscard]] bool connected() const { return connection_.has_value(); }
  void close() { connection_.reset(); }

  /// Only while connected.
  [[nodiscard]] RedisConnection& connection() { return *connection_; }

  /// sequences[shard], 0 where Redis has no watermark.
  [[nodiscard]] std::optional<StoreFault> read_watermarks(std::vector<std::uint64_t>& sequences);

  /// Whether profiles were filed under another count of shards, as long as that may be lost again.
  [[nodiscard]] bool resharding() const { return resharding_; }
  /// The watermarks of the former counts, by shard; none but while resharding().
  [[nodiscard]] std::optional<StoreFault> read_former(
      std::vector<std::vector<std::uint64_t>>& divisions);
  /// To be called once every watermark stands above everything former, and is confirmed.
  [[nodiscard]] std::optional<StoreFault> end_resharding();

  /// Appends a guarded write of the fields (name, value, name, value, …) beside epoch and sequence.
  /// A field of a former catalog that is not among them goes away.
  void append_write(std::string_view key, std::uint64_t epoch, std::uint64_t sequence,
                    std::string_view catalog, const std::vector<std::string_view>& fields);
  /// The same, put together by the caller: name and value of `field_count` fields are to be added
  /// to what is returned, before anything else is appended.
  [[nodiscard]] RespBuffer& begin_write(std::string_view key, std::uint64_t epoch,
                                        std::uint64_t sequence, std::string_view catalog,
                                        std::size_t field_count);
  [[nodiscard]] static WriteOutcome outcome_of(const ShortReply& reply);

  /// After a NOSCRIPT: Redis forgot the guard.
  [[nodiscard]] std::optional<StoreFault> load_guard();

 private:
  [[nodiscard]] std::optional<StoreFault> check(std::uint64_t& epoch, bool raise,
                                                std::string& note);
  [[nodiscard]] std::optional<StoreFault> check_policy(std::string& note);
  [[nodiscard]] std::optional<StoreFault> claim(std::string_view key, const std::string& value,
                                                std::string& stored);
  [[nodiscard]] std::optional<StoreFault> settle_epoch(std::uint64_t& epoch, bool raise);
  // store_shards.cc
  [[nodiscard]] std::optional<StoreFault> settle_shards(std::uint64_t epoch);
  [[nodiscard]] std::optional<StoreFault> file_all();
  [[nodiscard]] std::optional<StoreFault> file_page(const std::string& script,
                                                    const RedisReply& page);
  [[nodiscard]] std::optional<StoreFault> ask(std::initializer_list<std::string_view> arguments,
                                              RedisReply& reply);

  RedisUrl url_;
  RedisLimits limits_;
  StoreIdentity identity_;
  RedisConnection::WhileWaiting while_waiting_;
  std::optional<RedisConnection> connection_;
  std::string guard_piece_;  // "EVALSHA", the guard, "1", as every write begins
  bool resharding_ = false;
};

}  // namespace deja
