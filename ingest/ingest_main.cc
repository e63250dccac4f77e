// deja-ingest --segment DIRECTORY [--user UID:GID] [--http-fd N]… [--stream-fd N]…: takes events
// in, on listening sockets that the supervisor made and handed over. One thread per entry of
// Settings.ingestCpus, each with a loop, a sink and protocols of its own; they share nothing but
// the sockets.
//
// Opens everything first, then becomes the user it is told to be, lets each thread take its ring,
// and gives up every system call it does not need (ingest/sandbox.h), before the first byte of a
// stranger is read.
//
// It goes on without its supervisor. SIGTERM: no further connection or byte is taken, what was
// accepted is answered, and the process ends with 0, within about 5 s. SIGINT is the supervisor's
// affair, and ignored.
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <deque>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ingest/event_sink.h"
#include "ingest/http_connection.h"
#include "ingest/ingest_limits.h"
#include "ingest/loop.h"
#include "ingest/loop_backend.h"
#include "ingest/path_trie.h"
#include "ingest/sandbox.h"
#include "ingest/segment_api.h"
#include "ingest/stream_handler.h"
#include "ring/bell.h"
#include "shm/base/affinity.h"
#include "shm/base/clock.h"
#include "shm/place_lock.h"
#include "shm/process_file.h"
#include "shm/segment.h"

namespace deja {
namespace {

constexpr std::int64_t kHttpIdleUs = 120'000'000;
constexpr std::uint32_t kConnectionsMax = 16'384;  // of all threads, where descriptors allow

std::atomic<bool> stopping{false};
std::atomic<bool> failed{false};

void on_signal(int) {
  stopping.store(true, std::memory_order_relaxed);
}

int complain(const std::string& message, int status) {
  std::fprintf(stderr, "deja-ingest: %s\n", message.c_str());
  return status;
}

struct User {
  uid_t user = 0;
  gid_t group = 0;
};

struct Arguments {
  std::string segment;
  std::optional<User> user;
  std::vector<int> http;
  std::vector<int> streams;
};

template <typename Number>
bool read_number(std::string_view text, Number& into) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), into);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

/// "65534:65534"
std::optional<User> read_user(std::string_view text) {
  const std::size_t colon = text.find(':');
  User user;
  if (colon == std::string_view::npos || !read_number(text.substr(0, colon), user.user) ||
      !read_number(text.substr(colon + 1), user.group)) {
    return std::nullopt;
  }
  return user;
}

bool read_arguments(int count, char** texts, Arguments& into) {
  for (int at = 1; at < count; at += 2) {
    if (at + 1 == count) return false;
    const std::string_view name = texts[at];
    const std::string_view value = texts[at + 1];
    if (name == "--segment") {
      into.segment = value;
      continue;
    }
    if (name == "--user") {
      into.user = read_user(value);
      if (!into.user) return false;
      continue;
    }
    int descriptor = -1;
    if (!read_number(value, descriptor) || descriptor < 0) return false;
    if (name == "--http-fd") {
      into.http.push_back(descriptor);
    } else if (name == "--stream-fd") {
      into.streams.push_back(descriptor);
    } else {
      return false;
    }
  }
  return !into.segment.empty() && !(into.http.empty() && into.streams.empty());
}

/// Raises the limit of open files as far as it goes, and says what it is.
std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: a sleep ends
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGPIPE, &action, nullptr);
}

/// When each thread last passed: the process is as alive as its slowest thread.
class Heartbeats {
 public:
  Heartbeats(std::uint32_t thread_count, ProcessFile& process)
      : passes_(thread_count), process_(process) {}

  void pass(std::uint32_t thread, std::int64_t now_us) {
    passes_[thread].store(now_us, std::memory_order_relaxed);
    if (thread != 0) return;
    std::int64_t oldest_us = now_us;
    for (const auto& passed : passes_) {
      oldest_us = std::min(oldest_us, passed.load(std::memory_order_relaxed));
    }
    process_.heartbeat(oldest_us);
  }

 private:
  std::vector<std::atomic<std::int64_t>> passes_;
  ProcessFile& process_;
};

class IngestDuty final : public LoopDuty {
 public:
  IngestDuty(EventSink& sink, Heartbeats& heartbeats, std::uint32_t thread)
      : sink_(sink), heartbeats_(heartbeats), thread_(thread) {}

