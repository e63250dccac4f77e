// A disk that can lose its power: what was written and not synced is kept sector by sector, and a
// cut keeps any of them, tears any of them, and loses the rest. It can also refuse the n-th call of
// any kind. Everything happens in memory; deterministic by its seed. Test code; one thread.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "shm/base/check.h"
#include "workers/journal/journal_disk.h"

namespace deja {

/// Thrown where the power goes; nothing of ours catches it but the test.
struct PowerCut {};

class FakeDisk final : public JournalDisk {
 public:
  static constexpr std::size_t kSectorBytes = 512;

  explicit FakeDisk(std::uint64_t seed) : random_(seed) {}

  /// The power goes at the n-th step from now on (1: the next); 0: it stays.
  void cut_power_after(std::uint64_t steps) { steps_left_ = steps; }
  /// The n-th step from now on fails with this errno; a write then has written a part of it.
  void fail_after(std::uint64_t steps, int error_number) {
    fail_left_ = steps;
    fail_with_ = error_number;
  }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  /// A step was refused as asked for.
  [[nodiscard]] bool failed() const { return failed_; }
  /// Until it is given back, every write and every new file is refused.
  void fill(int error_number) { refuse_all_ = error_number; }
  void empty() { refuse_all_ = 0; }

  /// What a machine finds that is switched on again.
  void restore_power() {
    steps_left_ = 0;
    open_.clear();
    under_way_.reset();
    result_.reset();
    for (auto at = files_.begin(); at != files_.end();) {
      File& file = at->second;
      for (const Sector& sector : file.unsynced) settle(file, sector);
      file.unsynced.clear();
      if (file.replaced && flip()) file.durable = *file.replaced;
      file.replaced.reset();
      file.view = file.durable;
      // A name that was not synced may be there or not; one that was removed likewise.
      const bool gone = file.removed ? flip() : (!file.name_synced && flip());
      file.removed = false;
      file.name_synced = true;
      at = gone ? files_.erase(at) : std::next(at);
    }
  }

  /// Turns one bit around, wherever it lies: on the platter.
  void flip_bit(const std::string& name, std::uint64_t bit) {
    File& file = files_.at(name);
    file.durable[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    file.view = file.durable;
  }
  [[nodiscard]] std::vector<std::uint8_t>& bytes(const std::string& name) {
    return files_.at(name).view;
  }

  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    for (const auto& [name, file] : files_) {
      if (!file.removed) names.push_back(name);
    }
    return names;
  }
  Result<std::uint64_t> data_bytes(const std::string& name) override {
    if (!is_there(name)) return Error{"look at " + name, ENOENT, {}};
    return std::uint64_t{files_[name].view.size()};
  }
  Status read(const std::string& name, std::uint64_t position,
              std::span<std::uint8_t> into) override {
    if (!is_there(name)) return Error{"read " + name, ENOENT, {}};
    const File& file = files_[name];
    if (position + into.size() > file.view.size()) return Error{"read " + name, EIO, {}};
    if (!into.empty()) std::memcpy(into.data(), file.view.data() + position, into.size());
    return Done{};
  }

  Status create(const std::string& name, std::uint64_t bytes,
                std::span<const std::uint8_t> first) override {
    open_.clear();
    if (is_there(name)) return Error{"create " + name, EEXIST, {}};
    if (const int error_number = step()) return Error{"create " + name, error_number, {}};
    files_[name] = File{};
    File& file = files_[name];
    file.view.resize(bytes);
    file.durable.resize(bytes);
    if (const int error_number = write(file, 0, first)) {
      return Error{"write " + name, error_number, {}};
    }
    if (const int error_number = sync(file)) return Error{"sync " + name, error_number, {}};
    if (const int error_number = step()) return Error{"sync the directory", error_number, {}};
    file.name_synced = true;
    open_ = name;
    return Done{};
  }

  void begin_append(std::uint64_t position, std::span<const std::uint8_t> bytes) override {
    CHECK(!open_.empty() && !under_way_ && !result_);
    under_way_ = {position, bytes, random_() % 3};
  }
  std::optional<int> result() override {
    if (result_) return std::exchange(result_, std::nullopt);
    if (!under_way_) return std::nullopt;
    if (under_way_->polls_left != 0) {
      --under_way_->polls_left;
      return std::nullopt;
    }
    const Append append = *std::exchange(under_way_, std::nullopt);
    File& file = files_[open_];
    if (const int error_number = write(file, append.position, append.bytes)) return error_number;
    return sync(file);
  }
  void wait(std::int64_t) override {
    if (under_way_) under_way_->polls_left = 0;
  }

