// One life after another of a journal on a disk that fails: appends events as a keeper would, keeps
// a ledger outside of it, and says after each cut what of it must be there. Test code; one thread.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/fake_disk.h"
#include "tests/support/test_event.h"
#include "workers/journal/journal_index.h"
#include "workers/journal/journal_pruner.h"
#include "workers/journal/journal_writer.h"

namespace deja {

inline constexpr std::uint32_t kHarnessShards = 3;
inline constexpr std::uint32_t kHarnessIds = 20;

class JournalHarness {
 public:
  JournalHarness(FakeDisk& disk, std::uint64_t seed) : disk_(disk), random_(seed) {
    limits_.segment_bytes = 64 << 10;
    limits_.group_commit_ns = 0;
    limits_.retry_ns = 0;
  }

  [[nodiscard]] static JournalIdentity identity() { return {"test", kHarnessShards, "catalog"}; }

  /// Reads the journal as a start would and checks it against the ledger. False: a check failed.
  bool recover() {
    const Result<JournalIndex> index = JournalIndex::build(
        disk_, "test", StoredFloor(confirmed_), kHarnessShards, kKeyBytesMax, kHarnessIds);
    EXPECT_TRUE(index.ok()) << index.error().message();
    if (!index.ok()) return false;
    const std::vector<std::string>& gaps = index->gaps();
    EXPECT_TRUE(gaps.empty()) << gaps.front();
    for (const std::string& damage : index->damages()) damages_.push_back(damage);
    epoch_ = index->highest_epoch();
    for (std::uint32_t shard = 0; shard < kHarnessShards; ++shard) {
      const std::uint64_t highest = std::max(index->highest_sequence(shard), confirmed_[shard]);
      EXPECT_GE(highest, durable_[shard])
          << "an acknowledged event of shard " << shard << " is gone";
      EXPECT_LE(highest, appended_[shard].size()) << "an event that was never sent";
      std::vector<std::uint64_t> words;
      for (const JournalIndex::Entry& entry : index->entries(shard)) {
        EXPECT_TRUE(index->read(entry, words).ok());
        const std::vector<std::uint8_t>& sent = appended_[shard][entry.sequence - 1];
        EXPECT_EQ(entry.payload_bytes, sent.size());
        if (entry.payload_bytes == sent.size()) {
          EXPECT_EQ(std::memcmp(words.data(), sent.data(), sent.size()), 0);
        }
      }
      check_ids(index->ids(shard), shard, highest);
      // What was not acknowledged and is gone never happened: its sequences are used again.
      appended_[shard].resize(highest);
      durable_[shard] = std::min(durable_[shard], highest);
    }
    return !testing::Test::HasFailure();
  }

  /// Begins a life. An error is the disk's.
  Status begin() {
    writer_ = std::make_unique<JournalWriter>(disk_, identity(), limits_);
    pruner_ = std::make_unique<JournalPruner>(disk_, identity(), kHarnessIds);
    marks_.clear();
    const Status begun = writer_->begin(++epoch_);  // a keeper that could not begin comes again
    if (!begun) return begun;
    std::vector<std::uint64_t> highest;
    for (const auto& events : appended_) highest.push_back(events.size());
    return pruner_->adopt(writer_->segment(), highest);
  }

  void append_some() {
    const std::uint64_t count = 1 + random_() % 8;
    for (std::uint64_t at = 0; at < count; ++at) {
      const auto shard = static_cast<std::uint32_t>(random_() % kHarnessShards);
      TestEvent event;
      event.key = std::string(1 + random_() % 40, static_cast<char>('a' + random_() % 26));
      event.id_low = ++ids_;
      event.received_us = static_cast<std::int64_t>(random_() % 1'000'000);
      std::vector<std::uint8_t> bytes = event.bytes(kHarnessShards);
      JournalRecordLayout record{};
      record.sequence = appended_[shard].size() + 1;
      record.shard = shard;
      record.kind = JournalKind::kEvent;
      record.payload_bytes = static_cast<std::uint32_t>(bytes.size());
      if (!writer_->append(record, bytes)) return;
      pruner_->appended(shard, record.sequence);
      id_of_[shard].resize(record.sequence);
      id_of_[shard][record.sequence - 1] = ids_;
      appended_[shard].push_back(std::move(bytes));
    }
    std::vector<std::uint64_t> until;
    for (const auto& events : appended_) until.push_back(events.size());
    marks_[writer_->covering_group()] = until;
  }

  void tick() {
    writer_->tick(++now_ns_, random_() % 2 == 0);
    pruner_->writing(writer_->segment());
    while (!marks_.empty() && marks_.begin()->first <= writer_->durable_group()) {
      durable_ = marks_.begin()->second;
      marks_.erase(marks_.begin());
    }
  }

  /// The store confirms some of what is durable, and the journal makes room.
  Status prune() {
    for (std::uint32_t shard = 0; shard < kHarnessShards; ++shard) {
      confirmed_[shard] += random_() % (durable_[shard] - confirmed_[shard] + 1);
    }
    const Result<bool> worked = pruner_->work(confirmed_);
    return worked ? Status(Done{}) : Status(worked.error());
  }

  [[nodiscard]] std::mt19937_64& random() { return random_; }
  [[nodiscard]] JournalWriter& writer() { return *writer_; }
  [[nodiscard]] JournalPruner& pruner() { return *pruner_; }
  [[nodiscard]] const std::vector<std::uint64_t>& durable() const { return durable_; }
  [[nodiscard]] const std::vector<std::uint64_t>& confirmed() const { return confirmed_; }
  [[nodiscard]] std::vector<std::string>& damages() { return damages_; }
  [[nodiscard]] JournalLimits& limits() { return limits_; }

 private:
  void check_ids(const std::vector<JournalIdLayout>& ids, std::uint32_t shard,
                 std::uint64_t highest) {
    const std::uint64_t wanted = std::min<std::uint64_t>(highest, kHarnessIds);
    EXPECT_EQ(ids.size(), wanted);
    for (std::size_t at = 0; at < ids.size(); ++at) {
      EXPECT_EQ(ids[at].sequence, highest - ids.size() + 1 + at);
      EXPECT_EQ(ids[at].low, id_of_[shard][ids[at].sequence - 1]);
    }
  }

  FakeDisk& disk_;
  std::mt19937_64 random_;
  JournalLimits limits_;
  std::unique_ptr<JournalWriter> writer_;
  std::unique_ptr<JournalPruner> pruner_;
  std::uint64_t epoch_ = 0;
  std::int64_t now_ns_ = 0;
  std::uint64_t ids_ = 0;
  std::vector<std::vector<std::vector<std::uint8_t>>> appended_{kHarnessShards};  // [shard][L - 1]
  std::vector<std::vector<std::uint64_t>> id_of_{kHarnessShards};
  std::vector<std::uint64_t> durable_ = std::vector<std::uint64_t>(kHarnessShards);
  std::vector<std::uint64_t> confirmed_ = std::vector<std::uint64_t>(kHarnessShards);
  std::map<std::uint64_t, std::vector<std::uint64_t>> marks_;  // group → sequences it covers
  std::vector<std::string> damages_;
};

}  // namespace deja
