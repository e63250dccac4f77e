#include "tools/serve/supervisor.h"

#include <sys/stat.h>

#include <algorithm>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "shm/base/clock.h"
#include "shm/json_text.h"
#include "shm/segment_names.h"
#include "tools/cli/terminal.h"
#include "tools/config/segment_plan.h"
#include "tools/serve/ingest_user.h"
#include "tools/serve/leftover.h"
#include "tools/serve/notify.h"
#include "tools/serve/stored_catalog.h"

namespace deja {
namespace {

constexpr int kRedisStartMs = 60'000;
constexpr int kIngestStopMs = 10'000;
constexpr int kRingsEmptyMs = 60'000;
constexpr int kWorkerStopMs = 20'000;
constexpr int kKeeperStopMs = 60'000;
constexpr int kConsoleStopMs = 5'000;
constexpr int kRedisStopMs = 30'000;

constexpr const char* kWorkerPrefix = "worker-";
constexpr const char* kRedisName = "redis";

void say(const std::string& text) {
  std::fprintf(stderr, "deja: %s\n", text.c_str());
}

void append_member(std::string& json, const char* name, const std::string& value) {
  json.append(json.size() > 1 ? "," : "").append("\"").append(name).append("\":");
  append_json_text(json, value);
}

/// All of the plan's files together.
std::uint64_t plan_bytes(const SegmentPlan& plan) {
  std::uint64_t bytes = plan.geometry().table_bytes();
  for (const SegmentFile& file : plan.files) bytes += file.bytes;
  return bytes;
}

std::string address_of(const std::vector<ListeningSocket>& sockets) {
  return sockets.empty() ? std::string() : sockets.front().address();
}

}  // namespace

Supervisor::Supervisor(Config config, const Options& options)
    : config_(std::move(config)),
      options_(options),
      segment_directory_(
          segment_directory(config_.appliance.directory.c_str(), config_.appliance.name.c_str())
              .text) {
  crew_.on_pass([this] {
    const std::int64_t now_us = wall_us();
    if (superblock_ != nullptr) {
      superblock_->at<SuperblockLayout>()->heartbeat_us.store(now_us, std::memory_order_relaxed);
    }
    if (process_ != nullptr) process_->heartbeat(now_us);
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
  const Status started = start();
  if (!started.ok()) {
    const bool asked = crew_.stop_requested();
    say(started.error().message());
    const bool flushed = stop();
    return asked && flushed ? 0 : 1;
  }
  while (!crew_.stop_requested()) crew_.attend(1000);
  notify_service_manager("STOPPING=1");
  return stop() ? 0 : 1;
}

Status Supervisor::start() {
  const auto steps = {&Supervisor::take_places, &Supervisor::drain_leftover, &Supervisor::listen,
                      &Supervisor::make_segment};
  for (const auto step : steps) {
    if (Status done = (this->*step)(); !done.ok()) return done;
  }
  if (Status started = start_writers(segment_directory_, plan_.worker_count); !started.ok()) {
    return started;
  }
  const Status recovered = crew_.attend_until(
      [this] { return backlog_->workers_recovering() == 0; }, "reading stored profiles back");
  if (!recovered.ok()) return recovered;
  if (Status started = start_listeners(); !started.ok()) return started;
  served_ = true;
  set_state(SegmentState::kServing);
  if (Status stored = store_catalog(config_.durability.directory + "/catalog", plan_.catalog);
      !stored.ok()) {
    return stored;
  }
  tell_ready();
  return Done{};
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
  return Done{};
}

Status Supervisor::listen() {
  const auto open_all = [](const std::vector<ListenAddress>& addresses,
                           std::vector<ListeningSocket>& sockets) -> Status {
    for (const ListenAddress& address : addresses) {
      auto socket = ListeningSocket::open(address);
      if (!socket.ok()) return socket.error();
      sockets.push_back(std::move(socket.value()));
    }
    return Done{};
  };
  if (Status opened = open_all(config_.listen.http, http_); !opened.ok()) return opened;
  if (Status opened = open_all(config_.listen.stream, streams_); !opened.ok()) return opened;
  return open_all(config_.listen.console, console_);
}

ChildCommand Supervisor::command(const std::string& program,
                                 std::vector<std::string> arguments) const {
  ChildCommand command;
  command.program = program_folder() + "/" + program;
  command.arguments = std::move(arguments);
  return command;
}

Status Supervisor::start_redis(const PrivateRedis& redis, const std::string& name) {
  if (Status gone = redis.wait_until_gone(); !gone.ok()) return gone;
  if (Status started = crew_.start(name, redis.command()); !started.ok()) {
    Error error = started.error();
    if (error.error_number == ENOENT) {
      error.remedy =
          "[redis] url = \"local\" needs the program redis-server: install it (Debian: apt install "
          "redis-server), or name a Redis of yours in [redis] url";
    }
    return error;
  }
  const Status answered = crew_.attend_until([&] { return redis.answers(); },
                                             "starting the private redis-server", kRedisStartMs);
  if (answered.ok() || crew_.stop_requested()) return answered;
  Error error = answered.error();
  error.remedy = "The last lines of its log:" + redis.last_words();
  return error;
}

Status Supervisor::start_writers(const std::string& directory, std::uint32_t worker_count) {
  Status started = crew_.start("keeper", command("deja-keeper", {"--segment", directory}));
  for (std::uint32_t worker = 0; started.ok() && worker < worker_count; ++worker) {
    const std::string number = std::to_string(worker);
    started = crew_.start(kWorkerPrefix + number,
                          command("deja-worker", {"--segment", directory, "--index", number}));
  }
  return started;
}

Status Supervisor::drain_leftover() {
  if (config_.redis.url == "local") {
    redis_ = std::make_unique<PrivateRedis>(config_.durability.directory, segment_directory_);
    if (Status started = start_redis(*redis_, kRedisName); !started.ok()) return started;
  }
  std::unique_ptr<Segment> old = find_leftover(segment_directory_);
  if (old == nullptr) return Done{};
  say("the last deja serve of \"" + config_.appliance.name +
      "\" was killed: draining what it had accepted");
  wait_for_old_writers(*old);
  auto backlog = Backlog::open(*old);
  if (!backlog.ok()) return backlog.error();

  // Its private Redis may have lain in another directory than ours.
  const std::string old_url = old->settings().getRedisUrl().cStr();
  PrivateRedis old_redis(old->settings().getDurabilityDirectory().cStr(), segment_directory_);
  const bool elsewhere =
      old_url == old_redis.url() && (redis_ == nullptr || redis_->url() != old_url);
  if (elsewhere) {
    if (Status started = start_redis(old_redis, "old-redis"); !started.ok()) return started;
  }
  const std::uint32_t workers = old->superblock().worker_count;
  Status drained = start_writers(segment_directory_, workers);
  if (drained.ok()) {
    drained = crew_.attend_until(
        [&] { return backlog->workers_recovering() == 0 && backlog->unconsumed_bytes() == 0; },
        "draining what was accepted");
  }
  const bool flushed = stop_writers(*old, backlog.value());
  if (elsewhere) crew_.stop("old-redis", SIGTERM, kRedisStopMs);
  if (!drained.ok()) return drained;
  if (!flushed) {
    return Error{"what the last deja serve had accepted could not be flushed to Redis", 0,
                 "Make Redis reachable and start again; the segment " + segment_directory_ +
                     " still holds it"};
  }
  auto superblock = old->map_superblock_for_writing();
  if (!superblock.ok()) return superblock.error();
  superblock->at<SuperblockLayout>()->state.store(SegmentState::kStopped,
                                                  std::memory_order_release);
  say("drained");
  return Done{};
}

Status Supervisor::make_segment() {
  plan_ = segment_plan_of(config_, redis_ != nullptr ? redis_->url() : config_.redis.url);
  auto created = create_segment(plan_);
  if (!created.ok()) return created.error();
  report_.notes = created->notes;
  for (const ConfigError& warning : config_.warnings) report_.notes.push_back(warning.message());

  auto segment = Segment::open(segment_directory_);
  if (!segment.ok()) return segment.error();
  segment_ = std::make_unique<Segment>(std::move(segment.value()));
  auto locked = LockedTable::lock(*segment_);
  if (!locked.ok()) return locked.error();
  locked_table_ = std::make_unique<LockedTable>(std::move(locked.value()));
  if (!locked_table_->note().empty()) report_.notes.push_back(locked_table_->note());
  auto backlog = Backlog::open(*segment_);
  if (!backlog.ok()) return backlog.error();
  backlog_ = std::make_unique<Backlog>(std::move(backlog.value()));
  auto superblock = segment_->map_superblock_for_writing();
  if (!superblock.ok()) return superblock.error();
  superblock_ = std::make_unique<MappedFile>(std::move(superblock.value()));
  auto process = segment_->map("process-supervisor", MappedFile::Mode::kReadWrite);
  if (!process.ok()) return process.error();
  process_ = std::make_unique<ProcessFile>(std::move(process.value()), "supervisor");
  process_->gauge("deja_table_bytes").set(created->placement.bytes);
  process_->gauge("deja_table_huge_page_bytes").set(created->placement.huge_bytes);
  process_->gauge("deja_table_locked_bytes").set(locked_table_->locked_bytes());
  process_->gauge("deja_segment_bytes").set(plan_bytes(plan_));

  const std::vector<ConfigChange> changes =
      changes_since(config_.durability.directory + "/catalog", plan_.catalog);
  if (!changes.empty()) report_.features = changes_text(changes);
  report_.http = address_of(http_);
  for (const ListeningSocket& socket : streams_) report_.streams.push_back(socket.address());
  report_.console = address_of(console_);
  return report_.write(segment_->path("report"));
}

/// A child that has written its own pid into its file is past everything that can fail at a start,
/// and understands SIGTERM.
bool Supervisor::runs(const Segment& segment, const std::string& name) const {
  const std::optional<pid_t> pid = crew_.pid(name);
  const auto view = ProcessView::read(segment.path("process-" + name));
  return pid && view.ok() && view->pid == *pid;
}

bool Supervisor::writers_run(const Segment& segment) const {
  bool all = runs(segment, "keeper");
  for (std::uint32_t worker = 0; all && worker < segment.superblock().worker_count; ++worker) {
    all = runs(segment, kWorkerPrefix + std::to_string(worker));
  }
  return all;
}

Status Supervisor::start_listeners() {
  if (!http_.empty() || !streams_.empty()) {
    ChildCommand ingest = command("deja-ingest", {"--segment", segment_directory_});
    if (!ingest_user_.empty()) {
      ingest.arguments.insert(ingest.arguments.end(), {"--user", ingest_user_});
    }
    const auto hand_over = [&](const char* option, const std::vector<ListeningSocket>& sockets) {
      for (const ListeningSocket& socket : sockets) {
        ingest.arguments.emplace_back(option);
        ingest.arguments.push_back(std::to_string(socket.descriptor()));
        ingest.inherited.push_back(socket.descriptor());
      }
    };
    hand_over("--http-fd", http_);
    hand_over("--stream-fd", streams_);
    if (Status started = crew_.start("ingest", std::move(ingest)); !started.ok()) return started;
  }
  if (!console_.empty()) {
    const int descriptor = console_.front().descriptor();
    ChildCommand console = command("deja-console", {"--segment", segment_directory_, "--listen-fd",
                                                    std::to_string(descriptor)});
    console.inherited = {descriptor};
    if (Status started = crew_.start("console", std::move(console)); !started.ok()) return started;
  }
  return crew_.attend_until(
      [&] {
        return ((http_.empty() && streams_.empty()) || runs(*segment_, "ingest")) &&
               (console_.empty() || runs(*segment_, "console"));
      },
      "starting ingest and console", 30'000);
}

void Supervisor::set_state(SegmentState state) {
  if (superblock_ == nullptr) return;
  superblock_->at<SuperblockLayout>()->state.store(state, std::memory_order_release);
}

std::string Supervisor::ready_json() const {
  std::string json = "{";
  append_member(json, "name", config_.appliance.name);
  append_member(json, "http", report_.http);
  json += ",\"streams\":[";
  for (std::size_t at = 0; at < report_.streams.size(); ++at) {
    if (at > 0) json.push_back(',');
    append_json_text(json, report_.streams[at]);
  }
  json.push_back(']');
  append_member(json, "console", report_.console);
  append_member(json, "segment", segment_directory_);
  append_member(json, "features", report_.features);
  json += ",\"pid\":" + std::to_string(getpid()) + ",\"notes\":[";
  for (std::size_t at = 0; at < report_.notes.size(); ++at) {
    if (at > 0) json.push_back(',');
    append_json_text(json, report_.notes[at]);
  }
  return json + "]}\n";
}

void Supervisor::print_banner() const {
  const auto row = [](const char* key, const std::string& value) {
    std::printf("  %-9s %s\n", key, value.c_str());
  };
  const Style style = style_of(stdout);
  std::printf("%sdeja%s serves \"%s\"\n", style.bold, style.plain, config_.appliance.name.c_str());
  if (!report_.http.empty()) row("events", "http://" + report_.http + "/v1/track (Segment's API)");
  for (const std::string& stream : report_.streams) row("stream", stream);
  if (!report_.console.empty()) row("profiles", "http://" + report_.console + "/v1/profiles/USER");
  row("renderers", segment_directory_ + " (libdeja, read-only)");
  row("memory", human_bytes(plan_bytes(plan_)) + " for " + human_count(config_.appliance.profiles) +
                    " profiles of " + std::to_string(plan_.geometry().block_bytes()) + " bytes");
  row("processes", std::to_string(plan_.ingest_count) + " ingest thread" +
                       (plan_.ingest_count == 1 ? "" : "s") + ", " +
                       std::to_string(plan_.worker_count) + " worker" +
                       (plan_.worker_count == 1 ? "" : "s") + ", keeper" +
                       (redis_ != nullptr ? ", private redis-server" : ""));
  if (!report_.features.empty()) row("features", report_.features);
  for (const std::string& note : report_.notes) row("note", note);
  std::fflush(stdout);
}

void Supervisor::tell_ready() {
  const std::string json = ready_json();
  if (options_.json) {
    std::fputs(json.c_str(), stdout);
    std::fflush(stdout);
  } else {
    print_banner();
  }
  notify_service_manager("READY=1");
  if (options_.ready_descriptor >= 0) {
    if (write(options_.ready_descriptor, json.data(), json.size()) < 0) {
      say("nobody reads --ready-fd");
    }
    close(options_.ready_descriptor);
  }
}

bool Supervisor::stop_writers(const Segment& segment, const Backlog& backlog) {
  const std::int64_t deadline_ns = steady_ns() + std::int64_t{kRingsEmptyMs} * 1'000'000;
  while ((backlog.unconsumed_bytes() != 0 || !writers_run(segment)) && steady_ns() < deadline_ns &&
         !crew_.hopeless()) {
    crew_.attend(2);
  }
  const std::uint64_t left = backlog.unconsumed_bytes();
  if (left != 0) say("workers left " + std::to_string(left) + " bytes of events in their rings");
  const bool workers = crew_.stop(kWorkerPrefix, SIGTERM, kWorkerStopMs);
  const bool keeper = crew_.stop("keeper", SIGTERM, kKeeperStopMs);
  return left == 0 && workers && keeper;
}

bool Supervisor::stop() {
  bool flushed = true;
  if (served_) set_state(SegmentState::kDraining);
  crew_.stop("ingest", SIGTERM, kIngestStopMs);
  if (backlog_ != nullptr) flushed = stop_writers(*segment_, *backlog_);
  crew_.stop("console", SIGTERM, kConsoleStopMs);
  crew_.stop(kRedisName, SIGTERM, kRedisStopMs);
  if (redis_ != nullptr) redis_->remove_files();
  http_.clear();
  streams_.clear();
  console_.clear();
  if (segment_ == nullptr) {
    // Nothing was made; what a killed one left stays for the next start.
    if (!locks_.empty() && access((segment_directory_ + "/superblock").c_str(), F_OK) != 0) {
      unlink((segment_directory_ + "/supervisor.lock").c_str());
      rmdir(segment_directory_.c_str());
    }
    return flushed;
  }
  if (!flushed && served_) {
    say("not everything could be flushed to Redis; the segment " + segment_directory_ +
        " keeps it, and the next deja serve goes on from there");
    return false;
  }
  set_state(SegmentState::kStopped);
  if (Status removed = remove_segment(config_.appliance.directory, config_.appliance.name);
      !removed.ok()) {
    say(removed.error().message());
    return false;
  }
  return true;
}

}  // namespace deja