  Status replace(const std::string& name, std::span<const std::uint8_t> bytes) override {
    const std::string temporary = name + ".new";
    files_[temporary] = File{};
    File& made = files_[temporary];
    made.view.resize(bytes.size());
    made.durable.resize(bytes.size());
    if (const int error_number = write(made, 0, bytes)) return Error{"write", error_number, {}};
    if (const int error_number = sync(made)) return Error{"sync", error_number, {}};
    if (const int error_number = step()) return Error{"rename", error_number, {}};
    File& file = files_[name];
    made.name_synced = true;
    if (file.name_synced) made.replaced = file.durable;
    file = std::move(made);
    files_.erase(temporary);
    if (const int error_number = step()) return Error{"sync", error_number, {}};
    file.replaced.reset();
    return Done{};
  }
  bool holds_its_size(const std::string&) override { return true; }
  void give_back(const std::string&, std::uint64_t) override {}  // it has room without end

  Status remove(const std::string& name) override {
    if (!is_there(name)) return Error{"remove " + name, ENOENT, {}};
    if (const int error_number = step()) return Error{"remove " + name, error_number, {}};
    files_[name].removed = true;
    return Done{};
  }
  const char* kind() const override { return "fake"; }

 private:
  struct Sector {
    std::uint64_t position = 0;
    std::vector<std::uint8_t> bytes;
  };
  struct File {
    std::vector<std::uint8_t> view;     // what the running system sees
    std::vector<std::uint8_t> durable;  // what is on the platter for sure
    std::vector<Sector> unsynced;
    std::optional<std::vector<std::uint8_t>> replaced;  // by a rename that was not synced
    bool name_synced = false;
    bool removed = false;
  };
  struct Append {
    std::uint64_t position = 0;
    std::span<const std::uint8_t> bytes;
    std::uint64_t polls_left = 0;
  };

  bool flip() { return (random_() & 1U) != 0; }
  [[nodiscard]] bool is_there(const std::string& name) const {
    const auto found = files_.find(name);
    return found != files_.end() && !found->second.removed;
  }

  /// One thing that the disk does: the power may go before it, or it may be refused.
  int step() {
    ++steps_;
    if (steps_left_ != 0 && --steps_left_ == 0) throw PowerCut{};
    if (fail_left_ != 0 && --fail_left_ == 0) {
      failed_ = true;
      return fail_with_;
    }
    return refuse_all_;
  }

  int write(File& file, std::uint64_t position, std::span<const std::uint8_t> bytes) {
    const int error_number = step();
    // A refused write has got somewhere.
    if (error_number != 0 && !bytes.empty()) bytes = bytes.first(random_() % bytes.size());
    CHECK(position + bytes.size() <= file.view.size());
    while (!bytes.empty()) {
      const std::size_t in_sector = kSectorBytes - position % kSectorBytes;
      const auto part = bytes.first(std::min(in_sector, bytes.size()));
      std::memcpy(file.view.data() + position, part.data(), part.size());
      file.unsynced.push_back({position, {part.begin(), part.end()}});
      position += part.size();
      bytes = bytes.subspan(part.size());
    }
    return error_number;
  }

  int sync(File& file) {
    const int error_number = step();
    if (error_number != 0) {
      // As real kernels do: the pages count as clean, and what of them is on the disk is open.
      for (const Sector& sector : file.unsynced) settle(file, sector);
    } else {
      for (const Sector& sector : file.unsynced) {
        std::memcpy(file.durable.data() + sector.position, sector.bytes.data(),
                    sector.bytes.size());
      }
    }
    file.unsynced.clear();
    return error_number;
  }

  /// Kept, lost or torn.
  void settle(File& file, const Sector& sector) {
    std::size_t kept = sector.bytes.size();
    switch (random_() % 3) {
      case 0:
        return;
      case 1:
        kept = random_() % (kept + 1);
        break;
      default:
        break;
    }
    std::memcpy(file.durable.data() + sector.position, sector.bytes.data(), kept);
  }

  std::mt19937_64 random_;
  std::map<std::string, File> files_;
  std::string open_;
  std::optional<Append> under_way_;
  std::optional<int> result_;
  std::uint64_t steps_ = 0;
  std::uint64_t steps_left_ = 0;
  std::uint64_t fail_left_ = 0;
  int fail_with_ = 0;
  bool failed_ = false;
  int refuse_all_ = 0;
};

}  // namespace deja
