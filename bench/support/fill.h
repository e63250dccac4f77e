// Events over a stream, one after the other by users in turn, until all are acknowledged. One
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "bench/support/server.h"
#include "bench/support/users.h"
#include "ingest/producer.h"

namespace deja::bench {

/// Sends `events` of them, `event` of each user in turn; the producer that did, for more.
[[nodiscard]] inline std::unique_ptr<Producer> fill(const Server& server, ProducerEvent event,
                                                    std::uint64_t events, std::uint64_t users) {
  ProducerOptions options;
  options.address = "unix:" + server.socket();
  options.linger_us = 0;
  options.batch_events = 1024;
  Result<std::unique_ptr<Producer>> producer = Producer::open(options);
  if (!producer.ok()) give_up(producer.error().message().c_str());
  for (std::uint64_t number = 0; number < events; ++number) {
    event.user_id = user_name(number % users);
    while ((*producer)->send(event) == SendOutcome::kFull) (*producer)->poll(100'000);
  }
  if (!(*producer)->flush(60'000'000)) give_up("not everything was acknowledged");
  if ((*producer)->stats().rejected != 0) give_up("an event was rejected");
  return std::move(*producer);
}

}  // namespace deja::bench
