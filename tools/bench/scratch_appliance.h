// An appliance of deja bench's own, in this process: a segment as deja serve makes one, one worker
// that takes events from its ring, and a renderer's handle. Nobody keeps a journal: the log's space
// is given back as soon as the worker has written it. One thread.
//
// Its files are removed as soon as all of them are mapped: a bench that is killed leaves nothing in
// memory but within the moment that making them takes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingest/extraction.h"
#include "ring/bell.h"
#include "ring/spsc_ring.h"
#include "shm/mapped_file.h"
#include "shm/segment.h"
#include "tools/config/config.h"
#include "tools/inspect/shown_profile.h"
#include "workers/worker.h"

namespace deja {

class ScratchAppliance {
 public:
  /// Makes it in a folder of its own under `directory` (where segments lie: /dev/shm).
  [[nodiscard]] static Result<std::unique_ptr<ScratchAppliance>> make(const std::string& directory,
                                                                      std::uint64_t profiles);
  ScratchAppliance(const ScratchAppliance&) = delete;
  ScratchAppliance& operator=(const ScratchAppliance&) = delete;

  /// Puts the next event, of user `user`, into the ring, with an id of its own. False: it is full.
  [[nodiscard]] bool put(std::uint64_t user);
  /// Publishes what was put, and lets the worker take all of it: the nanoseconds that it took.
  [[nodiscard]] Result<std::int64_t> run();

  [[nodiscard]] const deja_appliance* reader() const { return reader_.get(); }
  [[nodiscard]] const TableGeometry& geometry() const { return geometry_; }
  [[nodiscard]] std::uint64_t profiles() const { return profiles_; }

  /// A bell and its rope, for two threads; nothing else uses them.
  [[nodiscard]] Bell& bell() { return bell_; }
  [[nodiscard]] BellRope& rope() { return rope_; }

  /// "user-0000123": as long for each.
  [[nodiscard]] static std::string user_name(std::uint64_t number);

 private:
  /// A map of each file that this end of the appliance uses.
  struct Files {
    MappedFile ring;
    MappedFile consumed;
    MappedFile keeper;
    MappedFile log;
    MappedFile returned;
    MappedFile worker;
  };
  [[nodiscard]] static Result<Files> map(const Segment& segment);
  [[nodiscard]] static Result<std::unique_ptr<ScratchAppliance>> make_in(
      const std::string& directory, const Config& config);

  ScratchAppliance(const Config& config, const TableGeometry& geometry, Files files, Bell bell,
                   BellRope rope);

  TableGeometry geometry_;
  std::uint64_t profiles_;
  Files files_;
  Bell bell_;
  BellRope rope_;
  RingProducer ring_;
  const std::atomic<std::uint64_t>* log_position_;
  std::atomic<std::uint64_t>* drained_position_;
  std::unique_ptr<Worker> worker_;
  ApplianceHandle reader_;
  std::uint16_t item_slot_;
  std::uint16_t category_slot_;
  std::uint16_t price_slot_;
  std::uint16_t value_slot_;
  std::vector<std::uint64_t> kinds_of_slot_;
  std::uint64_t number_ = 0;
  std::int64_t begin_us_;
};

}  // namespace deja
