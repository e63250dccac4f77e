// ring/spsc_ring.h: claim, commit, publish against next, copy, release, around the ring's end.
// Four words of data; a record's words are 10 × its number + the word's.
#include "tests/model/memory/programs.h"

namespace deja::model {
namespace {

enum Location { kProducer, kConsumer, kData };
constexpr int kPadding = 9;

Litmus named() {
  Litmus litmus;
  litmus.names = {"producer_position", "consumer_position", "data[0]",
                  "data[1]",           "data[2]",           "data[3]"};
  return litmus;
}

struct Writer {
  Program& program;
  Weakening weakening;

  /// claim(): looks at consumer_position when its copy of it leaves no room.
  void wait_for_room(int consumed) const {
    if (weakening == Weakening::kRoomNotLookedAt) return;
    // SYNC(ring.release)
    const bool relaxed = weakening == Weakening::kReleaseLoadedRelaxed;
    program.await(0, {kConsumer}, relaxed ? Access::kRelaxed : Access::kAcquire, consumed);
  }
  /// The claimed words, and commit()'s header: nobody else looks at them.
  void write(int index, int record, int words) const {
    for (int word = 0; word < words; ++word) {
      program.store({kData + index + word}, Access::kPlain, 10 * record + word);
    }
  }
  void publish(int position) const {
    // SYNC(ring.publish)
    const bool relaxed = weakening == Weakening::kPublishRelaxed;
    program.store({kProducer}, relaxed ? Access::kRelaxed : Access::kRelease, position);
  }
};

struct Reader {
  Program& program;
  Weakening weakening;

  /// next(): looks at producer_position when its copy of it is used up.
  void wait_for(int produced) const {
    // SYNC(ring.publish)
    const bool relaxed = weakening == Weakening::kPublishLoadedRelaxed;
    program.await(0, {kProducer}, relaxed ? Access::kRelaxed : Access::kAcquire, produced);
  }
  void expect(int index, int value, int label) const {
    program.load(1, {kData + index}, Access::kPlain);
    program.if_equal(1, value, label);
    program.fail("a record is not what was written");
    program.label(label);
  }
  void read(int index, int record, int words, int label) const {
    for (int word = 0; word < words; ++word) {
      expect(index + word, 10 * record + word, label + word);
    }
  }
  void release(int position) const {
    // SYNC(ring.release)
    const bool relaxed = weakening == Weakening::kReleaseRelaxed;
    program.store({kConsumer}, relaxed ? Access::kRelaxed : Access::kRelease, position);
  }
};

}  // namespace

/// Three words; one of padding and two; two: each claim but the first has to wait for space.
Litmus ring_with_padding(Weakening weakening) {
  Litmus litmus = named();
  const Writer writer{litmus.threads[0], weakening};
  writer.write(0, 1, 3);
  writer.publish(3);
  writer.wait_for_room(2);
  writer.write(0, 2, 2);
  writer.program.store({kData + 3}, Access::kPlain, kPadding);
  writer.publish(6);
  writer.wait_for_room(4);
  writer.write(2, 3, 2);
  writer.publish(8);
  writer.program.end();

  const Reader reader{litmus.threads[1], weakening};
  const bool early = weakening == Weakening::kReleaseBeforeCopy;
  reader.wait_for(3);
  if (early) reader.release(3);
  reader.read(0, 1, 3, 0);
  if (!early) reader.release(3);
  reader.wait_for(4);
  if (early) reader.release(6);
  reader.expect(3, kPadding, 3);
  reader.read(0, 2, 2, 4);
  if (!early) reader.release(6);
  reader.wait_for(7);
  reader.read(2, 3, 2, 6);
  reader.release(8);
  reader.program.end();
  return litmus;
}

/// Two records in one publication, two more as space comes free, record by record.
Litmus ring_with_batch(Weakening weakening) {
  Litmus litmus = named();
  const Writer writer{litmus.threads[0], weakening};
  writer.write(0, 1, 2);
  writer.write(2, 2, 2);
  writer.publish(4);
  writer.wait_for_room(2);
  writer.write(0, 3, 2);
  writer.publish(6);
  writer.wait_for_room(4);
  writer.write(2, 4, 2);
  writer.publish(8);
  writer.program.end();

  const Reader reader{litmus.threads[1], weakening};
  reader.wait_for(1);
  reader.read(0, 1, 2, 0);
  reader.release(2);
  reader.read(2, 2, 2, 2);  // its copy of producer_position says that it is there
  reader.release(4);
  reader.wait_for(5);
  reader.read(0, 3, 2, 4);
  reader.release(6);
  reader.wait_for(7);
  reader.read(2, 4, 2, 6);
  reader.release(8);
  reader.program.end();
  return litmus;
}

}  // namespace deja::model
