#include "tools/inspect/appliance_state.h"

#include <signal.h>

#include <cerrno>
#include <map>
#include <string_view>

#include "shm/base/clock.h"

namespace deja {
namespace {

const char* state_name(SegmentState state) {
  switch (state) {
    case SegmentState::kStarting:
      return "starting";
    case SegmentState::kServing:
      return "serving";
    case SegmentState::kDraining:
      return "draining";
    case SegmentState::kStopped:
      return "stopped";
    case SegmentState::kSuperseded:
      return "superseded";
    case SegmentState::kDrained:
      return "drained";
  }
  return "unknown";
}

constexpr std::int64_t kSilenceUs = 10'000'000;

/// What nobody ended while whoever looks after it is gone: "unsupervised" where its other processes
/// go on without, "abandoned" where none of them shows a sign of life. nullptr: it is looked after.
const char* orphan_state(const SuperblockLayout& superblock, const ApplianceState& state) {
  if (has_ended(superblock.state.load(std::memory_order_acquire))) return nullptr;
  const auto is_gone = [&](std::int64_t pid, std::int64_t heartbeat_us) {
    // Without a process, or, where nobody buries it, without the sign of life due every second.
    return (kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) ||
           state.now_us - heartbeat_us > kSilenceUs;
  };
  std::int64_t supervisor_pid = superblock.supervisor_pid;  // the first; its successors adopted
  bool others = false;
  for (const ProcessView& process : state.processes) {
    if (process.name == "supervisor") {
      supervisor_pid = process.pid;
    } else if (!is_gone(process.pid, process.heartbeat_us)) {
      others = true;
    }
  }
  if (!is_gone(supervisor_pid, superblock.heartbeat_us.load(std::memory_order_relaxed))) {
    return nullptr;
  }
  return others ? "unsupervised" : "abandoned";
}

}  // namespace

ApplianceState gather_state(const Segment& segment, const std::string& path) {
  ApplianceState state;
  const SuperblockLayout& superblock = segment.superblock();
  state.name.assign(superblock.appliance,
                    strnlen(superblock.appliance, sizeof superblock.appliance));
  state.segment = path;
  state.state = state_name(superblock.state.load(std::memory_order_acquire));
  state.incarnation = superblock.incarnation;
  state.now_us = wall_us();
  state.up_us = state.now_us - superblock.created_us;
  state.heartbeat_age_us = state.now_us - superblock.heartbeat_us.load(std::memory_order_relaxed);
  state.rings = ring_lags(segment, state.now_us);
  state.logs = log_lags(segment, state.now_us);
  state.processes = read_processes(segment);
  if (const char* orphaned = orphan_state(superblock, state)) state.state = orphaned;
  state.totals = event_totals(state.processes);
  std::map<std::string, std::uint64_t> codes;
  for (const ProcessView& process : state.processes) {
    for (const auto& counter : process.counters) {
      if (counter_family(counter.name) != "deja_events_rejected_total" || counter.value == 0) {
        continue;
      }
      codes[std::string(label_of(counter.name, "code"))] += counter.value;
    }
  }
  state.rejected.assign(codes.begin(), codes.end());
  state.profiles = sum_of(state.processes, "deja_profiles");
  state.partial = sum_of(state.processes, "deja_profiles_partial");
  state.profiles_max =
      std::uint64_t{superblock.blocks_per_shard - superblock.reuse_blocks} * superblock.shard_count;
  state.journal = static_cast<JournalState>(sum_of(state.processes, "deja_journal_state"));
  state.journal_segments = sum_of(state.processes, "deja_journal_segments");
  state.journal_lag_events = sum_of(state.processes, "deja_journal_lag_events");
  state.journal_lag_us = sum_of(state.processes, "deja_journal_lag_microseconds");
  state.flush_lag_events = sum_of(state.processes, "deja_flush_lag_events");
  state.flush_lag_us = sum_of(state.processes, "deja_flush_lag_microseconds");
  state.redis_connected = sum_of(state.processes, "deja_redis_connected") != 0;
  auto report = StartReport::read(segment.path("report"));
  if (report.ok()) state.report = std::move(report.value());
  for (const ProcessView& process : state.processes) {
    for (const auto& counter : process.counters) {
      if (counter.name == "deja_io_backend{kind=\"epoll\"}" && counter.value != 0) {
        state.report.notes.push_back(process.name +
                                     " uses epoll in place of io_uring; deja serve's log says why");
      }
      if (counter_family(counter.name) != "deja_thread_not_pinned" || counter.value == 0) continue;
      const std::string thread(label_of(counter.name, "thread"));
      state.report.notes.push_back(process.name + (thread.empty() ? "" : " thread " + thread) +
                                   " could not be pinned to its core and may run on any");
    }
  }
  return state;
}

}  // namespace deja
