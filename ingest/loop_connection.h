// One connection as the loop keeps it: a pooled slot. Private to ingest/loop.cc; its thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "ingest/connection.h"

namespace deja {

/// Memory of an output buffer beyond which it is given back when its connection ends.
inline constexpr std::size_t kOutputKeptBytes = 256 * 1024;

enum class ConnectionPhase : std::uint8_t {
  kFree,
  kOpen,
  kFlushing,
  kLingering,
  kTearing,
  kClosing
};

struct LoopConnection final : ConnectionOutput {
  int descriptor = -1;
  std::uint32_t number = 0;
  std::uint32_t generation = 0;
  std::uint32_t listener = 0;
  PeerAddress peer_address;
  ConnectionPhase phase = ConnectionPhase::kFree;
  bool receive_wanted = false;
  bool receive_armed = false;
  bool receive_cancelled = false;
  bool receives_directly = false;  // armed, and read by the loop itself: it has a place
  bool place_promised = false;     // … once the ring's receive has ended
  bool send_armed = false;
  bool shutdown_armed = false;
  bool peer_ended = false;
  bool listed_busy = false;          // its number is in the loop's list; outlives the connection
  bool listed_unseen = false;        // … and in that of UnseenEnds
  std::int64_t active_us = 0;        // last byte in either direction
  std::int64_t linger_until_us = 0;  // kLingering
  std::unique_ptr<ConnectionHandler> handler;
  std::vector<std::uint8_t> filling;  // written by the handler, not yet given to the kernel
  std::vector<std::uint8_t> sending;  // given to the kernel; sent_bytes of it are gone
  std::size_t sent_bytes = 0;

  void write(std::span<const std::uint8_t> bytes) override {
    filling.insert(filling.end(), bytes.begin(), bytes.end());
  }
  [[nodiscard]] std::size_t unsent_bytes() const override {
    return filling.size() + sending.size() - sent_bytes;
  }

  [[nodiscard]] bool receives_at_ring() const { return receive_armed && !receives_directly; }

  [[nodiscard]] PeerAddress peer() const override { return peer_address; }

  /// What is to be sent next; empty when nothing is, or a send is under way.
  [[nodiscard]] std::span<const std::uint8_t> next_output() {
    if (send_armed) return {};
    if (sent_bytes == sending.size()) {
      sending.clear();
      sent_bytes = 0;
      std::swap(sending, filling);
    }
    return std::span<const std::uint8_t>(sending).subspan(sent_bytes);
  }

  void reset() {
    for (std::vector<std::uint8_t>* buffer : {&filling, &sending}) {
      buffer->clear();
      if (buffer->capacity() > kOutputKeptBytes) std::vector<std::uint8_t>().swap(*buffer);
    }
    sent_bytes = 0;
    descriptor = -1;
    phase = ConnectionPhase::kFree;
    receive_wanted = receive_armed = receive_cancelled = receives_directly = place_promised = false;
    send_armed = shutdown_armed = false;
    peer_ended = false;
  }
};

}  // namespace deja
