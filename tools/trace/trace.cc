#include "tools/trace/trace.h"

#include <grp.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>

#include "shm/base/clock.h"
#include "shm/keyed_hash.h"
#include "tools/cli/give_way.h"
#include "tools/cli/terminal.h"
#include "tools/config/duration.h"
#include "tools/trace/otlp_exporter.h"
#include "tools/trace/sample_rate.h"
#include "tools/trace/story_reader.h"
#include "tools/trace/story_text.h"
#include "tools/trace/trace_lease.h"

namespace deja {
namespace {

constexpr std::int64_t kPollNs = 10'000'000;
constexpr std::int64_t kLookAgainNs = 200'000'000;  // for an appliance that is not served now
constexpr double kSampleDefault = 0.01;

std::atomic<int> signals{0};

void on_signal(int);

/// A sleep ends with any of them. `flags`: with SA_RESTART a write goes on.
void handle_ends(int flags) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = flags;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
}

/// The first lets what is being told be read by a slow reader; the second waits for no reader.
void on_signal(int) {
  signals.fetch_add(1, std::memory_order_relaxed);
  handle_ends(0);
}

void handle_signals() {
  handle_ends(SA_RESTART);
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

bool stopping() {
  return signals.load(std::memory_order_relaxed) != 0;
}

/// A second signal is not to be kept waiting.
bool at_once() {
  return signals.load(std::memory_order_relaxed) > 1;
}

void sleep_ns(std::int64_t duration_ns) {
  const timespec span{duration_ns / 1'000'000'000, duration_ns % 1'000'000'000};
  nanosleep(&span, nullptr);
}

/// The options, understood.
struct Plan {
  Followed followed;
  std::optional<deja_key> user;
  std::uint64_t count = 0;
  std::int64_t duration_ns = 0;  // 0: no end
  std::int64_t wait_ns = 0;
  std::optional<OtlpAddress> otlp;
};

int misuse(const std::string& sentence) {
  std::fprintf(stderr, "deja: %s\n", sentence.c_str());
  return 2;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

/// Tells stories where they are wanted.
class Told {
 public:
  Told(const TraceOptions& options, const Plan& plan)
      : json_(options.json),
        prints_(options.json || !plan.otlp),
        count_max_(plan.count),
        style_(style_of(stdout)) {
    // One write for what a look tells: who reads it wakes as rarely as that.
    static char buffer[64 * 1024];
    (void)std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    if (plan.otlp) exporter_.emplace(*plan.otlp, OtlpResource{options.appliance.name, host_name()});
  }

  void tell(const Story& story) {
    if (enough()) return;
    ++count_;
    if (exporter_) exporter_->add(story);
    if (!prints_) return;
    std::string text = json_ ? story_json(story) : story_text(story, style_);
    text += '\n';
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  /// All that were wanted are told.
  [[nodiscard]] bool enough() const { return count_max_ != 0 && count_ >= count_max_; }
  /// False: nobody reads any more, or nobody is to be waited for.
  [[nodiscard]] bool flush() const {
    if (!prints_) return true;
    if (!at_once() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
    __fpurge(stdout);  // the end of the process would wait for the reader
    return false;
  }

  /// Says what was told, and what was not. False: spans were dropped.
  bool finish(std::uint64_t dropped_count) {
    // First, since it may have something to say itself.
    const OtlpExporter::Counts spans = exporter_ ? exporter_->finish() : OtlpExporter::Counts{};
    std::string text = human_count(count_) + (count_ == 1 ? " event" : " events") + " followed";
    if (dropped_count != 0) {
      text += "; " + human_count(dropped_count) +
              " more found no slot: follow a smaller part of them (--sample)";
    }
    if (exporter_) text += "; " + human_count(spans.sent) + " spans sent";
    if (spans.dropped != 0) text += ", " + human_count(spans.dropped) + " dropped";
    std::fprintf(stderr, "%s\n", text.c_str());
    return spans.dropped == 0;
  }

 private:
  bool json_;
  bool prints_;
  std::uint64_t count_max_;
  Style style_;
  std::uint64_t count_ = 0;
  std::optional<OtlpExporter> exporter_;
};

bool is_gone(const Segment& segment) {
  return readers_must_leave(segment.superblock().state.load(std::memory_order_relaxed));
}

/// Root becomes the segment's owner for good: a file there may be a link that the service's user
/// has made, and a lock that root has made would be in that user's way.
Status step_down(const ApplianceName& which) {
  struct stat status {};
  if (geteuid() != 0 || stat(segment_path(which).c_str(), &status) != 0 || status.st_uid == 0) {
    return Done{};
  }
  if (setgroups(0, nullptr) == 0 && setresgid(status.st_gid, status.st_gid, status.st_gid) == 0 &&
      setresuid(status.st_uid, status.st_uid, status.st_uid) == 0) {
    return Done{};
  }
  return system_error("become the user of " + segment_path(which));
}

/// One life of the appliance's segment, followed.
class Follower {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Follower>> attach(const ApplianceName& which,
                                                                const Plan& plan) {
    if (Status down = step_down(which); !down.ok()) return down.error();
    auto segment = open_segment(which);
    if (!segment.ok()) return segment.error();
    if (is_gone(*segment)) {
      return Error{"the appliance \"" + which.name + "\" has stopped", 0,
                   "Start it with deja serve -c FILE"};
    }
    auto lease = TraceLease::take(*segment);
    if (!lease.ok()) return lease.error();
    auto reader = StoryReader::open(*segment);
    if (!reader.ok()) return reader.error();
    std::unique_ptr<Follower> made(
        new Follower(std::move(*segment), std::move(*lease), std::move(*reader)));
    made->follow(plan);
    return made;
  }

  /// False: this segment has ended.
  bool pass(const Plan& plan, Told& told) {
    lease_.renew();
    for (const Story& story : reader_.poll(steady_ns(), plan.wait_ns)) {
      told.tell(story);
    }
    give_back();
    return !is_gone(segment_);
  }
  void follow_nothing() { lease_.follow({}); }
  [[nodiscard]] std::size_t open_count() const { return reader_.open_count(); }
  [[nodiscard]] std::uint64_t dropped_count() const { return reader_.dropped_count(); }

 private:
  Follower(Segment segment, TraceLease lease, StoryReader reader)
      : segment_(std::move(segment)), lease_(std::move(lease)), reader_(std::move(reader)) {}

  void follow(const Plan& plan) {
    Followed followed = plan.followed;
    if (plan.user) {
      const auto& words = segment_.superblock().hash_secret;
      followed.user_hash = keyed_hash(
          {{words[0], words[1]}},
          {static_cast<KeyNamespace>(plan.user->name_space), plan.user->bytes, plan.user->size});
    }
    give_back();
    lease_.follow(followed);
    lease_.renew();
  }
  void give_back() {
    for (std::uint32_t lane = 0; lane < reader_.lane_count(); ++lane) {
      lease_.collected(lane, reader_.collected(lane));
    }
  }

  Segment segment_;
  TraceLease lease_;
  StoryReader reader_;
};

int read_plan(const TraceOptions& options, Plan& plan) {
  if (!options.user.empty()) {
    plan.user = parse_user(options.user);
    if (!plan.user || plan.user->size == 0 || plan.user->size > kKeyBytesMax) {
      return misuse("--user " + options.user + ": give a userId, or anon:ID, of 64 bytes at most");
    }
  }
  plan.followed.has_user = plan.user.has_value();
  plan.followed.requests = !plan.user;
  plan.followed.sample = plan.user ? 0 : kSampleDefault;
  if (!options.sample.empty()) {
    const auto rate = parse_sample_rate(options.sample);
    if (!rate) {
      return misuse("--sample " + options.sample + ": give a part of all events, 0.01 or 1%");
    }
    plan.followed.sample = *rate;
  }
  if (!options.duration.empty()) {
    const auto us = parse_duration(options.duration);
    if (!us || *us == 0) {
      return misuse("--duration " + options.duration + ": give a time such as 500ms, 10s or 1h");
    }
    plan.duration_ns = *us * 1000;
  }
  const auto wait_us = parse_duration(options.wait);
  if (!wait_us) return misuse("--wait " + options.wait + ": give a time such as 500ms or 5s");
  plan.wait_ns = *wait_us * 1000;
  plan.count = options.count;
  if (!options.otlp.empty()) {
    plan.otlp = parse_otlp_address(options.otlp);
    if (!plan.otlp) {
      return misuse(
          "--otlp " + options.otlp +
          ": give http://HOST[:PORT][/PATH], such as http://127.0.0.1:4318/v1/traces; for "
          "a collector behind TLS run one here that passes them on");
    }
  }
  return 0;
}

/// Until whoever waits for it has it: attached, told to stop, or why not.
Result<std::unique_ptr<Follower>> attach_again(const ApplianceName& which, const Plan& plan,
                                               std::int64_t until_ns) {
  std::fprintf(stderr, "deja: it is not served now; waiting for it\n");
  for (;;) {
    auto follower = Follower::attach(which, plan);
    if (follower.ok()) return follower;
    if (stopping() || (until_ns != 0 && steady_ns() >= until_ns)) {
      return std::unique_ptr<Follower>();
    }
    sleep_ns(kLookAgainNs);
  }
}

}  // namespace

int run_trace(const TraceOptions& options) {
  Plan plan;
  if (const int misused = read_plan(options, plan); misused != 0) return misused;
  handle_signals();
  give_way();
  auto follower = Follower::attach(options.appliance, plan);
  if (!follower.ok()) {
    std::fprintf(stderr, "deja: %s\n", follower.error().message().c_str());
    return 1;
  }
  Told told(options, plan);
  const std::int64_t until_ns = plan.duration_ns == 0 ? 0 : steady_ns() + plan.duration_ns;
  std::uint64_t dropped_count = 0;
  bool winding_down = false;
  for (;;) {
    const bool goes_on = (*follower)->pass(plan, told);
    if (!told.flush() || told.enough()) break;
    // What was begun is told to its end.
    if (winding_down && ((*follower)->open_count() == 0 || at_once())) break;
    if (!winding_down && (stopping() || (until_ns != 0 && steady_ns() >= until_ns))) {
      (*follower)->follow_nothing();
      winding_down = true;
      sleep_ns(kTraceNoticedNs);  // and then one more look, at what was followed until then
    }
    if (!goes_on) {
      if (winding_down) break;
      dropped_count += (*follower)->dropped_count();
      follower->reset();
      follower = attach_again(options.appliance, plan, until_ns);
      if (*follower == nullptr) break;
    }
    sleep_ns(kPollNs);
  }
  if (*follower != nullptr) dropped_count += (*follower)->dropped_count();
  follower->reset();
  return told.finish(dropped_count) ? 0 : 1;
}

}  // namespace deja
