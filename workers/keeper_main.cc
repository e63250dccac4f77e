// deja-keeper --segment DIR: the keeper as a process of its own. Pinned nowhere. Goes on without
// its supervisor; ends on SIGTERM or SIGINT once all is in Redis. Exit: 0 done, 1 not so, 2 misuse.
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "shm/place_lock.h"
#include "shm/segment.h"
#include "workers/keeper/keeper.h"

namespace {

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void ask_to_stop(int) {
  stop.store(true, std::memory_order_release);
}

int fail(const std::string& sentence) {
  std::fprintf(stderr, "deja-keeper: %s\n", sentence.c_str());
  return 1;
}

/// One keeper for a segment, and one for a durability directory: what a second one wrote there
/// would be taken for this one's. Kept as long as the process lives.
deja::Status take_places(const std::string& segment_directory,
                         std::vector<deja::PlaceLock>& places) {
  const std::string name = "/" + deja::place_file("keeper");
  auto place = deja::PlaceLock::take(segment_directory + name);
  if (!place) return place.error();
  places.push_back(std::move(*place));
  auto segment = deja::Segment::open(segment_directory);
  if (!segment) return segment.error();
  const std::string durable = segment->settings().getDurabilityDirectory().cStr();
  if (durable.empty()) return deja::Done{};
  auto durable_place = deja::PlaceLock::take(durable + name);
  if (!durable_place) return durable_place.error();
  places.push_back(std::move(*durable_place));
  return deja::Done{};
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 3 || std::strcmp(arguments[1], "--segment") != 0) {
    std::fprintf(stderr, "usage: deja-keeper --segment DIRECTORY\n");
    return 2;
  }
  const std::string segment = arguments[2];
  struct sigaction action {};
  action.sa_handler = ask_to_stop;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  action.sa_handler = SIG_IGN;  // whoever read stderr may be gone
  sigaction(SIGPIPE, &action, nullptr);

  std::vector<deja::PlaceLock> places;
  if (deja::Status taken = take_places(segment, places); !taken) {
    return fail(taken.error().message());
  }
  deja::Result<std::unique_ptr<deja::Keeper>> keeper = deja::Keeper::open(segment, {});
  if (!keeper) return fail(keeper.error().message());
  const deja::Status done = (*keeper)->run(stop);
  return done ? 0 : fail(done.error().message());
}
