#include "tools/serve/writers.h"

#include <csignal>
#include <cstdio>
#include <string>

#include "shm/base/clock.h"
#include "shm/process_file.h"
#include "tools/serve/posts.h"

namespace deja {
namespace {

constexpr int kRingsEmptyMs = 60'000;
constexpr int kWorkerStopMs = 20'000;
constexpr int kKeeperStopMs = 60'000;

}  // namespace

bool shows_itself(const Crew& crew, const Segment& segment, const std::string& name) {
  const std::optional<pid_t> pid = crew.pid(name);
  const auto view = ProcessView::read(segment.path("process-" + name));
  return pid && view.ok() && view->pid == *pid;
}

Result<Writers> Writers::open(Crew& crew, const Segment& segment) {
  auto backlog = Backlog::open(segment);
  if (!backlog.ok()) return backlog.error();
  return Writers(crew, segment, std::move(backlog.value()));
}

Status Writers::start() {
  Status started = crew_->fill(keeper_post(*segment_));
  for (std::uint32_t worker = 0; started.ok() && worker < segment_->superblock().worker_count;
       ++worker) {
    started = crew_->fill(worker_post(*segment_, worker));
  }
  return started;
}

bool Writers::run() const {
  bool all = shows_itself(*crew_, *segment_, kKeeperName);
  for (std::uint32_t worker = 0; all && worker < segment_->superblock().worker_count; ++worker) {
    all = shows_itself(*crew_, *segment_, kWorkerPrefix + std::to_string(worker));
  }
  return all;
}

bool Writers::stop() {
  const std::int64_t deadline_ns = steady_ns() + std::int64_t{kRingsEmptyMs} * 1'000'000;
  while ((backlog_.unconsumed_bytes() != 0 || !run()) && steady_ns() < deadline_ns &&
         !crew_->hopeless()) {
    crew_->attend(2);
  }
  const std::uint64_t left = backlog_.unconsumed_bytes();
  if (left != 0) {
    std::fprintf(stderr, "deja: workers left %llu bytes of events in their rings\n",
                 static_cast<unsigned long long>(left));
  }
  const Child::Exit workers = crew_->stop(kWorkerPrefix, SIGTERM, kWorkerStopMs);
  const Child::Exit keeper = crew_->stop(kKeeperName, SIGTERM, kKeeperStopMs);
  return left == 0 && workers != Child::Exit::kUnclean && keeper != Child::Exit::kUnclean &&
         backlog_.undrained_bytes() == 0;
}

}  // namespace deja
