// For tests: sends events through deja::Producer until its standard input ends, then until every
// one is acked: storm_producer ADDRESS LEDGER PREFIX RATE. What it sends is a function of the
// event's number (tests/support/storm_events.py says which, and has the same in Python); each is
// written to LEDGER before it is handed over, with what was acked so far between them:
//   S <message id> <user> <n> <time in microseconds>
//   A <events acked>
// At the end one line of JSON with the producer's own counts; exit 0 when all were acked.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "ingest/producer.h"
#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr std::uint64_t kOpenUsers = 16;  // who get events in turn
constexpr std::uint64_t kEventsPerUser = 192;
constexpr std::uint64_t kBitsPerLane = 48;
constexpr std::int64_t kFlushUs = 120'000'000;
constexpr std::int64_t kSayAckedUs = 50'000;

ProducerEvent event_of(const std::string& prefix, std::uint64_t number, std::int64_t time_us) {
  const std::uint64_t round = number / (kOpenUsers * kEventsPerUser);
  const std::uint64_t index = number / kOpenUsers % kEventsPerUser;
  ProducerEvent event;
  event.call = CallType::kTrack;
  event.name = "Hit";
  event.user_id = prefix + "-" + std::to_string(round * kOpenUsers + number % kOpenUsers);
  event.message_id = prefix + "." + std::to_string(number);
  event.timestamp_us = time_us;
  event.properties = {{"item", "i" + std::to_string(index + 1)},
                      {"n", index + 1},
                      {"lane", index / kBitsPerLane},
                      {"bit", std::uint64_t{1} << (index % kBitsPerLane)}};
  return event;
}

bool input_has_ended() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int run(const char* address, const char* ledger_path, const std::string& prefix, double rate) {
  std::FILE* ledger = std::fopen(ledger_path, "ae");
  if (ledger == nullptr) {
    std::perror(ledger_path);
    return 1;
  }
  ProducerOptions options;
  options.address = address;
  options.client_name = "storm";
  options.ack = ProducerAck::kDurable;
  options.correct_clock = false;
  options.reconnect_max_us = 200'000;
  options.retry_min_us = 5'000;
  options.retry_count = 1'000'000;  // a storm outlasts any number of them
  std::uint64_t refused = 0;
  options.on_reject = [&](const ProducerReject& reject) {
    ++refused;
    std::fprintf(ledger, "R %" PRIu64 " %s\n", reject.number, reject.code.c_str());
  };
  auto opened = Producer::open(std::move(options));
  if (!opened) {
    std::fprintf(stderr, "storm_producer: %s\n", opened.error().message().c_str());
    return 1;
  }
  Producer& producer = **opened;
  const std::int64_t began_ns = steady_ns();
  std::int64_t due_ns = began_ns;
  std::int64_t time_us = 0;
  std::int64_t said_ns = 0;
  std::uint64_t number = 0;
  const auto gap_ns = static_cast<std::int64_t>(1e9 / rate);
  while (!input_has_ended() && !producer.failed()) {
    const std::int64_t now_ns = steady_ns();
    due_ns = std::max(due_ns, now_ns - 50'000'000);  // what an outage cost is not made up for
    for (; due_ns <= now_ns; due_ns += gap_ns) {
      if (producer.stats().taken - producer.stats().acked >= 16'000) break;
      time_us = std::max(time_us + 1, wall_us());
      ProducerEvent event = event_of(prefix, number, time_us);
      std::fprintf(ledger, "S %s %s %" PRIu64 " %" PRId64 "\n", event.message_id.c_str(),
                   event.user_id.c_str(), number / kOpenUsers % kEventsPerUser + 1, time_us);
      if (producer.send(std::move(event)) != SendOutcome::kTaken) {
        std::fprintf(stderr, "storm_producer: an event was not taken\n");
        return 1;
      }
      ++number;
    }
    producer.poll(1'000);
    if (now_ns - said_ns > kSayAckedUs * 1000) {
      said_ns = now_ns;
      std::fprintf(ledger, "A %" PRIu64 "\n", producer.stats().acked);
      std::fflush(ledger);
    }
  }
  const bool all = producer.flush(kFlushUs);
  const ProducerStats& stats = producer.stats();
  std::fprintf(ledger, "A %" PRIu64 "\n", stats.acked);
  std::fclose(ledger);
  std::printf("{\"taken\": %" PRIu64 ", \"acked\": %" PRIu64 ", \"refused\": %" PRIu64
              ", \"sent_again\": %" PRIu64 ", \"retried\": %" PRIu64 ", \"connections\": %" PRIu64
              ", \"level\": %d, \"failure\": \"%s\"}\n",
              stats.taken, stats.acked, refused, stats.sent_again, stats.retried, stats.connections,
              static_cast<int>(producer.ack_level()), producer.failure().c_str());
  return all && refused == 0 ? 0 : 1;
}

}  // namespace
}  // namespace deja

int main(int count, char** arguments) {
  if (count != 5) {
    std::fprintf(stderr, "storm_producer ADDRESS LEDGER PREFIX RATE\n");
    return 2;
  }
  return deja::run(arguments[1], arguments[2], arguments[3], std::atof(arguments[4]));
}
