// deja::Producer: sends events to an appliance over the stream protocol (ingest/stream.md), in
// batches, again after a reconnect, and tells what became of each.
//
//   ProducerOptions options;
//   options.address = "127.0.0.1:7400";            // or "unix:/run/deja/shop.sock"
//   options.write_key = "…";
//   options.on_reject = [](const ProducerReject& reject) { … };
//   auto producer = deja::Producer::open(options);
//   if (!producer) …                                // the address makes no sense
//   while (…) {
//     while ((*producer)->send(event) == SendOutcome::kFull) (*producer)->poll(100'000);
//   }
//   if (!(*producer)->flush(5'000'000)) …           // not everything was acked within 5 s
//
// Contract
//  - One thread at a time. The producer has no thread of its own: the network is looked after in
//    send() (each time a batch fills), poll() and flush(). Who sends seldom calls poll() now and
//    then, or an event may linger beyond linger_us.
//  - An event taken by send() is in exactly one of four states: queued, in flight, acked, rejected
//    (on_reject was called once for it). Counts of all are in stats().
//  - What was in flight when a connection ended is sent again on the next one. The appliance knows
//    an event by its message id, so this is safe; the producer makes an id where the event has
//    none.
//  - `ack` asks for what acks shall mean: applied, durable, or whatever the appliance is configured
//    to; ack_level() says what they do mean.
//  - A reject with `retry` (no room at the appliance, or its journal can't be written) is not
//    reported but sent again, with growing pauses, up to retry_count times; only then is it
//    reported.
//  - Reconnects back off from reconnect_min_us to reconnect_max_us, doubling, with jitter. A wrong
//    write key, another version or an ack level that the appliance does not give are final:
//    failed() is true and send() answers kFailed.
//  - Events of one producer are handed over in the order of send(), except for those sent again.
//  - Nothing is written to disk: what was not acked when the program ends is lost. flush() first.
//  - Destroying a producer closes the connection at once, without a flush.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ingest/producer_event.h"
#include "shm/base/result.h"

namespace deja {

enum class ProducerAck : std::uint8_t { kOfServer, kApplied, kDurable };

/// An event that the appliance did not take.
struct ProducerReject {
  std::uint64_t number = 0;  ///< what send() counted it as: 0 for the first event
  std::string code;          ///< "missing_user": ingest/refusal_codes.h
  std::string message;
  std::string path;  ///< of the fault, within the event; may be empty
};

struct ProducerOptions {
  std::string address;    ///< "host:port", "[::1]:port" or "unix:/path"
  std::string write_key;  ///< empty where the appliance is open
  std::string client_name = "deja-producer";
  ProducerAck ack = ProducerAck::kOfServer;
  /// Sends the time of sending with each batch, from which the appliance corrects event times for
  /// this host's clock (to about the time that a batch is under way). Off for times to be taken as
  /// they are: a replay, a migration.
  bool correct_clock = true;
  std::uint32_t batch_events = 256;             ///< at most 1024
  std::uint32_t batch_bytes = 64 * 1024;        ///< a batch ends when its events are about as long
  std::int64_t linger_us = 2'000;               ///< longest that a batch waits to fill
  std::uint32_t queue_events = 16'384;          ///< taken and not acked; beyond: kFull
  std::int64_t connect_timeout_us = 5'000'000;  ///< for connecting and the reply to the hello
  std::int64_t reconnect_min_us = 20'000;
  std::int64_t reconnect_max_us = 5'000'000;
  std::uint32_t retry_count = 8;  ///< of an event that the appliance had no room for
  std::int64_t retry_min_us = 50'000;
  /// Called within send, poll or flush; must not call the producer.
  std::function<void(const ProducerReject&)> on_reject;
};

enum class [[nodiscard]] SendOutcome : std::uint8_t{
    kTaken,
    kFull,   ///< queue_events are taken and not acked: poll() and try again
    kFailed  ///< the appliance refuses this producer: failure() says why
};

struct ProducerStats {
  std::uint64_t taken = 0;        ///< by send()
  std::uint64_t acked = 0;        ///< and not rejected
  std::uint64_t rejected = 0;     ///< and reported
  std::uint64_t sent_again = 0;   ///< events in batches sent again after a reconnect
  std::uint64_t retried = 0;      ///< events sent again since the appliance had no room
  std::uint64_t batches = 0;      ///< acked
  std::uint64_t connections = 0;  ///< that got as far as a reply to the hello
};

class Producer {
 public:
  /// Reads the address, nothing more: the first connection is made by the first call that needs it.
  [[nodiscard]] static Result<std::unique_ptr<Producer>> open(ProducerOptions options);
  /// Speaks over a connected stream socket instead; it is the producer's from then on, and there is
  /// no other after it: when it ends, the producer has failed.
  [[nodiscard]] static std::unique_ptr<Producer> adopt(int socket, ProducerOptions options);
  ~Producer();

  /// Takes an event. Never blocks.
  SendOutcome send(ProducerEvent event);
  /// Looks after the network; returns when something was done, at the latest after `timeout_us`.
  void poll(std::int64_t timeout_us);
  /// Sends everything and waits for the acks. False: not all within `timeout_us`, or failed().
  [[nodiscard]] bool flush(std::int64_t timeout_us);

  [[nodiscard]] bool connected() const;
  [[nodiscard]] bool failed() const;
  /// What the last connection ended for, as a sentence; empty: it did not.
  [[nodiscard]] const std::string& failure() const;
  [[nodiscard]] const ProducerStats& stats() const;
  /// Token of the last ack that had one: names the positions for read-your-own-click.
  [[nodiscard]] const std::string& last_token() const;
  /// What the acks of this connection mean; kOfServer while there is none.
  [[nodiscard]] ProducerAck ack_level() const;

  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

 private:
  Producer();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace deja
