// ring/bell.cc: a waker that publishes twice against a sleeper that wants to see both. A byte in
// the FIFO stays until it is read; that the kernel orders memory as well is not made use of.
#include "tests/model/memory/programs.h"

namespace deja::model {
namespace {

enum Location { kInput, kSleeping };

void fence(Program& program, Weakening weakening, Weakening without) {
  if (weakening == without) return;
  if (weakening == Weakening::kFencesAcquireRelease) {
    program.fence(Access::kAcquire);
    program.fence(Access::kRelease);
  } else {
    program.fence(Access::kSeqCst);  // SYNC(bell.dekker)
  }
}

}  // namespace

Litmus bell(Weakening weakening) {
  Litmus litmus;
  litmus.names = {"input", "sleeping"};
  Program& waker = litmus.threads[0];
  for (int turn = 1; turn <= 2; ++turn) {
    waker.store({kInput}, Access::kRelease, turn);
    fence(waker, weakening, Weakening::kWakerWithoutFence);  // ring_if_asleep
    waker.load(0, {kSleeping}, Access::kRelaxed);
    waker.if_equal(0, 0, turn);
    waker.ring();
    waker.label(turn);
  }
  waker.end();

  // Takes what is there, else announces a sleep, looks again, sleeps. Two publications can end two
  // sleeps and cancel two more: a fifth turn would be one too many.
  Program& sleeper = litmus.threads[1];
  constexpr int kDone = 20;
  for (int turn = 0; turn < 5; ++turn) {
    sleeper.label(turn);
    sleeper.load(0, {kInput}, Access::kAcquire);
    sleeper.if_equal(0, 2, kDone);
    if (turn == 4) break;
    sleeper.store({kSleeping}, Access::kRelaxed, 1);  // announce_sleep
    fence(sleeper, weakening, Weakening::kSleeperWithoutFence);
    if (weakening != Weakening::kNoLookAgain) {
      sleeper.load(1, {kInput}, Access::kAcquire);
      sleeper.if_same(1, 0, 10 + turn);
      sleeper.store({kSleeping}, Access::kRelaxed, 0);  // cancel_sleep
      sleeper.go(turn + 1);
      sleeper.label(10 + turn);
    }
    sleeper.sleep();
    const bool bytes_first = weakening == Weakening::kBytesBeforeFlag;
    if (bytes_first) sleeper.drain();
    sleeper.store({kSleeping}, Access::kRelaxed, 0);  // awake
    if (!bytes_first) sleeper.drain();
  }
  sleeper.fail("more wake-ups than there can be");
  sleeper.label(kDone);
  sleeper.end();
  return litmus;
}

}  // namespace deja::model
