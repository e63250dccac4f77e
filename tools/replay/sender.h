// Where replayed events go. Both ways count the same: an event is acknowledged, or rejected with a
// code, or neither (a failure). One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "shm/base/result.h"
#include "tools/replay/row_event.h"

namespace deja {

struct SendCounts {
  std::uint64_t sent = 0;   ///< handed over, resends not counted
  std::uint64_t acked = 0;  ///< taken by the appliance
  std::uint64_t rejected = 0;
  std::uint64_t resent = 0;                      ///< again after a 503 or a lost connection
  std::map<std::string, std::uint64_t> by_code;  ///< of the rejected
  std::string ack_level;                         ///< "applied", "durable"; empty: none said
};

class Sender {
 public:
  virtual ~Sender() = default;
  /// Takes an event; may block while too much is unanswered. An error is final.
  virtual Status send(const ReplayEvent& event) = 0;
  /// Sends what waits to fill a batch, without waiting for its answer.
  virtual Status push() = 0;
  /// Sends everything and waits for every answer.
  virtual Status finish() = 0;
  [[nodiscard]] virtual const SendCounts& counts() const = 0;
};

/// `address`: "127.0.0.1:8080" or "unix:/path".
[[nodiscard]] Result<std::unique_ptr<Sender>> make_http_sender(const std::string& address,
                                                               const std::string& write_key);
[[nodiscard]] Result<std::unique_ptr<Sender>> make_stream_sender(const std::string& address,
                                                                 const std::string& write_key);

}  // namespace deja
