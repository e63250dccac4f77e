// The server's end of the stream protocol (ingest/event.capnp, ingest/stream.md). A factory for
// each ingest thread; its handlers are that thread's, and so is everything given to make().
//
// Invariants
//  1. Acks go out in the order of the batches, each when every event of its batch has its effect
//     and, at level durable, is on disk, or has its reject. The level is the connection's: what its
//     hello asked for, or the appliance's.
//  2. A batch that meets a full ring stays where it is: its event is tried again in every pass, and
//     refused when Settings.fullRingWaitUs have gone by without any event of the connection getting
//     through. Nothing behind it is read meanwhile.
//  3. A mistake in one event rejects that event; a mistake in the protocol ends the connection,
//  with
//     an Error as the last frame. Events handed over before count as sent: they have their effect,
//     and the client, unacked, sends them again under the same ids.
//  4. A hello has to come within kHelloUs, a frame within kFrameUs of its first byte (while the
//     connection is read), and who lets answers lie for kUnreadUs is left alone.
#pragma once

#include <memory>

#include "ingest/connection.h"
#include "ingest/event_sink.h"
#include "ingest/ingest_limits.h"
#include "ingest/path_trie.h"
#include "shm/process_file.h"
#include "shm/segment.h"

namespace deja {

inline constexpr std::int64_t kHelloUs = 10'000'000;
inline constexpr std::int64_t kFrameUs = 30'000'000;
inline constexpr std::int64_t kUnreadUs = 60'000'000;

class StreamFactory : public HandlerFactory {
 public:
  /// All of them must outlive the factory, and the factory its handlers.
  [[nodiscard]] static Result<std::unique_ptr<StreamFactory>> make(const Segment& segment,
                                                                   EventSink& sink,
                                                                   ProcessFile& process,
                                                                   const PathTrie& paths,
                                                                   IngestLimits& limits);
  ~StreamFactory() override;
  [[nodiscard]] std::unique_ptr<ConnectionHandler> make_handler() override;

  /// What the handlers of a thread share.
  struct Shared;

 private:
  explicit StreamFactory(std::unique_ptr<Shared> shared);
  std::unique_ptr<Shared> shared_;
};

}  // namespace deja
