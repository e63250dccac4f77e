#include "tools/serve/crew.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <cstdio>

#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr int kPassMs = 100;  // heartbeats are at most this far apart

}  // namespace

Crew::Crew() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

Crew::~Crew() {
  for (const auto& place : places_) {
    Child::End end;
    if (!place->child) continue;
    place->child->signal(SIGKILL);
    static_cast<void>(place->child->wait(10'000, end));
  }
}

Status Crew::start(const std::string& name, ChildCommand command) {
  auto place = std::make_unique<Place>();
  place->name = name;
  place->command = std::move(command);
  auto child = Child::start(place->command);
  if (!child.ok()) return child.error();
  place->child = std::move(child.value());
  place->started_ns = steady_ns();
  places_.push_back(std::move(place));
  on_start_(name);
  return Done{};
}

std::optional<pid_t> Crew::pid(const std::string& name) const {
  for (const auto& place : places_) {
    if (place->name == name && place->child) return place->child->pid();
  }
  return std::nullopt;
}

bool Crew::hopeless() const {
  return places_.empty() ||
         std::any_of(places_.begin(), places_.end(), [](const std::unique_ptr<Place>& place) {
           return place->backoff.failures() >= kFailuresMax;
         });
}

void Crew::take_signals() {
  signalfd_siginfo info{};
  while (read(signals_.number(), &info, sizeof info) == sizeof info) stop_requested_ = true;
}

void Crew::reap(Place& place) {
  Child::End end;
  if (!place.child || !place.child->ended(end)) return;
  const pid_t pid = place.child->pid();
  place.child.reset();
  const std::int64_t now_ns = steady_ns();
  const std::int64_t wait_ns = place.backoff.next_ns(now_ns - place.started_ns);
  place.restart_at_ns = now_ns + wait_ns;
  place.last_death = place.name + " " + end.how;
  std::fprintf(stderr, "deja: %s (process %d) %s; starting it again in %lld ms\n",
               place.name.c_str(), pid, end.how.c_str(),
               static_cast<long long>(wait_ns / 1'000'000));
  on_death_(place.last_death);
}

void Crew::restart(Place& place) {
  if (place.child || steady_ns() < place.restart_at_ns) return;
  auto child = Child::start(place.command);
  place.started_ns = steady_ns();
  if (!child.ok()) {
    place.last_death = child.error().message();
    place.restart_at_ns = place.started_ns + place.backoff.next_ns(0);
    std::fprintf(stderr, "deja: %s\n", place.last_death.c_str());
    return;
  }
  place.child = std::move(child.value());
  on_start_(place.name);
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
  for (const auto& place : places_) reap(*place);
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

bool Crew::stop(const std::string& prefix, int signal, int timeout_ms) {
  std::vector<std::unique_ptr<Place>> stopping;
  for (auto& place : places_) {
    if (place->name.starts_with(prefix)) stopping.push_back(std::move(place));
  }
  std::erase(places_, nullptr);
  bool clean = true;
  for (const auto& place : stopping) {
    if (place->child) {
      place->child->signal(signal);
    } else {
      clean = false;  // it was dead, and what it had to do at its end was not done
    }
  }
  const std::int64_t deadline_ns = steady_ns() + std::int64_t{timeout_ms} * 1'000'000;
  for (const auto& place : stopping) {
    Child::End end;
    while (place->child && !place->child->ended(end)) {
      if (steady_ns() > deadline_ns) {
        std::fprintf(stderr, "deja: %s (process %d) did not stop within %d s; killed it\n",
                     place->name.c_str(), place->child->pid(), timeout_ms / 1000);
        place->child->signal(SIGKILL);
        static_cast<void>(place->child->wait(10'000, end));
        end.clean = false;
        break;
      }
      on_pass_();
      pollfd entry{place->child->descriptor(), POLLIN, 0};
      static_cast<void>(poll(&entry, 1, 20));
      for (const auto& other : places_) reap(*other);
      take_signals();
    }
    if (place->child && !end.clean) {
      clean = false;
      std::fprintf(stderr, "deja: %s %s while it was stopping\n", place->name.c_str(),
                   end.how.empty() ? "was killed" : end.how.c_str());
    }
    place->child.reset();
  }
  return clean;
}

}  // namespace deja
