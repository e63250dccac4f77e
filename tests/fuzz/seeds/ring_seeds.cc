// Rings with events in them and logs with records, as their producers leave them and damaged.
#include <atomic>
#include <functional>
#include <memory>

#include "ring/log_record.h"
#include "ring/return_record.h"
#include "ring/spsc_ring.h"
#include "shm/base/check.h"
#include "tests/fuzz/seeds/seed.h"

namespace deja::fuzz {
namespace {

struct RingBytes {
  std::uint16_t start_words = 0;
  std::uint32_t published_bytes = 0;
  std::vector<std::uint8_t> data;
};

/// What `produce` puts into a ring whose positions begin at `start_words` × 8.
RingBytes ring_bytes(std::uint64_t capacity, std::uint16_t start_words,
                     const std::function<void(RingProducer&)>& produce) {
  std::vector<std::uint64_t> words(ring_file_bytes(capacity) / 8 + 8);
  void* file = words.data();
  std::size_t space = words.size() * 8;
  std::align(kCacheLineBytes, ring_file_bytes(capacity), file, space);
  format_ring(file, capacity);
  const std::uint64_t start = std::uint64_t{start_words} * 8;
  static_cast<RingHeaderLayout*>(file)->producer_position.store(start);
  const std::atomic<std::uint64_t> consumed{start};
  RingProducer ring(file, ring_file_bytes(capacity), &consumed);
  produce(ring);
  ring.publish();
  RingBytes made{start_words, static_cast<std::uint32_t>(ring.published_position() - start), {}};
  const auto* data = static_cast<const std::uint8_t*>(file) + sizeof(RingHeaderLayout);
  for (std::uint64_t at = start; at < ring.published_position(); ++at) {
    made.data.push_back(data[at % capacity]);
  }
  return made;
}

void append(RingProducer& ring, std::span<const std::uint8_t> payload, std::uint32_t type) {
  std::uint8_t* at = ring.claim(static_cast<std::uint32_t>(payload.size()));
  CHECK(at != nullptr);
  std::memcpy(at, payload.data(), payload.size());
  ring.commit(static_cast<std::uint32_t>(payload.size()), type);
}

void ring_seeds(const std::string& folder) {
  const auto seed = [&](std::uint8_t flags, const RingBytes& ring) {
    return Seed().put(flags).put(ring.start_words).put(ring.published_bytes).put(ring.data);
  };
  const auto three = [](RingProducer& ring) {
    for (const TestEvent& event : {view("u1"), order("a1"), identify("u2")}) {
      append(ring, event.bytes(4), 1);
    }
  };
  seed(0, ring_bytes(4096, 0, three)).write(folder + "three_records");
  seed(0, ring_bytes(4096, 490, three)).write(folder + "over_the_end");
  seed(8, ring_bytes(4096, 0, three)).write(folder + "far_along");
  seed(2, ring_bytes(4096, 0, three)).write(folder + "other_magic");
  seed(0, ring_bytes(4096, 3, [](RingProducer&) {})).write(folder + "empty");
  RingBytes torn = ring_bytes(4096, 0, three);
  torn.published_bytes -= 8;
  seed(0, torn).write(folder + "ends_in_a_record");
  for (const auto& [name, event] :
       {std::pair{"view", view("u1")}, {"order", order("a1")}, {"identify", identify("u2")}}) {
    Seed().put<std::uint8_t>(1).put(event.bytes(4)).write(folder + "payload_" + name);
  }
}

std::vector<std::uint8_t> log_record(LogKind kind, std::uint64_t sequence, const TestEvent& event,
                                     bool with_event) {
  LogRecordLayout head{};
  head.sequence = sequence;
  head.ring_end = 100;
  head.consumed_us = 1'700'000'000'000'000;
  head.shard = shard_of(event.as_key(), 4);
  head.kind = kind;
  const std::vector<std::uint8_t> bytes = with_event ? event.bytes(4) : std::vector<std::uint8_t>{};
  head.event_bytes = static_cast<std::uint32_t>(bytes.size());
  std::vector<std::uint8_t> record(sizeof head + bytes.size());
  std::memcpy(record.data(), &head, sizeof head);
  std::copy(bytes.begin(), bytes.end(), record.begin() + sizeof head);
  return record;
}

/// A user of worker 1's: of the odd shards of four.
std::string user_of_worker_1(int number) {
  for (int at = number * 100;; ++at) {
    const std::string user = "u" + std::to_string(at);
    if (shard_of({KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())}, 4) %
            2 ==
        1) {
      return user;
    }
  }
}

/// The part of `user` that the store had.
std::vector<std::uint8_t> merged_record(std::uint64_t sequence, const std::string& user) {
  ReturnProfileLayout stored{};
  stored.key_size = static_cast<std::uint8_t>(user.size());
  std::vector<std::uint8_t> record = log_record(LogKind::kMerged, sequence, view(user), false);
  const std::size_t head_bytes = record.size();
  record.resize(head_bytes + sizeof stored + round_up(user.size(), 8));
  const auto payload_bytes = static_cast<std::uint32_t>(record.size() - head_bytes);
  std::memcpy(record.data() + offsetof(LogRecordLayout, event_bytes), &payload_bytes, 4);
  std::memcpy(record.data() + head_bytes, &stored, sizeof stored);
  std::memcpy(record.data() + head_bytes + sizeof stored, user.data(), user.size());
  return record;
}

void log_seeds(const std::string& folder) {
  const auto seed = [](const RingBytes& log) {
    return Seed().put(log.start_words).put(log.published_bytes).put(log.data);
  };
  const auto each_kind = [](RingProducer& log) {
    append(log, log_record(LogKind::kApplied, 1, view(user_of_worker_1(0)), true), kLogRecord);
    append(log, log_record(LogKind::kApplied, 2, view(user_of_worker_1(1)), true), kLogRecord);
    append(log, merged_record(3, user_of_worker_1(1)), kLogRecord);
    append(log, log_record(LogKind::kDead, 2, view(user_of_worker_1(0)), false), kLogRecord);
    std::vector<std::uint8_t> rejected = log_record(LogKind::kDead, 0, view("u"), true);
    rejected[offsetof(LogRecordLayout, reason)] =
        static_cast<std::uint8_t>(RefusalReason::kRejected);
    append(log, rejected, kLogRecord);
    for (const LogKind kind : {LogKind::kDuplicate, LogKind::kRefused, LogKind::kDead}) {
      append(log, log_record(kind, 0, view("u"), kind == LogKind::kDead), kLogRecord);
    }
  };
  seed(ring_bytes(8192, 0, each_kind)).write(folder + "each_kind");
  seed(ring_bytes(8192, 1000, each_kind)).write(folder + "over_the_end");
  seed(ring_bytes(8192, 0, [](RingProducer& log) {
    for (int user = 0; user < 12; ++user) {
      append(log, log_record(LogKind::kApplied, 3, view(user_of_worker_1(user)), true), kLogRecord);
    }
  })).write(folder + "more_users_than_are_kept");
  seed(ring_bytes(8192, 5, [](RingProducer& log) {
    append(log, log_record(LogKind::kApplied, 0, view(user_of_worker_1(0)), true), kLogRecord);
    append(log, log_record(LogKind::kApplied, 1, view(user_of_worker_1(0)), false), kLogRecord);
    append(log, log_record(LogKind{9}, 1, view(user_of_worker_1(0)), true), kLogRecord);
    append(log, log_record(LogKind::kApplied, 1, view(user_of_worker_1(0)), true), 7);
    append(log, std::vector<std::uint8_t>(8), kLogRecord);
    append(log, log_record(LogKind::kApplied, 4, view(user_of_worker_1(2)), true), kLogRecord);
  })).write(folder + "broken_records");
  RingBytes torn = ring_bytes(8192, 0, each_kind);
  torn.published_bytes += 64;
  seed(torn).write(folder + "ends_in_nothing");
}

}  // namespace

void write_ring_seeds(const std::string& corpus) {
  ring_seeds(corpus + "/ring/");
  log_seeds(corpus + "/log/");
}

}  // namespace deja::fuzz
