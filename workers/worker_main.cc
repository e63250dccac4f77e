// deja-worker --segment DIRECTORY --index W [--predecessor hung]: one Worker in a process of its
// own, started by the supervisor, and going on without it. SIGTERM makes it finish: it takes what
// is in its rings and ends with 0. SIGINT is the supervisor's affair, and ignored. --predecessor
// hung: the worker before it was killed for hanging, which nobody but the supervisor can know.
#include <signal.h>

#include <atomic>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>

#include "shm/base/affinity.h"
#include "shm/base/result.h"
#include "shm/place_lock.h"
#include "shm/segment.h"
#include "workers/worker.h"
#include "workers/worker_attempts.h"

namespace {

std::atomic<bool> finish{false};

void on_signal(int) {
  finish.store(true, std::memory_order_relaxed);
}

int fail(const std::string& message, int status) {
  std::fprintf(stderr, "deja-worker: %s\n", message.c_str());
  return status;
}

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: a sleep ends
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGPIPE, &action, nullptr);  // whoever read stderr may be gone
}

}  // namespace

int main(int argument_count, char** arguments) {
  std::string directory;
  std::uint32_t index = 0;
  bool has_index = false;
  bool understood = argument_count % 2 == 1;
  deja::AttachOptions options;
  for (int at = 1; at + 1 < argument_count; at += 2) {
    const std::string_view name = arguments[at];
    const std::string_view value = arguments[at + 1];
    if (name == "--segment") {
      directory = value;
    } else if (name == "--index") {
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), index);
      has_index = parsed.ec == std::errc{} && parsed.ptr == value.data() + value.size();
    } else if (name == "--predecessor") {
      options.predecessor_hung = value == "hung";
      understood &= value == "hung" || value == "dead";
    } else {
      understood = false;
    }
  }
  if (!understood || directory.empty() || !has_index) {
    return fail("use: deja-worker --segment DIRECTORY --index W [--predecessor hung|dead]", 2);
  }
  handle_signals();
  deja::install_fault_handler();

  deja::Result<deja::Segment> segment = deja::Segment::open(directory);
  if (!segment.ok()) return fail(segment.error().message(), 1);
  const auto place = deja::PlaceLock::take(
      segment->stable_path(deja::place_file("worker-" + std::to_string(index))));
  if (!place.ok()) return fail(place.error().message(), 1);
  const auto cpus = segment->settings().getWorkerCpus();
  const std::int32_t cpu = index < cpus.size() ? cpus[index] : -1;
  const int pinned = cpu >= 0 ? deja::pin_this_thread(cpu) : 0;

  auto worker = deja::Worker::attach(*segment, index, options);
  if (!worker.ok()) return fail(worker.error().message(), 1);
  (*worker)->report_pinned(pinned == 0);
  const deja::Status done = (*worker)->run(finish);
  return done.ok() ? 0 : fail(done.error().message(), 1);
}
