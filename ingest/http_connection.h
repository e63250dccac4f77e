// A server's end of HTTP/1.x connections: reads requests, hands them to a service, sends the
// answers in the order of the requests. Knows nothing of what is served: deja-ingest and
// deja-console both stand on it. One thread; after warm-up a connection allocates only where the
// service does.
//
// Pipelining: up to kPipelineMax requests of one connection may be unanswered at once, since an ack
// may take a while; beyond that the connection is not read. A request that can't be taken to its
// end yet (kBlocked: a full ring) stops everything behind it on its connection, and nothing else.
//
// Slow peers: a request's head has to arrive within kHeadUs of its first byte, its body within
// kBodyUs of its head's end (both while the connection is read), else it is answered 408 and the
// connection closed. Memory: what a connection holds is charged to a budget that all share
// (ingest/connection_limits.h); one that would grow beyond it is answered 503 and closed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "ingest/connection.h"
#include "ingest/connection_limits.h"
#include "ingest/http_parser.h"
#include "ingest/http_response.h"

namespace deja {

enum class HttpProgress : std::uint8_t {
  kAnswered,  ///< the answer is written
  kWaiting,   ///< the request is no longer needed; resume() will answer
  kBlocked,   ///< resume() needs the request still: nothing behind it may be read
};

/// What a service does with one request. Pooled: begin() starts anew.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  /// `request` stays valid while the progress is kBlocked, else until the call's end.
  virtual HttpProgress begin(const HttpRequest& request, std::int64_t received_us,
                             HttpAnswer& answer) = 0;
  /// Once per pass while the last progress was not kAnswered.
  virtual HttpProgress resume(std::int64_t now_us, HttpAnswer& answer) = 0;
  /// The connection is gone, and nobody wants the answer.
  virtual void forget() {}
  /// Memory that it works with, or keeps for the next request.
  [[nodiscard]] virtual std::size_t held_bytes() const { return 0; }
};

/// One per thread; outlives its connections.
class HttpService {
 public:
  virtual ~HttpService() = default;
  [[nodiscard]] virtual std::unique_ptr<HttpExchange> make_exchange() = 0;
  /// A request that is no HTTP (or too large) was refused: write the answer.
  virtual void refuse(const HttpFault& fault, HttpAnswer& answer) {
    write_error(answer, fault.status, fault.code, fault.message);
  }
  /// An answer is on its way.
  virtual void on_answer(int /*status*/) {}
};

inline constexpr std::uint32_t kPipelineMax = 16;
inline constexpr std::int64_t kHeadUs = 10'000'000;
inline constexpr std::int64_t kBodyUs = 30'000'000;

class HttpConnection final : public ConnectionHandler {
 public:
  HttpConnection(HttpService& service, const HttpLimits& limits, BufferBudget* budget = nullptr);

  void on_open(ConnectionOutput& output) override;
  Next on_receive(std::span<const std::uint8_t> bytes, std::int64_t received_us) override;
  Next on_pass(std::int64_t now_us) override;
  [[nodiscard]] bool busy() const override;
  [[nodiscard]] bool is_overdue(std::int64_t now_us) override;
  Next on_overdue() override;
  Next on_end() override;
  void on_close() override;

 private:
  struct Slot {
    std::unique_ptr<HttpExchange> exchange;
    HttpAnswer answer;
    HttpProgress progress = HttpProgress::kAnswered;
    bool keep_alive = true;
    bool without_body = false;
  };
  [[nodiscard]] Slot& slot(std::uint32_t at) { return slots_[(first_ + at) % kPipelineMax]; }
  [[nodiscard]] bool can_read() const;
  std::size_t read(std::span<const std::uint8_t> bytes, std::int64_t received_us);
  void read_backlog(std::int64_t now_us);
  void begin_request(std::int64_t received_us);
  void refuse_request(const HttpFault& fault);
  void note_progress(std::int64_t now_us);
  [[nodiscard]] std::size_t held_bytes() const;
  void stay_within_budget();
  void send_answers();
  void send_continue();
  [[nodiscard]] Next next();

  /// What of a request is being waited for.
  enum class Part : std::uint8_t { kNothing, kHead, kBody };

  HttpService& service_;
  HttpParser parser_;
  BufferShare share_;
  Part part_ = Part::kNothing;
  std::int64_t part_since_us_ = 0;
  ConnectionOutput* output_ = nullptr;
  std::array<Slot, kPipelineMax> slots_;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
  bool blocked_ = false;     // the newest slot needs the parser's request still
  bool last_taken_ = false;  // the newest slot's answer ends the connection
  bool closing_ = false;     // that answer was sent
  bool peer_ended_ = false;
  bool continue_due_ = false;          // "100 Continue" is owed once earlier answers are out
  std::vector<std::uint8_t> backlog_;  // received and not yet read
  std::string bytes_;                  // of an answer
};

/// Makes them for a listener.
class HttpConnectionFactory final : public HandlerFactory {
 public:
  /// `budget` may be null; it outlives the factory, as does the service.
  explicit HttpConnectionFactory(HttpService& service, BufferBudget* budget = nullptr,
                                 const HttpLimits& limits = {})
      : service_(service), budget_(budget), limits_(limits) {}
  [[nodiscard]] std::unique_ptr<ConnectionHandler> make_handler() override {
    return std::make_unique<HttpConnection>(service_, limits_, budget_);
  }

 private:
  HttpService& service_;
  BufferBudget* budget_;
  HttpLimits limits_;
};

}  // namespace deja
