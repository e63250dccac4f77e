// shm/shard_writer.cc against shm/shard_reader.h: a reader looks for one user, who is there all the
// time, while the owner publishes new versions and uses the old blocks again.
//
// A block is a stamp and three words: the key, and a version twice. A block once used keeps what it
// held, its stamp included: that is what a reader without an order would find.
#include "tests/model/memory/programs.h"

namespace deja::model {
namespace {

constexpr int kEntry = 0;       // of the user who is looked for: 1 + block
constexpr int kOtherEntry = 1;  // of somebody else
constexpr int kBlocks = 2;      // four locations each
constexpr int kBlockWords = 4;
constexpr int kUser = 1;
constexpr int kOther = 2;

Litmus started() {
  Litmus litmus;
  litmus.names = {"entry",           "other entry",     "block0.stamp", "block0.key",
                  "block0.words[0]", "block0.words[1]", "block1.stamp", "block1.key",
                  "block1.words[0]", "block1.words[1]"};
  litmus.initial = {1, 0, 2, kUser, 2, 2, 1, kOther, 1, 1};  // block 1: somebody else's, given up
  litmus.initial.resize(kLocations);
  return litmus;
}

/// ShardWriter::publish, or clear for `block` -1.
void publish(Program& owner, Weakening weakening, int entry, int block, int key, int version) {
  if (block < 0) {
    owner.store({entry}, Access::kRelease, 0);
    return;
  }
  const int stamp = kBlocks + kBlockWords * block;
  if (weakening != Weakening::kNoStampZeroed) owner.store({stamp}, Access::kRelaxed, 0);
  // SYNC(table.rebuild)
  if (weakening != Weakening::kNoReleaseFence) owner.fence(Access::kRelease);
  owner.store({stamp + 1}, Access::kRelaxed, key);
  owner.store({stamp + 2}, Access::kRelaxed, version);
  owner.store({stamp + 3}, Access::kRelaxed, version);
  // SYNC(table.stamp)
  owner.store({stamp}, weakening == Weakening::kStampRelaxed ? Access::kRelaxed : Access::kRelease,
              version);
  // SYNC(table.publish)
  owner.store({entry}, weakening == Weakening::kEntryRelaxed ? Access::kRelaxed : Access::kRelease,
              block + 1);
}

/// ShardReader::get and copy_version. Registers: 0 the entry, 1 the stamp, 2 to 4 the copy, 5 and 6
/// the second looks. Two attempts.
void read(Program& reader, Weakening weakening) {
  const bool relaxed = weakening == Weakening::kReaderRelaxed;
  const auto order = [&](Weakening one) {
    return relaxed || weakening == one ? Access::kRelaxed : Access::kAcquire;
  };
  constexpr int kStamp = kBlocks - kBlockWords;  // entries hold 1 + block
  constexpr int kDone = 9;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const int again = attempt;
    // SYNC(table.publish)
    reader.load(0, {kEntry}, order(Weakening::kEntryLoadedRelaxed));
    reader.if_not(0, 0, 2 + attempt);
    reader.fail("a user who is there is answered as absent");
    reader.label(2 + attempt);
    // SYNC(table.stamp)
    reader.load(1, {kStamp, 0, kBlockWords}, order(Weakening::kStampLoadedRelaxed));
    reader.if_equal(1, 0, again);
    for (int word = 1; word <= 3; ++word) {
      reader.load(1 + word, {kStamp + word, 0, kBlockWords}, Access::kRelaxed);
    }
    // SYNC(table.rebuild)
    if (!relaxed && weakening != Weakening::kNoAcquireFence) reader.fence(Access::kAcquire);
    const auto entry_again = [&] {
      if (weakening == Weakening::kNoEntryAgain) return;
      reader.load(5, {kEntry}, order(Weakening::kEntryAgainRelaxed));
      reader.if_different(5, 0, again);
    };
    const auto stamp_again = [&] {
      if (weakening == Weakening::kNoStampAgain) return;
      reader.load(6, {kStamp, 0, kBlockWords}, Access::kRelaxed);
      reader.if_different(6, 1, again);
    };
    if (weakening == Weakening::kStampBeforeEntry) {
      stamp_again();
      entry_again();
    } else {
      entry_again();
      stamp_again();
    }
    // Whole: now the key is compared.
    reader.if_equal(2, kUser, 4 + attempt);
    reader.fail("a user who is there is answered as absent");
    reader.label(4 + attempt);
    reader.if_same(3, 4, kDone);
    reader.fail("a profile is torn");
    reader.label(again);
  }
  reader.label(kDone);
  reader.end();
}

}  // namespace

/// The user's versions go to the other block and back.
Litmus block_same_user(Weakening weakening) {
  Litmus litmus = started();
  Program& owner = litmus.threads[0];
  publish(owner, weakening, kEntry, 1, kUser, 3);
  publish(owner, weakening, kEntry, 0, kUser, 4);
  owner.end();
  read(litmus.threads[1], weakening);
  return litmus;
}

/// The user's old block goes to somebody else.
Litmus block_other_user(Weakening weakening) {
  Litmus litmus = started();
  Program& owner = litmus.threads[0];
  publish(owner, weakening, kEntry, 1, kUser, 3);
  publish(owner, weakening, kOtherEntry, 0, kOther, 4);
  owner.end();
  read(litmus.threads[1], weakening);
  return litmus;
}

/// The old block goes to somebody else, who is evicted, and comes back.
Litmus block_both(Weakening weakening) {
  Litmus litmus = started();
  Program& owner = litmus.threads[0];
  publish(owner, weakening, kEntry, 1, kUser, 3);
  publish(owner, weakening, kOtherEntry, 0, kOther, 4);
  publish(owner, weakening, kOtherEntry, -1, 0, 0);
  publish(owner, weakening, kEntry, 0, kUser, 5);
  owner.end();
  read(litmus.threads[1], weakening);
  return litmus;
}

}  // namespace deja::model
