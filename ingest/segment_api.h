// Segment's tracking API over HTTP: which route is what, who may write, and the answers of the
// routes that take no events. What becomes of events is ingest/segment_exchange.h. One per ingest
// thread; that thread only. README.md has the routes and every code.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ingest/event_sink.h"
#include "ingest/http_connection.h"
#include "ingest/inflate.h"
#include "ingest/ingest_limits.h"
#include "ingest/json_extractor.h"
#include "ingest/path_trie.h"
#include "ingest/segment_auth.h"
#include "shm/process_file.h"

namespace deja {

struct SegmentApiOptions {
  EventSink* sink = nullptr;  ///< outlives the API, as do the next two
  const PathTrie* paths = nullptr;
  ProcessFile* process = nullptr;
  IngestLimits* limits = nullptr;    ///< may be null: nobody is limited; outlives the API
  std::uint32_t thread = 0;          ///< for the counters' label
  std::uint32_t slot_count = 0;      ///< of the catalog
  std::uint32_t key_bytes_max = 64;  ///< of the catalog
  std::vector<std::string> write_keys;
  std::int64_t full_ring_wait_us = 1'000'000;
  schema::AckLevel ack = schema::AckLevel::APPLIED;  ///< of requests that ask for none
  std::function<bool()> ready;                       ///< for /readyz; empty: always
};

class SegmentApi final : public HttpService {
 public:
  explicit SegmentApi(const SegmentApiOptions& options);

  [[nodiscard]] std::unique_ptr<HttpExchange> make_exchange() override;
  void refuse(const HttpFault& fault, HttpAnswer& answer) override;
  void on_answer(int status) override;

  /// What a request for events turned out to be.
  struct Events {
    bool wanted = false;  ///< false: `answer` is the whole answer
    bool batch = false;
    CallType call = CallType::kNone;
    bool authorized = false;  ///< false: the key has to be in the body
    std::int32_t key = -1;    ///< the key's number; -1: none was needed, or it is in the body
    PeerAddress client;
    schema::AckLevel level = schema::AckLevel::APPLIED;
  };
  /// Looks at everything but the body; answers what needs no events.
  [[nodiscard]] Events route(const HttpRequest& request, HttpAnswer& answer);
  /// False: the key may not write now; answered. To be asked once the key is known.
  [[nodiscard]] bool admit_key(std::int32_t key, HttpAnswer& answer);
  /// A document of so many events was read. Its request was charged as one of them by route().
  void charge(const PeerAddress& client, std::int32_t key, std::uint64_t events);
  /// The body as text, inflated where it has to be; valid until the next call. False: answered.
  [[nodiscard]] bool read_body(const HttpRequest& request, std::string_view& text,
                               HttpAnswer& answer);

  /// write_error() with the headers that browsers need.
  static void fail(HttpAnswer& answer, int status, std::string_view code, std::string_view message,
                   std::string_view path = {});
  static void add_cors(HttpAnswer& answer);

  [[nodiscard]] const SegmentApiOptions& options() const { return options_; }
  [[nodiscard]] EventSink& sink() { return *options_.sink; }
  [[nodiscard]] JsonExtractor& extractor() { return extractor_; }
  [[nodiscard]] Extraction& extraction() { return *extraction_; }
  [[nodiscard]] const SegmentAuth& auth() const { return auth_; }

 private:
  /// False: answered.
  bool read_level(const HttpRequest& request, schema::AckLevel& level, HttpAnswer& answer) const;
  bool admit_client(const PeerAddress& client, HttpAnswer& answer);
  void answer_too_many(std::uint32_t pause_s, Counter& counter, HttpAnswer& answer) const;
  void answer_preflight(const HttpRequest& request, HttpAnswer& answer) const;
  void answer_settings(const HttpRequest& request, HttpAnswer& answer) const;

  SegmentApiOptions options_;
  SegmentAuth auth_;
  JsonExtractor extractor_;
  std::unique_ptr<Extraction> extraction_;
  Inflater inflater_;
  std::array<Counter, 6> answers_;  // by the status's first digit
  Counter limited_address_;
  Counter limited_key_;
};

}  // namespace deja
