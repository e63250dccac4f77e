// deja-console --segment DIRECTORY --listen-fd N: profiles out over HTTP, and /metrics. Started by
// the supervisor, which made the socket, and going on without it. SIGTERM ends it once answers
// under way are out; SIGINT is the supervisor's affair, and ignored.
#include <signal.h>

#include <atomic>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>

#include "ingest/loop.h"
#include "ingest/loop_backend.h"
#include "shm/base/clock.h"
#include "shm/place_lock.h"
#include "shm/segment.h"
#include "tools/console/console_service.h"

namespace {

std::atomic<bool> stopping{false};

void on_signal(int) {
  stopping.store(true, std::memory_order_relaxed);
}

int complain(const std::string& message, int status) {
  std::fprintf(stderr, "deja-console: %s\n", message.c_str());
  return status;
}

class ConsoleDuty final : public deja::LoopDuty {
 public:
  explicit ConsoleDuty(deja::ProcessFile& process) : process_(process) {}
  void on_pass(std::int64_t now_us) override { process_.heartbeat(now_us); }
  [[nodiscard]] bool has_news() const override { return false; }

 private:
  deja::ProcessFile& process_;
};

/// "/dev/shm/deja-shop" → shop in /dev/shm.
deja::ApplianceName name_of(const std::string& segment) {
  const std::size_t slash = segment.rfind('/');
  deja::ApplianceName which;
  which.directory = slash == std::string::npos ? "." : segment.substr(0, slash);
  const std::string last = slash == std::string::npos ? segment : segment.substr(slash + 1);
  which.name = last.starts_with("deja-") ? last.substr(5) : last;
  return which;
}

int run(const std::string& directory, int listener) {
  auto segment = deja::Segment::open(directory);
  if (!segment.ok()) return complain(segment.error().message(), 1);
  const auto place = deja::PlaceLock::take(segment->stable_path(deja::place_file("console")));
  if (!place.ok()) return complain(place.error().message(), 1);
  auto rings = deja::LoopRings::make(1, {});
  if (!rings.ok()) return complain(rings.error().message(), 1);
  std::fprintf(stderr, "deja-console: %s\n", rings->line().c_str());
  auto file = segment->map("process-console", deja::MappedFile::Mode::kReadWrite);
  if (!file.ok()) return complain(file.error().message(), 1);
  deja::ProcessFile process(std::move(file.value()), "console");
  rings->show(process);
  auto service = deja::ConsoleService::open(name_of(directory), process);
  if (!service.ok()) return complain(service.error().message(), 1);

  constexpr std::int64_t kIdleUs = 120'000'000;
  constexpr std::uint64_t kBufferBytes = 64U << 20U;
  deja::BufferBudget buffers(kBufferBytes);
  deja::HttpConnectionFactory factory(**service, &buffers);
  ConsoleDuty duty(process);
  deja::LoopOptions options;
  options.listeners.push_back({listener, &factory, kIdleUs});
  options.duty = &duty;
  options.wait = deja::IdleWait::kSleep;  // nobody's latency is worth a core here
  options.connections_max = 1024;
  auto loop = deja::Loop::create(options, std::move(rings->rings.front()));
  if (!loop.ok()) return complain(loop.error().message(), 1);
  (*loop)->run(stopping);
  return 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  std::string directory;
  int listener = -1;
  for (int at = 1; at + 1 < argument_count; at += 2) {
    const std::string_view option = arguments[at];
    const std::string_view value = arguments[at + 1];
    if (option == "--segment") directory = value;
    if (option == "--listen-fd") {
      const auto result = std::from_chars(value.data(), value.data() + value.size(), listener);
      if (result.ptr != value.data() + value.size()) listener = -1;
    }
  }
  if (directory.empty() || listener < 0 || argument_count != 5) {
    return complain("usage: deja-console --segment DIRECTORY --listen-fd N", 2);
  }
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: a sleep ends
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGPIPE, &action, nullptr);
  return run(directory, listener);
}
