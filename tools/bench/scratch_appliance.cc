#include "tools/bench/scratch_appliance.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <variant>

#include "ingest/record_builder.h"
#include "ring/positions.h"
#include "ring/rejected_event.h"
#include "ring/return_record.h"
#include "shm/base/clock.h"
#include "shm/consumed_layout.h"
#include "tools/bench/bench_config.h"
#include "tools/config/load_config.h"
#include "tools/config/segment_plan.h"
#include "tools/inspect/open_appliance.h"
#include "workers/segment_files.h"

namespace deja {
namespace {

constexpr const char* kName = "bench";
constexpr std::uint64_t kView = 1U;
constexpr std::uint64_t kCart = 2U;
constexpr std::uint64_t kOrder = 4U;

/// A folder that is gone at the end, with all that is in it.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& where) : path_(where + "/deja-bench-XXXXXX") {
    made_ = mkdtemp(path_.data()) != nullptr;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (made_) std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] bool made() const { return made_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool made_;
};

std::uint16_t slot_of(const Config& config, const std::string& path) {
  const auto slot = std::find_if(config.slots.begin(), config.slots.end(),
                                 [&](const SlotConfig& each) { return each.path == path; });
  CHECK(slot != config.slots.end());
  return static_cast<std::uint16_t>(slot - config.slots.begin());
}

/// Nothing is stored anywhere: the worker may take events at once.
void end_recovery(MappedFile& file, const std::atomic<std::uint64_t>& returned_position) {
  RingProducer returned(file.data(), file.bytes(), &returned_position);
  std::uint8_t* claimed = returned.claim(8);
  CHECK(claimed != nullptr);
  std::fill_n(claimed, 8, std::uint8_t{0});
  returned.commit(8, kReturnEnd);
  returned.publish();
}

}  // namespace

std::string ScratchAppliance::user_name(std::uint64_t number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "user-%07llu", static_cast<unsigned long long>(number));
  return text.data();
}

Result<std::unique_ptr<ScratchAppliance>> ScratchAppliance::make(const std::string& directory,
                                                                 std::uint64_t profiles) {
  const ScratchFolder folder(directory);
  if (!folder.made()) {
    return system_error("make a folder in " + directory,
                        "--directory says where the segment is to lie.");
  }
  std::string text = std::string("[appliance]\nname = \"") + kName + "\"\ndirectory = \"" +
                     folder.path() + "\"\nprofiles = " + std::to_string(profiles);
  text.append(kBenchHost).append(kBenchEvents).append(kBenchFeatures);
  const auto loaded = load_config_text(text, "deja bench");
  if (const auto* errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
    return Error{errors->front().message(), 0, {}};
  }
  return make_in(folder.path(), std::get<Config>(loaded));
}

Result<std::unique_ptr<ScratchAppliance>> ScratchAppliance::make_in(const std::string& directory,
                                                                    const Config& config) {
  const Result<SegmentReport> made = create_segment(segment_plan_of(config, "local"));
  if (!made.ok()) return made.error();
  const Result<Segment> segment = Segment::open(directory + "/deja-" + kName);
  if (!segment.ok()) return segment.error();
  Result<Files> files = map(*segment);
  if (!files.ok()) return files.error();
  Result<Bell> bell = Bell::open(*segment, kKeeperBell);
  if (!bell.ok()) return bell.error();
  Result<BellRope> rope = BellRope::open(*segment, kKeeperBell);
  if (!rope.ok()) return rope.error();
  end_recovery(files->returned, files->worker.at<WorkerLayout>()->returned_position.value);
  Result<std::unique_ptr<Worker>> worker = Worker::attach(*segment, 0);
  if (!worker.ok()) return worker.error();
  while (!(*worker)->recovered()) static_cast<void>((*worker)->duty_cycle());
  Result<ApplianceHandle> reader = open_appliance({kName, directory});
  if (!reader.ok()) return reader.error();
  std::unique_ptr<ScratchAppliance> appliance(new ScratchAppliance(
      config, segment->geometry(), std::move(*files), std::move(*bell), std::move(*rope)));
  appliance->worker_ = std::move(*worker);
  appliance->reader_ = std::move(*reader);
  return appliance;
}

