// Bytes of a connection to requests, one at a time, wherever the bytes were cut. One per
// connection; one thread. Its buffers grow to the largest request met and are kept.
//
//   head (http_head.h) ──▶ no body ────────────────────────▶ request
//                     ├──▶ Content-Length bytes ───────────▶ request
//                     └──▶ chunks (http_chunks.h), joined ──▶ request
//
// A fault is final: where the next request begins can't be told any more.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ingest/http_chunks.h"
#include "ingest/http_head.h"

namespace deja {

struct HttpLimits {
  std::size_t head_bytes_max = 16 * 1024;
  std::size_t body_bytes_max = 500 * 1024;  ///< as sent: compressed, without its chunks' framing
};

class HttpParser {
 public:
  enum class Outcome : std::uint8_t {
    kMore,      ///< all bytes were taken; the request is not complete
    kContinue,  ///< as kMore, but bytes may be left, and the client waits for "100 Continue"
    kRequest,   ///< request() is there until next(); bytes behind it are not taken
    kFault,     ///< fault() says why; to be answered, and the connection closed
  };

  explicit HttpParser(const HttpLimits& limits = {});

  /// Takes what it can of `bytes`; `used` says how much.
  Outcome consume(std::span<const std::uint8_t> bytes, std::size_t& used);
  [[nodiscard]] const HttpRequest& request() const { return head_->request; }
  [[nodiscard]] const HttpFault& fault() const { return fault_; }
  /// Done with the request: the next one begins.
  void next();
  /// For a new connection; gives back what an unusually long body took. Between requests it may be
  /// called at any time.
  void reset();
  /// What requests say about who is connected.
  void set_peer(const PeerAddress& peer) { peer_ = peer; }
  /// No byte of a request is there.
  [[nodiscard]] bool between_requests() const {
    return state_ == State::kHead && head_bytes_.empty();
  }
  /// A head has begun and has not ended.
  [[nodiscard]] bool in_head() const { return state_ == State::kHead && !head_bytes_.empty(); }
  [[nodiscard]] std::size_t held_bytes() const { return head_bytes_.capacity() + body_.capacity(); }

 private:
  enum class State : std::uint8_t { kHead, kLength, kChunks, kRequest, kFault };
  Outcome take_head(std::span<const std::uint8_t> bytes, std::size_t& used);
  Outcome take_body(std::span<const std::uint8_t> bytes, std::size_t& used);
  Outcome take_chunks(std::span<const std::uint8_t> bytes, std::size_t& used);
  Outcome fail(const HttpFault& fault);
  Outcome complete();
  void append_body(std::span<const std::uint8_t> bytes);

  HttpLimits limits_;
  PeerAddress peer_;
  State state_ = State::kHead;
  HttpFault fault_;
  std::string head_bytes_;
  std::uint32_t empty_lines_ = 0;
  std::unique_ptr<HttpHead> head_;
  HttpChunks chunks_;
  std::vector<std::uint8_t> body_;  // body_bytes_ of it are there, padding behind
  std::size_t body_bytes_ = 0;
};

}  // namespace deja
