// Takes one event of a batch (ingest/event.capnp) out of bytes that may be anybody's, walking the
// declared paths beside it. One ingest thread; no allocation; what it extracts are views of the
// message.
//
// Bounds, so that a small message can't cost much: kDepthMax levels; kEventBytesMax of content
// (names, texts and 8 bytes for each member, about what the event would be as JSON); and for a
// whole batch a budget of about twice the frame's bytes, which only a message that points to the
// same bytes again and again can spend.
#pragma once

#include <cstdint>

#include "ingest/extraction.h"
#include "ingest/path_trie.h"
#include "ingest/stream_usual_events.h"
#include "shm/capnp_view.h"

namespace deja {

class StreamDecoder {
 public:
  explicit StreamDecoder(const PathTrie& paths)
      : paths_(paths),
        properties_(paths.member(paths.root(), "properties")),
        traits_(paths.member(paths.root(), "traits")),
        context_(paths.member(paths.root(), "context")) {}

  /// What reading a batch may cost, in bytes of its frame.
  struct Budget {
    std::uint64_t bytes_left = 0;
    [[nodiscard]] static Budget of_frame(std::uint64_t frame_bytes) {
      return {2 * frame_bytes + 4096};
    }
  };

  /// Fills `extraction`; false: `refusal` says why not. `message` is the one `event` lies in; it
  /// may be damaged afterwards, and is then no good for the events behind this one.
  [[nodiscard]] bool decode(const capnp_view::Message& message, const capnp_view::Struct& event,
                            std::int64_t sent_at_us, Budget& budget, Extraction& extraction,
                            Refusal& refusal);

  /// The same for events laid out as usual, at a third of the cost. False: not done, `budget` as
  /// it was, and decode() has the answer. True: decode() would have said and filled the same.
  [[nodiscard]] bool decode_usual(const UsualEvents& events, std::uint32_t index,
                                  std::int64_t sent_at_us, Budget& budget,
                                  Extraction& extraction) const;

 private:
  struct Step;
  struct Walk;
  struct UsualWalk;
  const PathTrie& paths_;
  PathTrie::Node properties_;
  PathTrie::Node traits_;
  PathTrie::Node context_;
};

}  // namespace deja