Result<ScratchAppliance::Files> ScratchAppliance::map(const Segment& segment) {
  std::vector<MappedFile> mapped;
  for (const char* name : {"ring-0-0", "consumed-0", "keeper", "log-0", "return-0", "worker-0"}) {
    Result<MappedFile> file = segment.map(name, MappedFile::Mode::kReadWrite);
    if (!file.ok()) return file.error();
    mapped.push_back(std::move(*file));
  }
  return Files{std::move(mapped[0]), std::move(mapped[1]), std::move(mapped[2]),
               std::move(mapped[3]), std::move(mapped[4]), std::move(mapped[5])};
}

ScratchAppliance::ScratchAppliance(const Config& config, const TableGeometry& geometry, Files files,
                                   Bell bell, BellRope rope)
    : geometry_(geometry),
      profiles_(config.appliance.profiles),
      files_(std::move(files)),
      bell_(std::move(bell)),
      rope_(std::move(rope)),
      ring_(files_.ring.data(), files_.ring.bytes(),
            &consumed_ring(files_.consumed.at<ConsumedLayout>(), 0)->position),
      log_position_(&files_.log.at<RingHeaderLayout>()->producer_position),
      drained_position_(&keeper_logs(files_.keeper.data())[0].drained_position.value),
      item_slot_(slot_of(config, "properties.product_id")),
      category_slot_(slot_of(config, "properties.category")),
      price_slot_(slot_of(config, "properties.price")),
      value_slot_(slot_of(config, "properties.revenue")),
      kinds_of_slot_(config.slots.size(), kView | kCart | kOrder),
      begin_us_(wall_us()) {}

bool ScratchAppliance::put(std::uint64_t user) {
  // Made from the number alone; the multipliers spread items and categories.
  const std::uint64_t draw = (number_ * 0x9e3779b97f4a7c15U) >> 32U;
  const std::uint64_t part = draw % 100;
  const std::string name = user_name(user);
  const std::string item = "p" + std::to_string(draw % 5000);
  const std::string category = "c" + std::to_string(draw / 7 % 40);
  const auto text = [](const std::string& value) {
    return Value::of(value.data(), static_cast<std::uint32_t>(value.size()));
  };
  const Value price = Value::of(static_cast<double>(draw % 30000) / 100);

  RecordFields fields;
  fields.received_us = fields.time_us = begin_us_ + static_cast<std::int64_t>(number_);
  fields.id_low = number_ + 1;
  fields.id_high = 1;
  fields.key = {KeyNamespace::kUser, name.data(), static_cast<std::uint32_t>(name.size())};
  fields.shard = shard_of(fields.key, geometry_.shard_count);
  std::array<CapturedValue, 3> captured{};
  std::size_t count = 0;
  if (part < 95) {
    fields.kinds = part < 85 ? kView : kCart;
    captured = {CapturedValue{item_slot_, 0, text(item)},
                CapturedValue{category_slot_, 0, text(category)},
                CapturedValue{price_slot_, 0, price}};
    count = 3;
  } else {
    fields.kinds = kOrder;
    captured[0] = {value_slot_, 0, price};
    count = 1;
  }
  const RecordValues values{{captured.data(), count}, kinds_of_slot_, fields.kinds};
  const RecordSize size = record_size(fields, values);
  std::uint8_t* claimed = ring_.claim(static_cast<std::uint32_t>(size.bytes));
  if (claimed == nullptr) return false;
  build_record(fields, values, size, claimed);
  static_cast<void>(ring_.commit(static_cast<std::uint32_t>(size.bytes), kEventRecord));
  ++number_;
  return true;
}

Result<std::int64_t> ScratchAppliance::run() {
  ring_.publish();
  const std::int64_t begin_ns = steady_ns();
  while (worker_->duty_cycle() != 0) {
    // What the keeper does once a record is in the journal.
    drained_position_->store(log_position_->load(std::memory_order_acquire),
                             std::memory_order_release);
  }
  const std::int64_t spent_ns = steady_ns() - begin_ns;
  if (ring_.consumer_position() != ring_.published_position()) {
    return Error{"the worker did not take all events", 0, "This is a fault of Deja's."};
  }
  return spent_ns;
}

}  // namespace deja
