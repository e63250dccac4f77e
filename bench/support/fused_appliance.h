// An appliance whose ingest and worker are one process that takes turns at both: the same code, and
// neither a way between cores nor a core to be shared between the two. What it takes to make an
// event visible is about what an appliance takes that has a core for each party: there the record
// goes from core to core once more, and the two work side by side. Spins; nothing is kept on disk.
// Used by one thread; the appliance is its child.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "bench/support/parties.h"
#include "ingest/event_sink.h"
#include "ingest/ingest_limits.h"
#include "ingest/loop.h"
#include "ingest/loop_backend.h"
#include "ingest/path_trie.h"
#include "ingest/stream_handler.h"
#include "tests/support/segment_fixture.h"
#include "tests/support/worker_peers.h"
#include "tools/config/load_config.h"
#include "tools/config/segment_plan.h"
#include "workers/worker.h"

namespace deja::bench {

class FusedAppliance {
 public:
  /// `appliance`: tables of the config; [listen] and [durability] are added.
  FusedAppliance(const std::string& appliance, int core)
      : fixture_(plan(appliance)), listener_(listen_on(socket())) {
    auto superblock = fixture_.segment().map_superblock_for_writing();
    if (!superblock.ok()) give_up(superblock.error().message().c_str());
    superblock->at<SuperblockLayout>()->state.store(SegmentState::kServing,
                                                    std::memory_order_release);
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    static_cast<void>(pin_this_thread(core));
    serve();
  }
  ~FusedAppliance() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(listener_);
  }
  FusedAppliance(const FusedAppliance&) = delete;
  FusedAppliance& operator=(const FusedAppliance&) = delete;

  [[nodiscard]] std::string socket() const { return directory() + "/stream.sock"; }
  /// Of the appliance "test".
  [[nodiscard]] std::string directory() const { return fixture_.plan().directory; }
  [[nodiscard]] Parties parties() const { return Parties({pid_}); }

 private:
  static SegmentPlan plan(const std::string& appliance) {
    const std::string text = "[listen]\nhttp = \"\"\n[durability]\nack = \"applied\"\n" +
                             ("[appliance]\nname = \"test\"\n" + appliance);
    auto loaded = load_config_text(text, "bench.toml");
    if (auto* errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
      give_up(errors->front().message().c_str());
    }
    return segment_plan_of(std::get<Config>(loaded), "unix:///nowhere");
  }
  static int listen_on(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener, 16) != 0) {
      give_up("can't listen on a unix socket");
    }
    return listener;
  }

  class Duty final : public LoopDuty {
   public:
    explicit Duty(EventSink& sink) : sink_(sink) {}
    void on_pass(std::int64_t /*now_us*/) override {
      sink_.publish();
      sink_.refresh();
    }
    void on_pass_end() override { sink_.end_pass(); }
    [[nodiscard]] bool has_news() const override { return sink_.has_news(); }

   private:
    EventSink& sink_;
  };

  /// The child: as deja-ingest and deja-worker do it, in turns.
  [[noreturn]] void serve() {
    const Segment& segment = fixture_.segment();
    ProcessFile process(std::move(*segment.map("process-ingest", MappedFile::Mode::kReadWrite)),
                        "ingest");
    auto sink = std::move(*EventSink::open(segment, 0, process));
    IngestLimits limits(segment.settings());
    const PathTrie paths(segment.catalog());
    auto stream = std::move(*StreamFactory::make(segment, *sink, process, paths, limits));
    Duty duty(*sink);
    LoopOptions options;
    options.listeners.push_back({listener_, stream.get(), 0});
    options.duty = &duty;
    options.wait = IdleWait::kSpin;
    auto rings = std::move(*LoopRings::make(1, {}));
    auto loop = std::move(*Loop::create(options, std::move(rings.rings.front())));
    TestKeeper keeper(fixture_);
    if (!keeper.give_end()) _exit(1);
    auto worker = std::move(*Worker::attach(segment, 0));
    const auto* logged = &fixture_.file("log-0").at<RingHeaderLayout>()->producer_position;
    auto* drained = &keeper_logs(fixture_.file("keeper").data())[0].drained_position.value;
    for (;;) {
      loop->pass();
      worker->duty_cycle();
      drained->store(logged->load(std::memory_order_acquire), std::memory_order_release);
    }
  }

  SegmentFixture fixture_;
  int listener_;
  pid_t pid_ = -1;
};

}  // namespace deja::bench
