// Sends one body that is JSON already, as it is, and says what the appliance made of it. One
// thread.
#pragma once

#include <string>

#include "shm/base/result.h"

namespace deja {

struct TextAnswer {
  bool taken = false;
  std::string code;       ///< why not
  std::string path;       ///< and where
  std::string ack_level;  ///< "applied", "durable"
};

/// `address`: "127.0.0.1:8080" or "unix:/path". A 503, a 429 and a lost connection send it again,
/// for some seconds. An Error: nobody knows what became of it, or it was no answer of ours. What is
/// not taken is not kept as a dead letter.
[[nodiscard]] Result<TextAnswer> send_text(const std::string& address, const std::string& write_key,
                                           const std::string& route, const std::string& body);

}  // namespace deja
