// What the loop and a protocol (HTTP, the stream) know of each other. The loop owns sockets,
// buffers and the submission queue; a handler owns what it has been given and has not answered yet.
// One thread each. After warm-up neither allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ingest/peer_address.h"

namespace deja {

/// What the loop shall do with a connection next.
enum class Next : std::uint8_t {
  kReceive,  ///< go on receiving
  kPause,    ///< do not receive (back-pressure): on_pass() decides when to go on
  kClose,    ///< send what was written, then close
  kAbort,    ///< close at once
};

/// The loop's end of a connection, given to its handler. Valid until on_close().
class ConnectionOutput {
 public:
  virtual ~ConnectionOutput() = default;
  /// Appends to what will be sent after this call of the handler; keeps a copy.
  virtual void write(std::span<const std::uint8_t> bytes) = 0;
  /// Bytes written and not yet taken by the kernel: a handler pauses when it gets large.
  [[nodiscard]] virtual std::size_t unsent_bytes() const = 0;
  /// Who is connected.
  [[nodiscard]] virtual PeerAddress peer() const { return {}; }
};

class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  /// Begins a new connection on this (pooled) handler.
  virtual void on_open(ConnectionOutput& output) = 0;
  /// Bytes arrived. The handler takes all of them (what it can't use yet it copies), also after
  /// kPause: a receive may have been under way.
  virtual Next on_receive(std::span<const std::uint8_t> bytes, std::int64_t received_us) = 0;
  /// Called in every pass of the loop while busy(): answers what is covered by now, goes on with
  /// what waited at a full ring.
  virtual Next on_pass(std::int64_t now_us) = 0;
  /// Whether on_pass() is wanted: something is unanswered or waiting.
  [[nodiscard]] virtual bool busy() const = 0;
  /// Asked about once a second, busy or not: whether the peer takes longer over something than it
  /// may. Then on_overdue() says goodbye.
  [[nodiscard]] virtual bool is_overdue(std::int64_t /*now_us*/) { return false; }
  virtual Next on_overdue() { return Next::kAbort; }
  /// The peer sent its last byte (half-closed); answers still go out.
  virtual Next on_end() = 0;
  /// The connection is gone; `output` must not be used again. Unanswered events stay accepted.
  virtual void on_close() = 0;
};

/// Makes handlers for a listening socket; one per ingest thread and kind of listener.
class HandlerFactory {
 public:
  virtual ~HandlerFactory() = default;
  [[nodiscard]] virtual std::unique_ptr<ConnectionHandler> make_handler() = 0;
};

/// Who decides which connections get a place; shared by the loops of a process, so any thread.
class ConnectionGate {
 public:
  virtual ~ConnectionGate() = default;
  /// False: the connection is closed at once, and counted as refused. Each true is given back by
  /// one leave().
  [[nodiscard]] virtual bool admit(const PeerAddress& peer) = 0;
  virtual void leave(const PeerAddress& peer) = 0;
};

/// What runs around the connections in each pass of the loop.
class LoopDuty {
 public:
  virtual ~LoopDuty() = default;
  /// After all receives of a pass were handled and before busy handlers get their on_pass():
  /// publish, refresh positions, heartbeat.
  virtual void on_pass(std::int64_t now_us) = 0;
  /// After the busy handlers of a pass: publish what they went on with, since a sleep may follow.
  virtual void on_pass_end() {}
  /// Last look before a sleep: whether anything new is there that no descriptor tells.
  [[nodiscard]] virtual bool has_news() const = 0;
};

}  // namespace deja
