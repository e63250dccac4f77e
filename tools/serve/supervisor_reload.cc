// Supervisor: a config read again while it serves, and a new program taken over to.

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <variant>

#include "shm/process_file.h"
#include "shm/segment_names.h"
#include "tools/config/load_config.h"
#include "tools/config/run_tests.h"
#include "tools/config/segment_plan.h"
#include "tools/inspect/processes.h"
#include "tools/serve/ingest_user.h"
#include "tools/serve/notify.h"
#include "tools/serve/posts.h"
#include "tools/serve/reload_outcome.h"
#include "tools/serve/same_segment.h"
#include "tools/serve/supervisor.h"

namespace deja {
namespace {

constexpr int kReplaceMs = 90'000;

/// The config in `file`, its own tests passed; else every mistake, one a line.
Result<Config> read_config(const std::string& file) {
  auto loaded = load_config(file);
  std::string wrong;
  const auto add = [&](const std::string& line) { wrong += (wrong.empty() ? "" : "\n") + line; };
  if (const auto* mistakes = std::get_if<std::vector<ConfigError>>(&loaded)) {
    for (const ConfigError& mistake : *mistakes) add(mistake.message());
    return Error{wrong, 0, ""};
  }
  auto& config = std::get<Config>(loaded);
  auto tests = run_tests(config);
  if (!tests.ok()) return tests.error();
  for (const TestOutcome& test : *tests) {
    for (const TestMismatch& mismatch : test.mismatches) {
      add(file + ":" + std::to_string(test.line) + ": [[test]] \"" + test.name +
          "\": " + mismatch.feature + " is " + mismatch.seen + " and not " + mismatch.expected);
    }
  }
  if (!wrong.empty()) return Error{wrong, 0, ""};
  return std::move(config);
}

Error fixed_key_error(const std::string& key) {
  return {key + " changed, and can't while it serves", 0, "Restart it to take the change"};
}

/// The key that only a start can change; empty: none did.
std::string fixed_key_changed(const Config& now, const Config& then) {
  if (now.appliance.name != then.appliance.name) return "[appliance] name";
  if (now.appliance.directory != then.appliance.directory) return "[appliance] directory";
  if (now.durability.directory != then.durability.directory) return "[durability] directory";
  if (now.redis.url != then.redis.url) return "[redis] url";
  return {};
}

}  // namespace

void Supervisor::reload() {
  notify_service_manager("RELOADING=1");
  ReloadOutcome outcome;
  Result<std::string> served = std::string();
  for (;;) {
    served = reload_config_and_program();
    // Who asks again meanwhile has changed something since, and must not get this one's answer.
    if (!crew_.take_reload_request() || crew_.stop_requested() || fatal_) break;
    std::fprintf(stderr, "deja: asked to reload again; until here: %s\n",
                 served.ok() ? served->c_str() : served.error().message().c_str());
  }
  outcome.done = served.ok();
  outcome.text = served.ok() ? *served : served.error().message();
  tell_outcome(std::move(outcome));
  if (!fatal_) notify_service_manager("READY=1");
}

void Supervisor::tell_outcome(ReloadOutcome outcome) {
  outcome.number = ReloadOutcome::read(segment_directory_).number + 1;
  std::fprintf(stderr, "deja: %s: %s\n", outcome.done ? "reloaded" : "not reloaded",
               outcome.text.c_str());
  if (Status written = outcome.write(segment_directory_); !written.ok()) {
    std::fprintf(stderr, "deja: %s\n", written.error().message().c_str());
  }
}

Result<std::string> Supervisor::reload_config_and_program() {
  const auto next = NextProgram::find();
  if (next) {
    if (Status valid = next->validate(crew_, config_.file); !valid.ok()) return valid.error();
  }
  auto config = read_config(config_.file);
  const std::string layout = next ? next->layout(crew_) : layout_text();
  if (config.ok() && layout != layout_text()) {
    // A segment of this layout would be of no use to the programs that lie there now: the new one
    // makes it.
    const std::string key = fixed_key_changed(config_, *config);
    if (!key.empty()) return fixed_key_error(key);
  } else if (config.ok()) {
    auto changed = change_to(std::move(config.value()));
    if (!changed.ok() || !next) return changed;
  } else if (!next) {
    return config.error();
  }
  // A config that only the new program understands is taken by its start.
  return become(*next, layout);
}

Result<std::string> Supervisor::change_to(Config config) {
  if (const std::string key = fixed_key_changed(config_, config); !key.empty()) {
    return fixed_key_error(key);
  }
  auto user = ingest_user(config.appliance.ingest_user);
  if (!user.ok()) return user.error();
  SegmentPlan plan = segment_plan_of(config, redis_ != nullptr ? redis_->url() : config.redis.url);
  std::string difference = what_differs(plan, *segment_);
  if (difference.empty() && *user != ingest_user_) difference = "ingest's user";
  if (difference.empty()) {
    config_ = std::move(config);
    return std::string("nothing changed");
  }
  // What can fail, while everything serves on.
  if (Status reached = check_redis(); !reached.ok()) return reached.error();
  Listeners listeners(config.listen);
  if (Status opened = listeners.open_beyond(listeners_); !opened.ok()) return opened.error();
  auto made = NewSegment::make(plan, [this] { crew_.attend(0); });
  if (!made.ok()) return made.error();

  std::fprintf(stderr, "deja: reloading: %s changed\n", difference.c_str());
  if (Status drained = drain_for_another(); !drained.ok()) return drained.error();
  Status served = made->take_name();
  if (served.ok()) {
    config_ = std::move(config);
    ingest_user_ = std::move(*user);
    plan_ = std::move(plan);
    listeners.take_over(listeners_);
    listeners_ = std::move(listeners);
    leave_segment();
    served = serve_anew(*made);
  }
  if (!served.ok()) {
    fatal_ = true;
    return served.error();
  }
  return difference + " changed" + (report_.features.empty() ? "" : "; " + report_.features);
}

/// A new segment is filled from Redis before it serves: without one it would not, for as long as
/// Redis is away, while this one serves on from its journal.
Status Supervisor::check_redis() const {
  const auto keeper = ProcessView::read(segment_->path("process-" + std::string(kKeeperName)));
  if (keeper.ok() && sum_of({*keeper}, "deja_redis_connected") != 0) return Done{};
  return Error{"Redis does not answer, and a new segment is filled from it, so nothing was changed",
               0, "Reload again when Redis is back"};
}

/// Everything accepted is applied, flushed and durable, and nobody writes any more. On an error the
/// segment is served on.
Status Supervisor::drain_for_another() {
  set_state(SegmentState::kDraining);
  stop_ingest();
  if (writers_->stop()) return Done{};
  set_state(SegmentState::kServing);
  Status again = writers_->start();
  if (again.ok()) again = start_ingest();
  if (!again.ok()) {
    fatal_ = true;
    return again;
  }
  return Error{"what was accepted could not be made durable, so nothing was changed", 0,
               "See what the keeper said, and reload again"};
}

/// Nothing of it is held any more; renderers that have it mapped read on.
void Supervisor::leave_segment() {
  locked_table_.reset();
  writers_.reset();
  process_.reset();
  superblock_.reset();
  segment_.reset();
}

Status Supervisor::serve_anew(NewSegment& made) {
  if (Status filled = fill(made); !filled.ok()) return filled;
  stop_console();  // it shows the old segment until here
  return start_listeners();
}

Result<std::string> Supervisor::become(const NextProgram& next, const std::string& layout) {
  const bool drains = layout != layout_text();
  if (drains) {
    if (Status reached = check_redis(); !reached.ok()) return reached.error();
    std::fprintf(
        stderr,
        "deja: the new program has another segment layout (%s, this one %s): draining to a "
        "new incarnation\n",
        layout.empty() ? "it does not say which" : layout.c_str(), layout_text().c_str());
    set_state(SegmentState::kDraining);
    stop_ingest();
    unflushed_ = !writers_->stop();
    writers_.reset();
    // Programs of this layout are gone: nothing could be started again to try once more.
    if (unflushed_) {
      fatal_ = true;
      return Error{"what was accepted could not be made durable before the new program", 0,
                   "The segment keeps it: see what the keeper said, install the program before "
                   "again and start it"};
    }
    stop_console();
    set_state(SegmentState::kDrained);
  }
  Error error = next.become(listeners_.descriptors());
  fatal_ = drains;
  return error;
}

/// Programs that were replaced on disk go one by one; in each place the new one goes on.
Status Supervisor::replace_programs() {
  for (const std::string& name : crew_.names()) {
    const std::optional<pid_t> old = crew_.pid(name);
    if (name == kRedisName || !old || !runs_replaced_program(*old)) continue;
    // Workers and keeper end by themselves only when nothing is left to do, which under load is
    // never; their successors go on from a kill as from an end.
    const bool is_listener = name == kIngestName || name == kConsoleName;
    crew_.replace(name, is_listener ? SIGTERM : SIGKILL);
    Status replaced = crew_.attend_until(
        [&] {
          const std::optional<pid_t> pid = crew_.pid(name);
          return pid && pid != old && shows_itself(crew_, *segment_, name);
        },
        "taking " + name + " over to the new program", kReplaceMs);
    if (!replaced.ok()) return replaced;
  }
  return Done{};
}

}  // namespace deja
