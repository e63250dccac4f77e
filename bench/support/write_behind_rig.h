// The keeper's write-behind alone, over the segment of a worker's rig: no journal, no logs to
// drain, and a Redis of the benchmark's choice. What it is told was touched it writes. Bench code;
// one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/servers.h"
#include "bench/support/users.h"
#include "tests/support/segment_fixture.h"
#include "workers/keeper/write_behind.h"

namespace deja::bench {

class WriteBehindRig {
 public:
  WriteBehindRig(SegmentFixture& fixture, const std::string& redis_socket,
                 const WriteBehindLimits& limits = {})
      : fixture_(fixture),
        process_(map("process-keeper"), "keeper"),
        counters_(process_),
        table_(opened(TableView::open(fixture.segment()))),
        catalog_(opened(StoredCatalog::parse(catalog_text()))),
        touched_(shard_count(), 1U << 22U),
        readable_(catalog_),
        watermarks_(keeper_watermarks(fixture.file("keeper").data(), 1)),
        loss_window_(keeper_confirmed(fixture.file("keeper").data(), 1, shard_count()),
                     shard_count(), 60'000'000'000),
        store_(opened(RedisUrl::parse("unix://" + redis_socket)), {},
               {"test", shard_count(), catalog_.hash, std::string(catalog_text())}, {}) {
    std::uint64_t epoch = 1;
    std::string note;
    if (const auto fault = store_.open(epoch, false, note)) give_up(fault->sentence.c_str());
    WriteBehindParts parts{store_,
                           table_,
                           touched_,
                           *fixture.file("keeper").at<KeeperLayout>(),
                           watermarks_,
                           counters_,
                           process_,
                           readable_,
                           catalog_.hash,
                           loss_window_,
                           [] { return true; },
                           [] { return true; }};
    write_behind_.emplace(std::move(parts), limits, epoch);
  }

  void touch(std::uint64_t user) {
    const std::string name = user_name(user);
    const Key key{KeyNamespace::kUser, name.data(), static_cast<std::uint32_t>(name.size())};
    touched_.touch(shard_of(key, shard_count()), key, 1, 0);
  }
  /// Writes all that was touched, and the watermarks.
  void write() {
    while (!write_behind_->everything_written()) {
      static_cast<void>(write_behind_->tick(true));
      if (counters_.errors.value() != 0) give_up(problem().c_str());
    }
  }
  /// Whatever is due, as the keeper does it in between.
  void tick() { static_cast<void>(write_behind_->tick(true)); }
  [[nodiscard]] std::uint64_t written() const { return counters_.written.value(); }

  [[nodiscard]] std::vector<std::uint64_t> watermarks() const {
    std::vector<std::uint64_t> all;
    for (std::uint32_t shard = 0; shard < shard_count(); ++shard) {
      all.push_back(watermarks_[shard].load());
    }
    return all;
  }
  void set_watermarks(const std::vector<std::uint64_t>& all) {
    for (std::uint32_t shard = 0; shard < shard_count(); ++shard)
      watermarks_[shard].store(all[shard]);
  }

 private:
  template <typename T>
  static T opened(Result<T> result) {
    if (!result.ok()) give_up(result.error().message().c_str());
    return std::move(*result);
  }
  [[nodiscard]] MappedFile map(const char* name) const {
    return opened(fixture_.segment().map(name, MappedFile::Mode::kReadWrite));
  }
  [[nodiscard]] std::string_view catalog_text() const {
    const auto bytes = fixture_.segment().catalog_bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  [[nodiscard]] std::string problem() const {
    const auto view = ProcessView::read(fixture_.segment().path("process-keeper"));
    return view.ok() && !view->errors.empty() ? view->errors.back().text : "Redis hung up";
  }
  [[nodiscard]] std::uint32_t shard_count() const { return fixture_.plan().shard_count; }

  SegmentFixture& fixture_;
  ProcessFile process_;
  KeeperCounters counters_;
  TableView table_;
  StoredCatalog catalog_;
  TouchedSet touched_;
  ReadableFields readable_;
  std::atomic<std::uint64_t>* watermarks_;
  LossWindow loss_window_;
  RedisStore store_;
  std::optional<WriteBehind> write_behind_;
};

}  // namespace deja::bench
