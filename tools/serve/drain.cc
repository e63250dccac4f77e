#include "tools/serve/drain.h"

#include <csignal>
#include <optional>
#include <variant>
#include <vector>

#include "tools/serve/leftover.h"
#include "tools/serve/listening_socket.h"
#include "tools/serve/posts.h"
#include "tools/serve/start_report.h"
#include "tools/serve/writers.h"

namespace deja {
namespace {

constexpr int kRedisStartMs = 60'000;
constexpr int kIngestStopMs = 10'000;
constexpr int kRedisStopMs = 30'000;
constexpr const char* kOldRedisName = "old-redis";

/// Unix sockets of an ingest and a console that have ended.
void remove_sockets(const Segment& old) {
  const auto report = StartReport::read(old.path("report"));
  if (!report.ok()) return;
  std::vector<std::string> texts = report->streams;
  texts.insert(texts.end(), {report->http, report->console});
  for (const std::string& text : texts) {
    const auto parsed = parse_listen_address(text);
    if (const auto* address = std::get_if<ListenAddress>(&parsed)) {
      ListeningSocket::remove_dead(*address);
    }
  }
}

Status apply_and_flush(Crew& crew, const Segment& old, const std::string& segment_directory) {
  auto writers = Writers::open(crew, old);
  if (!writers.ok()) return writers.error();
  Status drained = writers->start();
  if (drained.ok()) {
    drained = crew.attend_until(
        [&] {
          const Backlog& backlog = writers->backlog();
          return backlog.workers_recovering() == 0 && backlog.unconsumed_bytes() == 0;
        },
        "draining what was accepted");
  }
  const bool flushed = writers->stop();
  if (!drained.ok()) return drained;
  if (!flushed) {
    return Error{"what the last deja serve had accepted could not be made durable", 0,
                 "See what the keeper said above, and start again; the segment " +
                     segment_directory + " still holds it"};
  }
  return Done{};
}

}  // namespace

Status start_redis(Crew& crew, PrivateRedis& redis, const std::string& name) {
  Status filled = crew.fill(redis_post(redis, name));
  if (!filled.ok()) {
    Error error = filled.error();
    if (error.error_number == ENOENT) {
      error.remedy =
          "[redis] url = \"local\" needs the program redis-server: install it (Debian: apt install "
          "redis-server), or name a Redis of yours in [redis] url";
    }
    return error;
  }
  const Status answered = crew.attend_until([&] { return redis.answers(); },
                                            "starting the private redis-server", kRedisStartMs);
  if (answered.ok() || crew.stop_requested()) return answered;
  Error error = answered.error();
  error.remedy = "The last lines of its log:" + redis.last_words();
  return error;
}

Status drain_segment(Crew& crew, const Segment& old, const std::string& segment_directory,
                     const PrivateRedis* redis) {
  if (old.superblock().state.load(std::memory_order_acquire) == SegmentState::kStarting) {
    stop_orphans(crew, segment_directory);  // no event was accepted yet
  } else {
    const HandSockets none = [](ChildCommand&) -> Status { return Done{}; };
    crew.adopt(ingest_post(old, "", none));
    crew.stop(kIngestName, SIGTERM, kIngestStopMs);

    // Its private Redis may have lain in another directory than ours.
    const std::string url = old.settings().getRedisUrl().cStr();
    PrivateRedis old_redis(old.settings().getDurabilityDirectory().cStr(), segment_directory);
    const bool elsewhere = url == old_redis.url() && (redis == nullptr || redis->url() != url);
    Status drained = Done{};
    if (elsewhere) drained = start_redis(crew, old_redis, kOldRedisName);
    if (drained.ok()) drained = apply_and_flush(crew, old, segment_directory);
    crew.adopt(console_post(old, none));
    crew.stop(kConsoleName, SIGTERM, kIngestStopMs);
    if (elsewhere) {
      crew.stop(kOldRedisName, SIGTERM, kRedisStopMs);
      old_redis.remove_files();
    }
    if (!drained.ok()) return drained;
  }
  remove_sockets(old);
  auto superblock = old.map_superblock_for_writing();
  if (!superblock.ok()) return superblock.error();
  superblock->at<SuperblockLayout>()->state.store(SegmentState::kDrained,
                                                  std::memory_order_release);
  return Done{};
}

}  // namespace deja