  void on_pass(std::int64_t now_us) override {
    sink_.publish();
    sink_.refresh();
    heartbeats_.pass(thread_, now_us);
  }
  void on_pass_end() override { sink_.end_pass(); }
  [[nodiscard]] bool has_news() const override { return sink_.has_news(); }

 private:
  EventSink& sink_;
  Heartbeats& heartbeats_;
  std::uint32_t thread_;
};

/// Everything that one thread works with. Built by the main thread, since names in the process file
/// are given one at a time; the loop itself belongs to the thread that makes it.
struct IngestThread {
  std::uint32_t number = 0;
  std::int32_t cpu = -1;
  std::unique_ptr<EventSink> sink;
  std::unique_ptr<Bell> bell;
  std::unique_ptr<SegmentApi> api;
  std::unique_ptr<HttpConnectionFactory> http;
  std::unique_ptr<StreamFactory> stream;
  std::unique_ptr<IngestDuty> duty;
  LoopCounters counters;
  LoopOptions options;
  Counter not_pinned;

  std::unique_ptr<LoopRing> ring;
  std::unique_ptr<Loop> loop;

  void fail(const Error& error) {
    complain(error.message(), 1);
    failed.store(true, std::memory_order_relaxed);
    stopping.store(true, std::memory_order_relaxed);
  }
  /// What needs calls that the sandbox refuses.
  void start() {
    not_pinned.set(cpu >= 0 && pin_this_thread(cpu) != 0 ? 1 : 0);
    auto made = Loop::create(options, std::move(ring));
    if (!made.ok()) return fail(made.error());
    loop = std::move(*made);
  }
  void serve() {
    if (loop != nullptr && !failed.load(std::memory_order_relaxed)) loop->run(stopping);
    loop.reset();
  }
};

IdleWait wait_of(schema::Wait wait) {
  switch (wait) {
    case schema::Wait::SPIN:
      return IdleWait::kSpin;
    case schema::Wait::SLEEP:
      return IdleWait::kSleep;
    case schema::Wait::ADAPTIVE:
      break;
  }
  return IdleWait::kAdaptive;
}

Status build(IngestThread& thread, const Segment& segment, ProcessFile& process,
             const PathTrie& paths, IngestLimits& limits, Heartbeats& heartbeats,
             const Arguments& arguments) {
  const auto settings = segment.settings();
  auto sink = EventSink::open(segment, thread.number, process);
  if (!sink.ok()) return sink.error();
  thread.sink = std::move(*sink);
  auto bell = Bell::open(segment, "ingest-" + std::to_string(thread.number));
  if (!bell.ok()) return bell.error();
  thread.bell = std::make_unique<Bell>(std::move(*bell));

  SegmentApiOptions api;
  api.sink = thread.sink.get();
  api.paths = &paths;
  api.process = &process;
  api.limits = &limits;
  api.thread = thread.number;
  api.slot_count = segment.catalog().getSlots().size();
  api.key_bytes_max = segment.catalog().getKeyBytes();
  for (const auto key : settings.getWriteKeys()) api.write_keys.emplace_back(key.cStr());
  api.full_ring_wait_us = settings.getFullRingWaitUs();
  api.ack = settings.getAck();
  api.ready = [&segment] {
    return segment.superblock().state.load(std::memory_order_acquire) == SegmentState::kServing;
  };
  thread.api = std::make_unique<SegmentApi>(api);
  thread.http = std::make_unique<HttpConnectionFactory>(*thread.api, &limits.buffers);
  auto stream = StreamFactory::make(segment, *thread.sink, process, paths, limits);
  if (!stream.ok()) return stream.error();
  thread.stream = std::move(*stream);
  thread.duty = std::make_unique<IngestDuty>(*thread.sink, heartbeats, thread.number);

  const std::string label = "{thread=\"" + std::to_string(thread.number) + "\"}";
  thread.counters.connections_open = process.gauge("deja_connections_open" + label);
  thread.counters.connections_total = process.counter("deja_connections_total" + label);
  thread.counters.connections_refused = process.counter("deja_connections_refused_total" + label);
  thread.counters.received_bytes = process.counter("deja_received_bytes_total" + label);
  thread.counters.sent_bytes = process.counter("deja_sent_bytes_total" + label);
  thread.not_pinned = process.gauge("deja_thread_not_pinned" + label);

  for (const int descriptor : arguments.http) {
    thread.options.listeners.push_back({descriptor, thread.http.get(), kHttpIdleUs});
  }
  for (const int descriptor : arguments.streams) {
    thread.options.listeners.push_back({descriptor, thread.stream.get(), 0});
  }
  thread.options.duty = thread.duty.get();
  thread.options.bell = thread.bell.get();
  thread.options.wait = wait_of(settings.getWait());
  thread.options.counters = &thread.counters;
  return Done{};
}

