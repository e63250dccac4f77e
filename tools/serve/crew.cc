#include "tools/serve/crew.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>

#include "shm/base/clock.h"
#include "shm/process_file.h"

namespace deja {
namespace {

constexpr int kPassMs = 100;  // heartbeats are at most this far apart
constexpr std::int64_t kAskAgainNs = 5'000'000;

/// The heartbeat that `pid` shows; 0 while it has not opened its file.
std::int64_t beat_of(const MappedFile& process, pid_t pid) {
  const auto* header = process.at<const ProcessHeaderLayout>();
  if (header->pid.load(std::memory_order_relaxed) != pid) return 0;
  return header->heartbeat_us.load(std::memory_order_relaxed);
}

}  // namespace

Crew::Crew() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

Crew::~Crew() {
  for (const auto& place : places_) {
    Child::End end;
    if (!place->child) continue;
    place->child->signal(SIGKILL);
    static_cast<void>(place->child->wait(10'000, end));
  }
}

// --- filling ------------------------------------------------------------------------------------

void Crew::settle(Place& place, Child child) {
  place.child.emplace(std::move(child));
  place.started_ns = steady_ns();
  place.pulse.begin(place.started_ns);
  place.hung = false;
  place.replaced = false;
  if (place.process || place.post.process_file.empty()) return;
  auto process = MappedFile::open(place.post.process_file, MappedFile::Mode::kReadOnly,
                                  sizeof(ProcessHeaderLayout));
  if (process.ok()) place.process.emplace(std::move(process.value()));
}

bool Crew::adopt_holder(Place& place) {
  if (!place.post.holder) return false;
  auto child = Child::adopt(place.post.holder);
  if (!child) return false;
  std::fprintf(stderr, "deja: adopted %s (process %d)\n", place.post.name.c_str(), child->pid());
  settle(place, std::move(*child));
  return true;
}

Status Crew::launch(Place& place) {
  if (adopt_holder(place)) return Done{};
  auto command = place.post.command(place.hung);
  if (!command.ok()) return command.error();
  auto child = Child::start(command.value());
  if (!child.ok()) return child.error();
  settle(place, std::move(child.value()));
  on_start_(place.post.name);
  return Done{};
}

Status Crew::fill(Post post) {
  auto place = std::make_unique<Place>();
  place->post = std::move(post);
  Status launched = launch(*place);
  if (!launched.ok()) {
    if (launched.error().error_number != EAGAIN) return launched;
    place->ended_ns = steady_ns();
    place->restart_at_ns = place->ended_ns + kAskAgainNs;
  }
  places_.push_back(std::move(place));
  return Done{};
}

bool Crew::adopt(Post post) {
  auto place = std::make_unique<Place>();
  place->post = std::move(post);
  if (!adopt_holder(*place)) return false;
  places_.push_back(std::move(place));
  return true;
}

std::optional<pid_t> Crew::pid(const std::string& name) const {
  for (const auto& place : places_) {
    if (place->post.name == name && place->child) return place->child->pid();
  }
  return std::nullopt;
}

void Crew::replace(const std::string& name, int signal) {
  for (const auto& place : places_) {
    if (place->post.name != name || !place->child) continue;
    place->replaced = true;
    place->child->signal(signal);
  }
}

std::vector<std::string> Crew::names() const {
  std::vector<std::string> names;
  for (const auto& place : places_) names.push_back(place->post.name);
  return names;
}

bool Crew::adopted(const std::string& name) const {
  return std::any_of(places_.begin(), places_.end(), [&](const std::unique_ptr<Place>& place) {
    return place->post.name == name && place->child && place->child->adopted();
  });
}

// --- keeping alive ------------------------------------------------------------------------------

bool Crew::hopeless() const {
  return places_.empty() ||
         std::any_of(places_.begin(), places_.end(), [](const std::unique_ptr<Place>& place) {
           return place->backoff.failures() >= kFailuresMax;
         });
}

bool Crew::alive() const {
  const std::int64_t now_ns = steady_ns();
  return std::all_of(places_.begin(), places_.end(), [&](const std::unique_ptr<Place>& place) {
    if (place->post.process_file.empty()) return true;
    return place->child ? !place->hung : now_ns - place->ended_ns <= place->post.bounds.start_ns;
  });
}

void Crew::take_signals() {
  signalfd_siginfo info{};
  while (read(signals_.number(), &info, sizeof info) == sizeof info) {
    (info.ssi_signo == SIGHUP ? reload_requested_ : stop_requested_) = true;
  }
}

void Crew::reap(Place& place) {
  Child::End end;
  if (!place.child || !place.child->ended(end)) return;
  const pid_t pid = place.child->pid();
  place.child.reset();
  const std::int64_t now_ns = steady_ns();
  place.ended_ns = now_ns;
  place.restart_at_ns = now_ns;
  if (place.replaced && !place.hung) return;
  const std::int64_t wait_ns = place.backoff.next_ns(now_ns - place.started_ns);
  place.restart_at_ns = now_ns + wait_ns;
  const std::string how = place.hung ? "gave no sign of life and was killed" : end.how;
  place.last_death = place.post.name + " " + how;
  std::fprintf(stderr, "deja: %s (process %d) %s; starting it again in %lld ms\n",
               place.post.name.c_str(), pid, how.c_str(),
               static_cast<long long>(wait_ns / 1'000'000));
  on_death_(place.last_death);
}

void Crew::watch(Place& place) {
  if (!place.child || !place.process || place.hung) return;
  const std::int64_t beat = beat_of(*place.process, place.child->pid());
  if (!place.pulse.missing(beat, steady_ns(), place.post.bounds)) return;
  // Killed, and only then replaced: two owners of one place would be worse than a late one.
  place.hung = true;
  place.child->signal(SIGKILL);
}

void Crew::restart(Place& place) {
  if (place.child || steady_ns() < place.restart_at_ns) return;
  Status launched = launch(place);
  if (launched.ok()) return;
  if (launched.error().error_number == EAGAIN) {
    place.restart_at_ns = steady_ns() + kAskAgainNs;
    return;
  }
  place.last_death = launched.error().message();
  place.restart_at_ns = steady_ns() + place.backoff.next_ns(0);
  std::fprintf(stderr, "deja: %s\n", place.last_death.c_str());
}

void Crew::attend(int timeout_ms) {
  on_pass_();
  std::vector<pollfd> entries;
  entries.push_back({signals_.number(), POLLIN, 0});
  std::int64_t wait_ns = std::int64_t{std::min(timeout_ms, kPassMs)} * 1'000'000;
  for (const auto& place : places_) {
    if (place->child) {
      entries.push_back({place->child->descriptor(), POLLIN, 0});
    } else {
      wait_ns = std::clamp<std::int64_t>(place->restart_at_ns - steady_ns(), 0, wait_ns);
    }
  }
  static_cast<void>(
      poll(entries.data(), entries.size(), static_cast<int>((wait_ns + 999'999) / 1'000'000)));
  take_signals();
  for (const auto& place : places_) {
    watch(*place);
    reap(*place);
  }
  for (const auto& place : places_) restart(*place);
}

Status Crew::attend_until(const std::function<bool()>& done, const std::string& what,
                          int timeout_ms) {
  const std::int64_t deadline_ns = steady_ns() + std::int64_t{timeout_ms} * 1'000'000;
  while (!done()) {
    if (stop_requested_) return Error{"asked to stop while " + what, 0, ""};
    if (timeout_ms >= 0 && steady_ns() > deadline_ns) {
      return Error{"gave up " + what + " after " + std::to_string(timeout_ms / 1000) + " s", 0,
                   "See the lines above"};
    }
    for (const auto& place : places_) {
      if (place->backoff.failures() >= kFailuresMax) {
        return Error{place->last_death + " again and again while " + what, 0,
                     "See what it said above"};
      }
    }
    attend(5);
  }
  return Done{};
}

// --- stopping -----------------------------------------------------------------------------------

Child::Exit Crew::end_of(Place& place, std::int64_t deadline_ns, int timeout_ms) {
  // It was dead, and what it had to do at its end was not done.
  if (!place.child) return Child::Exit::kUnclean;
  Child::End end;
  while (!place.child->ended(end)) {
    if (steady_ns() > deadline_ns) {
      std::fprintf(stderr, "deja: %s (process %d) did not stop within %d s; killed it\n",
                   place.post.name.c_str(), place.child->pid(), timeout_ms / 1000);
      place.child->signal(SIGKILL);
      static_cast<void>(place.child->wait(10'000, end));
      return Child::Exit::kUnclean;
    }
    on_pass_();
    pollfd entry{place.child->descriptor(), POLLIN, 0};
    static_cast<void>(poll(&entry, 1, 20));
    for (const auto& other : places_) reap(*other);
    take_signals();
  }
  if (end.exit == Child::Exit::kUnclean) {
    std::fprintf(stderr, "deja: %s %s while it was stopping\n", place.post.name.c_str(),
                 end.how.c_str());
  }
  return end.exit;
}

Child::Exit Crew::stop(const std::string& prefix, int signal, int timeout_ms) {
  std::vector<std::unique_ptr<Place>> stopping;
  for (auto& place : places_) {
    if (place->post.name.starts_with(prefix)) stopping.push_back(std::move(place));
  }
  std::erase(places_, nullptr);
  for (const auto& place : stopping) {
    if (place->child) place->child->signal(signal);
  }
  const std::int64_t deadline_ns = steady_ns() + std::int64_t{timeout_ms} * 1'000'000;
  Child::Exit worst = Child::Exit::kClean;
  for (const auto& place : stopping) {
    const Child::Exit exit = end_of(*place, deadline_ns, timeout_ms);
    place->child.reset();
    if (exit == Child::Exit::kUnclean || worst == Child::Exit::kClean) worst = exit;
  }
  return worst;
}

}  // namespace deja
