// The stream without a network: frames made with the Cap'n Proto library, a handler that the test
// feeds, and what it answered, read with the library again.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ingest/event.capnp.h"
#include "ingest/stream_frame.h"
#include "ingest/stream_handler.h"
#include "tests/ingest/sink/test_appliance.h"

namespace deja {

using Bytes = std::vector<std::uint8_t>;

/// A frame around what `fill` makes of a StreamMessage.
[[nodiscard]] inline Bytes frame_of(
    const std::function<void(stream_schema::StreamMessage::Builder)>& fill) {
  capnp::MallocMessageBuilder message(1U << 17U);  // one segment, whatever it holds
  fill(message.initRoot<stream_schema::StreamMessage>());
  const auto words = capnp::messageToFlatArray(message);
  const auto body = words.asBytes();
  Bytes frame(kFrameHeaderBytes + body.size());
  const auto length = static_cast<std::uint32_t>(body.size());
  std::memcpy(frame.data(), &length, 4);
  std::memcpy(frame.data() + kFrameHeaderBytes, body.begin(), body.size());
  return frame;
}

[[nodiscard]] inline Bytes hello_frame(
    const char* key = "", std::uint16_t version = 1,
    stream_schema::AckLevel level = stream_schema::AckLevel::OF_SERVER) {
  return frame_of([&](stream_schema::StreamMessage::Builder message) {
    auto hello = message.initHello();
    hello.setVersion(version);
    hello.setAckLevel(level);
    hello.setWriteKey(key);
    hello.setClientName("test");
  });
}

using FillEvent = std::function<void(stream_schema::Event::Builder)>;

[[nodiscard]] inline Bytes batch_frame(std::uint64_t sequence,
                                       const std::vector<FillEvent>& events) {
  return frame_of([&](stream_schema::StreamMessage::Builder message) {
    auto batch = message.initBatch();
    batch.setSequence(sequence);
    auto list = batch.initEvents(static_cast<unsigned>(events.size()));
    for (unsigned at = 0; at < events.size(); ++at) events[at](list[at]);
  });
}

/// A track of `name` by `user`.
[[nodiscard]] inline FillEvent track(const std::string& name, const std::string& user = "u1") {
  return [name, user](stream_schema::Event::Builder event) {
    event.setCall(stream_schema::Call::TRACK);
    event.setName(name);
    event.setUserId(user);
  };
}

struct SeenReject {
  std::uint32_t index = 0;
  bool retry = false;
  std::string code;
  std::string path;
};

/// One answer, as far as tests ask.
struct Answer {
  stream_schema::StreamMessage::Which which = stream_schema::StreamMessage::NOTHING;
  std::uint64_t sequence = 0;
  std::string token;
  std::vector<SeenReject> rejects;
  std::string code;  // of an Error
  stream_schema::AckLevel level = stream_schema::AckLevel::OF_SERVER;
};

class CollectedOutput : public ConnectionOutput {
 public:
  void write(std::span<const std::uint8_t> bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  [[nodiscard]] std::size_t unsent_bytes() const override { return unsent_bytes_; }
  [[nodiscard]] PeerAddress peer() const override { return peer_; }
  void pretend_unsent(std::size_t bytes) { unsent_bytes_ = bytes; }
  void set_peer(const PeerAddress& peer) { peer_ = peer; }

  /// The bytes themselves.
  [[nodiscard]] Bytes take() { return std::exchange(bytes_, {}); }
  /// Everything written since the last call.
  [[nodiscard]] std::vector<Answer> answers() {
    std::vector<Answer> found;
    std::size_t used = 0;
    for (;;) {
      const Frame frame = first_frame(std::span(bytes_).subspan(used));
      CHECK(frame.state != FrameState::kBad);
      if (frame.state == FrameState::kPartial) break;
      used += frame.bytes;
      std::vector<std::uint64_t> words(frame.message.size() / 8);
      std::memcpy(words.data(), frame.message.data(), frame.message.size());
      capnp::FlatArrayMessageReader message(kj::ArrayPtr<const capnp::word>(
          reinterpret_cast<const capnp::word*>(words.data()), words.size()));
      found.push_back(answer_of(message.getRoot<stream_schema::StreamMessage>()));
    }
    CHECK(used == bytes_.size());
    bytes_.clear();
    return found;
  }

 private:
  static Answer answer_of(stream_schema::StreamMessage::Reader message) {
    Answer answer;
    answer.which = message.which();
    if (message.isAck()) {
      answer.sequence = message.getAck().getSequence();
      answer.level = message.getAck().getAckLevel();
      answer.token = message.getAck().getToken().cStr();
      for (const auto reject : message.getAck().getRejects()) {
        answer.rejects.push_back({reject.getIndex(), reject.getRetry(), reject.getCode().cStr(),
                                  reject.getPath().cStr()});
      }
    }
    if (message.isHelloReply()) answer.level = message.getHelloReply().getAckLevel();
    if (message.isError()) answer.code = message.getError().getCode().cStr();
    return answer;
  }
  Bytes bytes_;
  std::size_t unsent_bytes_ = 0;
  PeerAddress peer_;
};

/// One connection to a small shop.
class StreamHarness {
 public:
  static SinkAppliance::Options shop() {
    SinkAppliance::Options options;
    options.events = {{"view", schema::Call::TRACK, "Product Viewed", {0, 1, 2, 3}},
                      {"$identify", schema::Call::IDENTIFY, "", {4}}};
    options.paths = {"properties.product_id", "properties.price", "properties.products[].price",
                     "properties.flag", "traits.plan"};
    return options;
  }

  explicit StreamHarness(const SinkAppliance::Options& options = shop())
      : appliance(options),
        paths(appliance.segment().catalog()),
        limits(appliance.segment().settings()) {
    factory = std::move(*StreamFactory::make(appliance.segment(), appliance.sink(),
                                             appliance.process(), paths, limits));
    open();
  }

  void open() {
    handler = factory->make_handler();
    output = std::make_unique<CollectedOutput>();
    handler->on_open(*output);
  }
  Next receive(const Bytes& bytes) { return handler->on_receive(bytes, now_us); }
  /// A pass of the loop, with a worker that takes everything unless told not to.
  Next pass(bool consume = true) {
    appliance.sink().publish();
    if (consume) {
      for (auto& record : appliance.records()) records.push_back(std::move(record));
      if (journal_keeps_up) appliance.make_durable();
    }
    appliance.sink().refresh();
    return handler->on_pass(now_us);
  }
  /// Sends and answers until nothing is left to do.
  [[nodiscard]] std::vector<Answer> answers_to(const Bytes& bytes) {
    last = receive(bytes);
    while (handler->busy()) last = pass();
    return output->answers();
  }
  [[nodiscard]] std::uint64_t total(const std::string& name) const {
    return appliance.counter("deja_" + name + "_total{thread=\"0\"}");
  }
  /// Every event received ends in exactly one counter.
  [[nodiscard]] bool sums_agree() {
    appliance.sink().publish();  // as the loop does at the end of its pass
    return total("events_received") == total("ring_records") + total("events_unmatched") +
                                           total("events_alias") + appliance.rejected_sum();
  }

  SinkAppliance appliance;
  PathTrie paths;
  IngestLimits limits;
  std::unique_ptr<StreamFactory> factory;
  std::unique_ptr<ConnectionHandler> handler;
  std::unique_ptr<CollectedOutput> output;
  std::vector<SinkRecord> records;
  Next last = Next::kReceive;
  bool journal_keeps_up = true;  // what a worker has taken is durable in the same pass
  std::int64_t now_us = 1'700'000'000'000'000;
};

}  // namespace deja
