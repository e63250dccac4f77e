#include "tools/inspect/processes.h"

#include <signal.h>

#include <cerrno>

namespace deja {

std::vector<ProcessView> read_processes(const Segment& segment) {
  std::vector<std::string> names = {"supervisor", "ingest", "keeper", "console"};
  for (std::uint32_t worker = 0; worker < segment.superblock().worker_count; ++worker) {
    names.push_back("worker-" + std::to_string(worker));
  }
  std::vector<ProcessView> processes;
  for (const std::string& name : names) {
    auto view = ProcessView::read(segment.path("process-" + name));
    if (!view.ok() || view->pid == 0) continue;
    view->name = name;
    processes.push_back(std::move(view.value()));
  }
  return processes;
}

Health health_of(const ProcessView& process, std::int64_t now_us) {
  if (now_us - process.heartbeat_us > kSilentUs) {
    // A number from a file, so it may be one that means many processes, or anybody.
    const auto pid = static_cast<pid_t>(process.pid);
    const bool is_there = pid > 0 && pid == process.pid && (kill(pid, 0) == 0 || errno != ESRCH);
    return is_there ? Health::kSilent : Health::kGone;
  }
  const bool restarted = process.starts > 1 && now_us - process.started_us < kRestartedUs;
  return restarted ? Health::kRestarted : Health::kAlive;
}

const char* health_word(Health health) {
  switch (health) {
    case Health::kRestarted:
      return "restarted";
    case Health::kSilent:
      return "silent";
    case Health::kGone:
      return "gone";
    case Health::kAlive:
      break;
  }
  return "alive";
}

std::string_view counter_family(std::string_view name) {
  return name.substr(0, name.find('{'));
}

std::string_view label_of(std::string_view name, std::string_view label) {
  const std::string key = std::string(label) + "=\"";
  std::size_t at = name.find('{');
  while (at != std::string_view::npos) {
    const std::string_view rest = name.substr(at + 1);
    if (rest.starts_with(key)) {
      const std::string_view value = rest.substr(key.size());
      return value.substr(0, value.find('"'));
    }
    at = name.find(',', at + 1);
  }
  return {};
}

std::uint64_t sum_of(const std::vector<ProcessView>& processes, std::string_view family) {
  std::uint64_t sum = 0;
  for (const ProcessView& process : processes) {
    for (const ProcessView::NamedCounter& counter : process.counters) {
      if (counter_family(counter.name) == family) sum += counter.value;
    }
  }
  return sum;
}

EventTotals event_totals(const std::vector<ProcessView>& processes) {
  EventTotals totals;
  // What ends later first: an event on its way is then received and not yet anything else, and
  // never the other way round.
  totals.applied = sum_of(processes, "deja_events_applied_total");
  totals.duplicate = sum_of(processes, "deja_events_duplicate_total");
  totals.dead = sum_of(processes, "deja_events_dead_total");
  totals.rejected = sum_of(processes, "deja_events_rejected_total");
  totals.unmatched = sum_of(processes, "deja_events_unmatched_total");
  totals.alias = sum_of(processes, "deja_events_alias_total");
  totals.abandoned = sum_of(processes, "deja_events_abandoned_total");
  totals.received = sum_of(processes, "deja_events_received_total");
  return totals;
}

}  // namespace deja
