// Sends stories to an OTLP collector from a thread of its own, so that a collector that is slow or
// away holds up nothing: the lease is renewed and slots are given back meanwhile. Memory is
// bounded; what finds no room, or can't be delivered, is dropped and counted.
//
//   add() ─▶ queue (kQueueMax stories) ─▶ batches ─▶ POST │ 2xx: sent (less what it says it
//   rejects)
//                                                         │ 429, 502, 503, 504, no connection:
//                                                         again, │   after Retry-After or a growing
//                                                         pause │ else, or kTriesMax times: dropped
//
// Retried are the statuses that OTLP/HTTP's specification names ("Retryable Response Codes").
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tools/replay/http_client.h"
#include "tools/trace/otlp_address.h"
#include "tools/trace/otlp_request.h"

namespace deja {

/// How many of a batch's spans a collector's answer says it did not take
/// (ExportTracePartialSuccess); 0 where it says nothing of the sort.
[[nodiscard]] std::uint64_t rejected_spans_of(std::string_view body);

class OtlpExporter {
 public:
  static constexpr std::size_t kQueueMax = 8192;
  static constexpr std::size_t kBatchMax = 128;
  static constexpr int kTriesMax = 8;

  struct Counts {
    std::uint64_t sent = 0;  ///< spans that a collector took
    std::uint64_t dropped = 0;
  };

  OtlpExporter(const OtlpAddress& address, OtlpResource resource);
  /// As finish().
  ~OtlpExporter();
  OtlpExporter(const OtlpExporter&) = delete;
  OtlpExporter& operator=(const OtlpExporter&) = delete;

  /// Never blocks.
  void add(const Story& story);
  /// Sends what is left: begins nothing after 5 s. Spans that were sent, and that were not.
  Counts finish();

 private:
  void run();
  void send(const std::vector<Story>& batch);
  /// Waits from `least_ns` to twice as long, unless it is to finish and that is over before. False:
  /// no further try.
  [[nodiscard]] bool pause(std::int64_t least_ns);
  void say_once(const std::string& trouble);

  HttpClient client_;  // the thread's
  const OtlpAddress address_;
  const OtlpResource resource_;
  std::mt19937_64 jitter_{std::random_device{}()};
  std::string trouble_;  // as it was said last

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Story> queue_;
  Counts counts_;
  bool finishing_ = false;
  std::int64_t until_ns_ = 0;  // when finishing is over
  std::thread thread_;
};

}  // namespace deja
