// deja-keeper --segment DIR: the keeper as a process of its own. Pinned nowhere. Ends with its
// supervisor, and on SIGTERM or SIGINT once all is in Redis. Exit: 0 done, 1 not so, 2 misuse.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>

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

/// One keeper for a segment. The descriptor stays open for the life of the process: a second one
/// closed would drop the lock. Negative: somebody else has it.
int take_lock(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return -1;
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return fcntl(descriptor, F_SETLK, &whole) == 0 ? descriptor : -1;
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
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_NAME, "deja-keeper");

  if (take_lock(segment + "/keeper.lock") < 0) {
    if (errno != EAGAIN && errno != EACCES) {
      return fail(deja::system_error("lock " + segment + "/keeper.lock",
                                     "Is " + segment + " an appliance's directory?")
                      .message());
    }
    return fail("another keeper serves " + segment + ". Stop it first");
  }
  deja::Result<std::unique_ptr<deja::Keeper>> keeper = deja::Keeper::open(segment, {});
  if (!keeper) return fail(keeper.error().message());
  const deja::Status done = (*keeper)->run(stop);
  return done ? 0 : fail(done.error().message());
}