/// Gives up the user it was started as; what it had to open is open.
Status drop_user(const Arguments& arguments) {
  if (!arguments.user) return Done{};
  return become_user(arguments.user->user, arguments.user->group);
}

/// Starts the loops, shuts the sandbox around all of them, and serves until told to stop.
void serve(std::deque<IngestThread>& threads, ProcessFile& process) {
  Counter syscalls_filtered = process.gauge("deja_syscalls_filtered");
  std::latch started(static_cast<std::ptrdiff_t>(threads.size()));
  std::latch sealed(1);
  std::vector<std::thread> others;
  for (std::size_t number = 1; number < threads.size(); ++number) {
    others.emplace_back([&thread = threads[number], &started, &sealed] {
      thread.start();
      started.count_down();
      sealed.wait();
      thread.serve();
    });
  }
  threads[0].start();
  started.arrive_and_wait();
  if (kFiltersSyscalls) {
    const Status filtered = filter_syscalls();
    if (!filtered.ok()) {
      complain(filtered.error().message(), 1);
      process.error("runs without its filter of system calls");
    }
    syscalls_filtered.set(filtered.ok() ? 1 : 0);
  }
  sealed.count_down();
  threads[0].serve();
  for (std::thread& other : others) other.join();
}

int run(const Arguments& arguments) {
  auto segment = Segment::open(arguments.segment);
  if (!segment.ok()) return complain(segment.error().message(), 1);
  const auto place = PlaceLock::take(segment->stable_path(place_file("ingest")));
  if (!place.ok()) return complain(place.error().message(), 1);
  auto file = segment->map("process-ingest", MappedFile::Mode::kReadWrite);
  if (!file.ok()) return complain(file.error().message(), 1);
  const auto cpus = segment->settings().getIngestCpus();
  const auto thread_count = std::max<std::uint32_t>(1, cpus.size());
  const std::uint64_t descriptors = raise_descriptor_limit();
  auto rings = LoopRings::make(thread_count, {});
  if (!rings.ok()) return complain(rings.error().message(), 1);
  std::fprintf(stderr, "deja-ingest: %s\n", rings->line().c_str());

  ProcessFile process(std::move(*file), "ingest");
  rings->show(process);
  const PathTrie paths(segment->catalog());

  const std::uint64_t usable = descriptors > 256 ? descriptors - 128 : descriptors / 2;
  const std::uint32_t connections_max =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(usable, kConnectionsMax));
  IngestLimits limits(segment->settings());
  const std::uint32_t per_address = segment->settings().getAddressConnections();
  AddressGate gate(per_address != 0 ? per_address : connections_max / 2, limits.proxies);
  Heartbeats heartbeats(thread_count, process);
  std::deque<IngestThread> threads;
  for (std::uint32_t number = 0; number < thread_count; ++number) {
    IngestThread& thread = threads.emplace_back();
    thread.number = number;
    thread.ring = std::move(rings->rings[number]);
    thread.cpu = number < cpus.size() ? cpus[number] : -1;
    thread.options.connections_max = connections_max / thread_count;
    thread.options.gate = &gate;
    if (Status built = build(thread, *segment, process, paths, limits, heartbeats, arguments);
        !built.ok()) {
      return complain(built.error().message(), 1);
    }
  }
  if (Status dropped = drop_user(arguments); !dropped.ok()) {
    return complain(dropped.error().message(), 1);
  }
  serve(threads, process);
  return failed.load(std::memory_order_relaxed) ? 1 : 0;
}

}  // namespace
}  // namespace deja

int main(int argument_count, char** argument_texts) {
  deja::Arguments arguments;
  if (!deja::read_arguments(argument_count, argument_texts, arguments)) {
    return deja::complain(
        "use: deja-ingest --segment DIRECTORY [--user UID:GID] [--http-fd N]... [--stream-fd N]...",
        2);
  }
  deja::handle_signals();
  return deja::run(arguments);
}
