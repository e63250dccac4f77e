#include "tools/serve/supervisor.h"

#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "shm/base/clock.h"
#include "shm/segment_names.h"
#include "tools/config/segment_plan.h"
#include "tools/serve/drain.h"
#include "tools/serve/ingest_user.h"
#include "tools/serve/leftover.h"
#include "tools/serve/notify.h"
#include "tools/serve/ready.h"
#include "tools/serve/same_segment.h"
#include "tools/serve/stored_catalog.h"

namespace deja {
namespace {

constexpr int kListenerStartMs = 30'000;
constexpr int kIngestStopMs = 10'000;
constexpr int kConsoleStopMs = 5'000;
constexpr int kRedisStopMs = 30'000;

void say(const std::string& text) {
  std::fprintf(stderr, "deja: %s\n", text.c_str());
}

}  // namespace

Supervisor::Supervisor(Config config, const Options& options)
    : config_(std::move(config)),
      options_(options),
      segment_directory_(
          segment_directory(config_.appliance.directory.c_str(), config_.appliance.name.c_str())
              .text),
      listeners_(config_.listen) {
  if (const auto sockets = take_inheritance()) {
    taken_over_ = true;
    listeners_.inherit(*sockets);
    options_.ready_descriptor = -1;  // it was told already, and its number may be another's now
  }
  crew_.on_pass([this] {
    const std::int64_t now_us = wall_us();
    for (MappedFile* superblock : {superblock_.get(), old_superblock_}) {
      if (superblock == nullptr) continue;
      superblock->at<SuperblockLayout>()->heartbeat_us.store(now_us, std::memory_order_relaxed);
    }
    if (process_ != nullptr) process_->heartbeat(now_us);
    watchdog_.pass(steady_ns(), crew_.alive());
  });
  crew_.on_death([this](const std::string& sentence) {
    if (process_ != nullptr) process_->error(sentence);
  });
  crew_.on_start([this](const std::string& name) {
    if (process_ == nullptr) return;
    process_->counter("deja_child_starts_total{child=\"" + name + "\"}").add();
  });
}

Supervisor::~Supervisor() = default;

int Supervisor::run() {
  Status started = start();
  if (started.ok() && taken_over_) {
    const Status replaced = replace_programs();
    // What could not be replaced serves on as it is.
    tell_outcome(
        {0, replaced.ok(),
         replaced.ok() ? "deja " DEJA_VERSION " has taken over" : replaced.error().message()});
  }
  if (!started.ok()) {
    const bool asked = crew_.stop_requested();
    say(started.error().message());
    const bool flushed = stop();
    return asked && flushed ? 0 : 1;
  }
  while (!crew_.stop_requested() && !fatal_) {
    crew_.attend(1000);
    if (crew_.take_reload_request()) reload();
  }
  notify_service_manager("STOPPING=1");
  const bool failed = fatal_ && !crew_.stop_requested();
  return stop() && !failed ? 0 : 1;
}

// --- start --------------------------------------------------------------------------------------

Status Supervisor::start() {
  if (Status taken = take_places(); !taken.ok()) return taken;
  auto left = find_leftover(segment_directory_);
  if (!left.ok()) return left.error();
  std::unique_ptr<Segment> old = std::move(*left);
  if (old == nullptr) stop_orphans(crew_, segment_directory_);  // of a segment that can't be read
  if (Status prepared = prepare(); !prepared.ok()) return prepared;
  if (old == nullptr) return begin();
  const std::string difference = what_differs(plan_, *old);
  if (difference.empty()) return go_on(std::move(old));
  say((taken_over_ ? "the program before has handed over \"" : "the last deja serve of \"") +
      config_.appliance.name + (taken_over_ ? "\", and " : "\" was killed, and ") + difference +
      " changed since: draining what it had accepted");
  if (Status drained = drain_segment(crew_, *old, segment_directory_, redis_.get());
      !drained.ok()) {
    return drained;
  }
  say("drained");
  return begin();
}

Status Supervisor::take_places() {
  auto user = ingest_user(config_.appliance.ingest_user);
  if (!user.ok()) return user.error();
  ingest_user_ = std::move(user.value());
  if (segment_directory_.empty()) {
    return Error{"the path of the segment is too long", 0,
                 "Choose a shorter [appliance] directory"};
  }
  const std::string& durable = config_.durability.directory;
  std::error_code failure;
  std::filesystem::create_directories(std::filesystem::path(durable).parent_path(), failure);
  for (const auto& [path, mode] : {std::pair{segment_directory_, 0750}, std::pair{durable, 0700}}) {
    if (mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST) {
      return system_error("create the directory " + path,
                          "Choose a directory that this user may write to, or create it for this "
                          "user");
    }
  }
  auto name_lock = SingleInstance::take(segment_directory_ + "/supervisor.lock",
                                        "serves \"" + config_.appliance.name + "\"");
  if (!name_lock.ok()) return name_lock.error();
  locks_.push_back(std::move(name_lock.value()));
  auto durable_lock = SingleInstance::take(durable + "/lock", "keeps its profiles in " + durable);
  if (!durable_lock.ok()) return durable_lock.error();
  locks_.push_back(std::move(durable_lock.value()));
  if (const pid_t pid = foreign_keeper(durable, segment_directory_); pid != 0) {
    return Error{"another appliance, whose supervisor was killed, still keeps its profiles in " +
                     durable + " (keeper: process " + std::to_string(pid) + ")",
                 0, "Start that one again and stop it, or choose another [durability] directory"};
  }
  return Done{};
}

/// What both ways of a start need: the plan, and the private Redis.
Status Supervisor::prepare() {
  remove_strays(segment_directory_);
  if (config_.redis.url != "local") {
    plan_ = segment_plan_of(config_, config_.redis.url);
    return Done{};
  }
  redis_ = std::make_unique<PrivateRedis>(config_.durability.directory, segment_directory_);
  plan_ = segment_plan_of(config_, redis_->url());
  return start_redis(crew_, *redis_, kRedisName);
}

/// With a new segment.
Status Supervisor::begin() {
  for (const auto step : {&Listeners::open_events, &Listeners::open_console}) {
    if (Status opened = (listeners_.*step)(); !opened.ok()) return opened;
  }
  auto made = NewSegment::make(plan_, [this] { crew_.attend(0); });
  if (!made.ok()) return made.error();
  if (Status named = made->take_name(); !named.ok()) return named;
  if (Status filled = fill(*made); !filled.ok()) return filled;
  return open_doors();
}

/// The writers run on the new segment, which has its name. Whoever reads the old one reads on until
/// everything stored is in the new one.
Status Supervisor::fill(NewSegment& made) {
  report_ = StartReport{};
  old_superblock_ = made.old_superblock();
  Status filled = take_made(made.report());
  if (filled.ok()) {
    note_changes();
    filled = start_writers();
  }
  old_superblock_ = nullptr;
  made.supersede_old();
  return filled;
}

void Supervisor::note_changes() {
  const std::vector<ConfigChange> changes =
      changes_since(config_.durability.directory + "/catalog", plan_.catalog);
  if (!changes.empty()) report_.features = changes_text(changes);
  for (const ConfigError& warning : config_.warnings) report_.notes.push_back(warning.message());
}

Status Supervisor::take_made(const SegmentReport& made) {
  report_.notes = made.notes;
  auto segment = Segment::open(segment_directory_);
  if (!segment.ok()) return segment.error();
  Status taken = take_segment(std::make_unique<Segment>(std::move(segment.value())));
  if (!taken.ok()) return taken;
  process_->gauge("deja_table_bytes").set(made.placement.bytes);
  process_->gauge("deja_table_huge_page_bytes").set(made.placement.huge_bytes);
  process_->gauge("deja_segment_bytes").set(plan_bytes(plan_));
  if (Status locked = lock_table(); !locked.ok()) return locked;
  if (!locked_table_->note().empty()) report_.notes.push_back(locked_table_->note());
  return Done{};
}

/// With the segment of a supervisor that was killed.
Status Supervisor::go_on(std::unique_ptr<Segment> old) {
  say(taken_over_ ? "going on with the segment of the program before"
                  : "the last deja serve of \"" + config_.appliance.name +
                        "\" was killed: going on with its segment");
  auto report = StartReport::read(old->path("report"));
  if (report.ok()) report_ = std::move(report.value());
  listeners_.go_on_from(report_);
  const SegmentState state = old->superblock().state.load(std::memory_order_acquire);
  if (Status taken = take_segment(std::move(old)); !taken.ok()) return taken;
  served_ = state != SegmentState::kStarting;
  if (Status started = start_writers(); !started.ok()) return started;
  if (Status opened = open_doors(); !opened.ok()) return opened;
  return lock_table();  // last: it takes a while, and nobody waits for it
}

Status Supervisor::take_segment(std::unique_ptr<Segment> segment) {
  auto superblock = segment->map_superblock_for_writing();
  if (!superblock.ok()) return superblock.error();
  auto process = segment->map("process-supervisor", MappedFile::Mode::kReadWrite);
  if (!process.ok()) return process.error();
  auto writers = Writers::open(crew_, *segment);
  if (!writers.ok()) return writers.error();
  superblock_ = std::make_unique<MappedFile>(std::move(superblock.value()));
  process_ = std::make_unique<ProcessFile>(std::move(process.value()), "supervisor");
  writers_.emplace(std::move(writers.value()));
  segment_ = std::move(segment);
  return Done{};
}

Status Supervisor::lock_table() {
  auto locked = LockedTable::lock(*segment_);
  if (!locked.ok()) return locked.error();
  locked_table_ = std::make_unique<LockedTable>(std::move(locked.value()));
  process_->gauge("deja_table_locked_bytes").set(locked_table_->locked_bytes());
  return Done{};
}

Status Supervisor::open_doors() {
  if (Status started = start_listeners(); !started.ok()) return started;
  tell_ready();
  return Done{};
}

Status Supervisor::start_writers() {
  if (Status started = writers_->start(); !started.ok()) return started;
  const Status recovered =
      crew_.attend_until([this] { return writers_->backlog().workers_recovering() == 0; },
                         "reading stored profiles back");
  if (!recovered.ok()) return recovered;
  // Before the first event can be accepted: whoever finds this segment must know that there may be
  // some.
  served_ = true;
  set_state(SegmentState::kServing);
  return Done{};
}

/// The report follows the sockets: a child that is started again may get other ports.
HandSockets Supervisor::handing(Status (Listeners::*open)(),
                                void (Listeners::*hand)(ChildCommand&) const) {
  return [this, open, hand](ChildCommand& command) -> Status {
    if (Status opened = (listeners_.*open)(); !opened.ok()) return opened;
    (listeners_.*hand)(command);
    listeners_.describe(report_);
    return report_.write(segment_->path("report"));
  };
}

Status Supervisor::start_ingest() {
  if (!listeners_.has_events()) return Done{};
  Post ingest = ingest_post(*segment_, ingest_user_,
                            handing(&Listeners::open_events, &Listeners::hand_events));
  if (report_.ingest_user != ingest_user_ && crew_.adopt(ingest)) {
    stop_ingest();  // it is not the user that it is to be
  }
  report_.ingest_user = ingest_user_;
  return crew_.fill(std::move(ingest));
}

Status Supervisor::start_console() {
  if (!listeners_.has_console()) return Done{};
  Post console =
      console_post(*segment_, handing(&Listeners::open_console, &Listeners::hand_console));
  if (crew_.adopt(console)) {
    if (shows_itself(crew_, *segment_, kConsoleName)) return Done{};
    stop_console();  // a reload was cut short: it shows the segment before this one
  }
  return crew_.fill(std::move(console));
}

Status Supervisor::start_listeners() {
  if (Status started = start_ingest(); !started.ok()) return started;
  if (Status started = start_console(); !started.ok()) return started;
  listeners_.describe(report_);
  if (Status written = report_.write(segment_->path("report")); !written.ok()) return written;
  const Status shown = crew_.attend_until(
      [&] {
        return (!listeners_.has_events() || shows_itself(crew_, *segment_, kIngestName)) &&
               (!listeners_.has_console() || shows_itself(crew_, *segment_, kConsoleName));
      },
      "starting ingest and console", kListenerStartMs);
  if (!shown.ok()) return shown;
  return store_catalog(config_.durability.directory + "/catalog", plan_.catalog);
}

void Supervisor::stop_ingest() {
  crew_.stop(kIngestName, SIGTERM, kIngestStopMs);
}

void Supervisor::stop_console() {
  crew_.stop(kConsoleName, SIGTERM, kConsoleStopMs);
}

void Supervisor::set_state(SegmentState state) {
  if (superblock_ == nullptr) return;
  superblock_->at<SuperblockLayout>()->state.store(state, std::memory_order_release);
}

void Supervisor::tell_ready() {
  notify_service_manager("READY=1");
  if (taken_over_) return;
  const std::string json = ready_json(config_, segment_directory_, report_);
  if (options_.json) {
    std::fputs(json.c_str(), stdout);
    std::fflush(stdout);
  } else {
    print_banner(config_, segment_directory_, report_, plan_);
  }
  if (options_.ready_descriptor >= 0) {
    if (write(options_.ready_descriptor, json.data(), json.size()) < 0) {
      say("nobody reads --ready-fd");
    }
    close(options_.ready_descriptor);
  }
}

// --- stop ---------------------------------------------------------------------------------------

bool Supervisor::stop() {
  bool flushed = !unflushed_;
  if (served_) set_state(SegmentState::kDraining);
  stop_ingest();
  if (writers_) flushed = writers_->stop() && flushed;
  stop_console();
  crew_.stop(kRedisName, SIGTERM, kRedisStopMs);
  if (redis_ != nullptr) redis_->remove_files();
  listeners_.close();
  if (segment_ == nullptr) {
    // Nothing was made; what a killed one left stays for the next start.
    if (!locks_.empty()) {
      ReloadOutcome::remove(segment_directory_);
      remove_directory(segment_directory_);
    }
    return flushed;
  }
  if (!flushed && served_) {
    say("not everything could be made durable; the segment " + segment_directory_ +
        " keeps it, and the next deja serve goes on from there");
    return false;
  }
  set_state(SegmentState::kStopped);
  unlink((config_.durability.directory + "/keeper.lock").c_str());
  ReloadOutcome::remove(segment_directory_);
  if (Status removed = remove_segment(config_.appliance.directory, config_.appliance.name);
      !removed.ok()) {
    say(removed.error().message());
    return false;
  }
  return true;
}

}  // namespace deja
