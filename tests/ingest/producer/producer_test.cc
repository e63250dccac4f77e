// deja::Producer against the stream's handlers over real sockets, with a small pump in place of the
// loop: producer and server take turns in one thread.
#include "ingest/producer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <map>
#include <tuple>

#include "ingest/producer_encoder.h"
#include "ingest/producer_socket.h"
#include "tests/ingest/stream/stream_harness.h"

namespace deja {
namespace {

class Pump {
 public:
  explicit Pump(const SinkAppliance::Options& options = StreamHarness::shop()) : harness(options) {
    path_ = harness.appliance.segment().stable_path("stream.sock");
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CHECK(path_.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(listen(listener_, 4) == 0);
  }
  ~Pump() {
    hang_up();
    close(listener_);
  }
  [[nodiscard]] std::string address() const { return "unix:" + path_; }

  /// One pass of a very small loop.
  void turn(bool consume = true) {
    if (peer_ < 0) {
      peer_ = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
      if (peer_ < 0) return;
      harness.open();
    }
    std::uint8_t bytes[16 * 1024];
    Next next = Next::kReceive;
    const ssize_t count = recv(peer_, bytes, sizeof bytes, 0);
    if (count == 0) return hang_up();
    if (count > 0) next = harness.receive(Bytes(bytes, bytes + count));
    if (harness.handler->busy() || next == Next::kPause) next = harness.pass(consume);
    const Bytes answer = harness.output->take();
    CHECK(send(peer_, answer.data(), answer.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(answer.size()));
    if (next == Next::kClose) hang_up();
  }
  void hang_up() {
    if (peer_ < 0) return;
    harness.handler->on_close();
    close(peer_);
    peer_ = -1;
  }

  StreamHarness harness;

 private:
  std::string path_;
  int listener_ = -1;
  int peer_ = -1;
};

ProducerOptions options_for(const Pump& pump) {
  ProducerOptions options;
  options.address = pump.address();
  options.reconnect_min_us = 100;
  options.reconnect_max_us = 1000;
  options.retry_min_us = 100;
  return options;
}

ProducerEvent view(const std::string& user) {
  ProducerEvent event;
  event.name = "Product Viewed";
  event.user_id = user;
  event.properties = {{"product_id", "p1"}, {"price", 9.5}};
  return event;
}

// Takes turns until everything is acked; false: it never was.
bool settle(Producer& producer, Pump& pump) {
  for (int turn = 0; turn < 200'000; ++turn) {
    if (producer.flush(0)) return true;
    if (producer.failed()) return false;
    pump.turn();
  }
  return false;
}

TEST(Producer, SendsBatchesAndCountsTheAcks) {
  Pump pump;
  auto producer = std::move(*Producer::open(options_for(pump)));
  for (int number = 0; number < 1000; ++number) {
    ASSERT_EQ(producer->send(view("u" + std::to_string(number % 7))), SendOutcome::kTaken);
    pump.turn();
  }
  ASSERT_TRUE(settle(*producer, pump)) << producer->failure();
  EXPECT_EQ(pump.harness.records.size(), 1000U);
  EXPECT_EQ(producer->stats().taken, 1000U);
  EXPECT_EQ(producer->stats().acked, 1000U);
  EXPECT_EQ(producer->stats().rejected, 0U);
  EXPECT_EQ(producer->stats().connections, 1U);
  EXPECT_GE(producer->stats().batches, 4U);
  EXPECT_EQ(producer->ack_level(), ProducerAck::kApplied);
  EXPECT_TRUE(producer->last_token().starts_with("v1."));
  EXPECT_TRUE(pump.harness.sums_agree());
}

// Else a wait that begins after the pass has nothing to wake it: what was due stays here.
TEST(Producer, WhatAnAnswerAllowsIsSentInTheSamePass) {
  Pump pump;
  auto producer = std::move(*Producer::open(options_for(pump)));
  ASSERT_EQ(producer->send(view("ada")), SendOutcome::kTaken);
  (void)producer->flush(0);  // connects and greets
  (void)producer->flush(0);
  pump.turn();  // is greeted
  ASSERT_EQ(pump.harness.records.size(), 0U);
  (void)producer->flush(0);
  pump.turn();
  EXPECT_EQ(pump.harness.records.size(), 1U);
}

TEST(Producer, AnEventArrivesAsItWasGiven) {
  Pump pump;
  auto producer = std::move(*Producer::open(options_for(pump)));
  ProducerEvent event = view("u1");
  event.timestamp_us = pump.harness.now_us - 5'000'000;
  event.message_id = "m1";
  event.properties.push_back({"flag", true});
  event.properties.push_back(
      {"products", ProducerList{ProducerMembers{{"price", 1.5}}, ProducerMembers{{"price", 2}}}});
  event.properties.push_back({"nothing", {}});
  ASSERT_EQ(producer->send(event), SendOutcome::kTaken);
  ASSERT_TRUE(settle(*producer, pump)) << producer->failure();
  ASSERT_EQ(pump.harness.records.size(), 1U);
  const kj::ArrayPtr<const capnp::word> segments[] = {pump.harness.records[0].segment()};
  capnp::SegmentArrayMessageReader message(segments);
  const auto record = message.getRoot<schema::EventRecord>();
  EXPECT_EQ(record.getKey().asChars(), kj::StringPtr("u1"));
  EXPECT_NE(record.getIdLow(), 0U);
  const auto values = record.getValues();
  ASSERT_EQ(values.size(), 5U);
  EXPECT_EQ(values[0].getText().asChars(), kj::StringPtr("p1"));
  EXPECT_EQ(values[1].getNumber(), 9.5);
  EXPECT_EQ(values[2].getSlot(), 3);
  EXPECT_EQ(values[3].getNumber(), 1.5);
  EXPECT_EQ(values[4].getElement(), 1);
  EXPECT_EQ(values[4].getNumber(), 2.0);
}

TEST(Producer, AfterALostConnectionTheUnackedIsSentAgainUnderTheSameIds) {
  Pump pump;
  ProducerOptions options = options_for(pump);
  options.batch_events = 10;
  auto producer = std::move(*Producer::open(options));
  for (int number = 0; number < 300; ++number) {
    ASSERT_EQ(producer->send(view("u" + std::to_string(number))), SendOutcome::kTaken);
    pump.turn(false);
    if (number % 50 == 30) pump.hang_up();
  }
  ASSERT_TRUE(settle(*producer, pump)) << producer->failure();
  EXPECT_EQ(producer->stats().acked, 300U);
  EXPECT_GT(producer->stats().connections, 2U);
  EXPECT_GT(producer->stats().sent_again, 0U);
  std::map<std::uint64_t, int> ids;
  for (const SinkRecord& stored : pump.harness.records) {
    const kj::ArrayPtr<const capnp::word> segments[] = {stored.segment()};
    capnp::SegmentArrayMessageReader message(segments);
    ++ids[message.getRoot<schema::EventRecord>().getIdLow()];
  }
  // Everything arrived, some of it twice, and that can be told by the ids.
  EXPECT_EQ(ids.size(), 300U);
  EXPECT_GE(pump.harness.records.size(), 300U);
  EXPECT_TRUE(pump.harness.sums_agree());
}

TEST(Producer, RejectsAreReportedWithTheEventsNumber) {
  Pump pump;
  ProducerOptions options = options_for(pump);
  std::map<std::uint64_t, std::string> rejects;
  options.on_reject = [&](const ProducerReject& reject) {
    EXPECT_TRUE(rejects.emplace(reject.number, reject.code + ' ' + reject.path).second);
  };
  auto producer = std::move(*Producer::open(options));
  for (int number = 0; number < 20; ++number) {
    ProducerEvent event = view(number == 7 ? "" : "u1");
    if (number == 11) event.user_id = std::string(100, 'u');
    if (number == 13) event.properties = {{"price", "\xff"}};
    if (number == 17) event.name = std::string(600 * 1024, 'n');
    ASSERT_EQ(producer->send(event), SendOutcome::kTaken);
  }
  ASSERT_TRUE(settle(*producer, pump)) << producer->failure();
  const std::map<std::uint64_t, std::string> expected = {{7, "missing_user "},
                                                         {11, "key_too_long userId"},
                                                         {13, "bad_utf8 properties.price"},
                                                         {17, "event_too_large "}};
  EXPECT_EQ(rejects, expected);
  EXPECT_EQ(producer->stats().rejected, 4U);
  EXPECT_EQ(producer->stats().acked, 16U);
}

TEST(Producer, WhatTheApplianceHadNoRoomForIsTriedAgain) {
  auto appliance = StreamHarness::shop();
  appliance.ring_bytes = 4096;
  appliance.full_ring_wait_us = 0;  // rejects at once
  Pump pump(appliance);
  ProducerOptions options = options_for(pump);
  options.retry_count = 1000;
  auto producer = std::move(*Producer::open(options));
  for (int number = 0; number < 500; ++number) {
    ASSERT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
  }
  ASSERT_TRUE(settle(*producer, pump)) << producer->failure();
  EXPECT_EQ(producer->stats().acked, 500U);
  EXPECT_GT(producer->stats().retried, 0U);
  EXPECT_EQ(pump.harness.records.size(), 500U);
  EXPECT_EQ(pump.harness.appliance.rejected("ring_full"), producer->stats().retried);
}

TEST(Producer, SaysWhatItsAcksMean) {
  for (const auto& [asked, durable, given] :
       {std::tuple{ProducerAck::kOfServer, true, ProducerAck::kDurable},
        std::tuple{ProducerAck::kApplied, true, ProducerAck::kApplied},
        std::tuple{ProducerAck::kDurable, false, ProducerAck::kDurable}}) {
    auto appliance = StreamHarness::shop();
    appliance.durable = durable;
    Pump pump(appliance);
    ProducerOptions options = options_for(pump);
    options.ack = asked;
    auto producer = std::move(*Producer::open(options));
    EXPECT_EQ(producer->ack_level(), ProducerAck::kOfServer);
    ASSERT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
    pump.harness.journal_keeps_up = given == ProducerAck::kDurable;
    ASSERT_TRUE(settle(*producer, pump)) << producer->failure();
    EXPECT_EQ(producer->ack_level(), given);
  }
}

TEST(Producer, AnEventThatAFullJournalRefusedIsSentAgainUntilItIsDurable) {
  auto appliance = StreamHarness::shop();
  appliance.durable = true;
  Pump pump(appliance);
  ProducerOptions options = options_for(pump);
  options.retry_count = 1'000'000;
  auto producer = std::move(*Producer::open(options));
  ASSERT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
  pump.harness.journal_keeps_up = false;
  for (int turn = 0; turn < 200'000 && pump.harness.records.empty(); ++turn) {
    producer->poll(0);
    pump.turn();
  }
  pump.harness.appliance.set_journal(JournalState::kFull);
  for (int turn = 0; turn < 2'000'000 && producer->stats().retried < 3; ++turn) {
    (void)producer->flush(0);
    pump.turn();
  }
  ASSERT_EQ(producer->stats().retried, 3U);
  EXPECT_EQ(producer->stats().acked, 0U);
  EXPECT_EQ(pump.harness.appliance.acks_refused("journal_full"), 1U);
  EXPECT_GE(pump.harness.appliance.rejected("journal_full"), 2U);
  pump.harness.appliance.set_journal(JournalState::kWriting);
  pump.harness.journal_keeps_up = true;
  ASSERT_TRUE(settle(*producer, pump)) << producer->failure();
  EXPECT_EQ(producer->stats().acked, 1U);
  EXPECT_EQ(producer->stats().rejected, 0U);
  EXPECT_EQ(pump.harness.records.size(), 2U)
      << "the second is a duplicate, which ids make harmless";
}

TEST(Producer, RetriesEnd) {
  auto appliance = StreamHarness::shop();
  appliance.ring_bytes = 4096;
  appliance.full_ring_wait_us = 0;
  Pump pump(appliance);
  ProducerOptions options = options_for(pump);
  options.retry_count = 0;
  std::uint64_t reported = 0;
  options.on_reject = [&](const ProducerReject& reject) {
    EXPECT_EQ(reject.code, "ring_full");
    ++reported;
  };
  auto producer = std::move(*Producer::open(options));
  for (int number = 0; number < 500; ++number) {
    ASSERT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
  }
  ASSERT_TRUE(settle(*producer, pump)) << producer->failure();
  EXPECT_GT(reported, 0U);
  EXPECT_EQ(producer->stats().rejected, reported);
  EXPECT_EQ(producer->stats().acked + reported, 500U);
}

TEST(Producer, AFullQueueSaysSo) {
  Pump pump;
  ProducerOptions options = options_for(pump);
  options.queue_events = 50;
  auto producer = std::move(*Producer::open(options));
  for (int number = 0; number < 50; ++number) {
    ASSERT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
  }
  EXPECT_EQ(producer->send(view("u1")), SendOutcome::kFull);
  ASSERT_TRUE(settle(*producer, pump));
  EXPECT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
}

TEST(Producer, AWrongKeyIsFinal) {
  auto appliance = StreamHarness::shop();
  appliance.write_keys = {"right"};
  Pump pump(appliance);
  ProducerOptions options = options_for(pump);
  options.write_key = "wrong";
  auto producer = std::move(*Producer::open(options));
  ASSERT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
  EXPECT_FALSE(settle(*producer, pump));
  EXPECT_TRUE(producer->failed());
  EXPECT_TRUE(producer->failure().starts_with("bad_write_key")) << producer->failure();
  EXPECT_EQ(producer->send(view("u1")), SendOutcome::kFailed);
}

TEST(Producer, AnAbsentApplianceIsTriedAgainAndNothingIsLost) {
  ProducerOptions options;
  options.address = "unix:/tmp/deja-nobody-listens-here.sock";
  options.reconnect_min_us = 100;
  options.reconnect_max_us = 200;
  auto producer = std::move(*Producer::open(options));
  ASSERT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
  EXPECT_FALSE(producer->flush(2000));
  EXPECT_FALSE(producer->failed());
  EXPECT_NE(producer->failure().find("connect to unix:"), std::string::npos);
}

TEST(Producer, GoesOnOverAnAdoptedSocketUntilThatEnds) {
  int sockets[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  auto producer = Producer::adopt(sockets[0], {});
  ASSERT_EQ(producer->send(view("u1")), SendOutcome::kTaken);
  producer->poll(0);
  std::uint8_t bytes[1000];
  EXPECT_GT(recv(sockets[1], bytes, sizeof bytes, 0), 0);
  close(sockets[1]);
  EXPECT_FALSE(producer->flush(10'000));
  EXPECT_TRUE(producer->failed());
}

TEST(ProducerAddress, IsHostAndPortOrAPath) {
  const auto good = [](const std::string& text, const std::string& host, const std::string& port) {
    const auto address = ProducerAddress::parse(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address.value().host, host);
    EXPECT_EQ(address.value().port, port);
  };
  good("127.0.0.1:7400", "127.0.0.1", "7400");
  good("shop.internal:1", "shop.internal", "1");
  good("[::1]:7400", "::1", "7400");
  good("unix:/run/deja/shop.sock", "/run/deja/shop.sock", "");
  for (const char* text : {"", ":", "host", "host:", ":7400", "host:x", "host:65536", "host:123456",
                           "::1:7400", "unix:"}) {
    EXPECT_FALSE(ProducerAddress::parse(text).ok()) << text;
  }
  EXPECT_FALSE(ProducerAddress::parse("unix:/" + std::string(200, 'x')).ok());
}

TEST(ProducerEncoder, NeverTakesMoreThanItSaid) {
  ProducerEncoder encoder;
  ProducerEvent event;
  for (int round = 0; round < 40; ++round) {
    event.properties.push_back({std::string(static_cast<std::size_t>(round), 'n'),
                                std::string(static_cast<std::size_t>(round), 't')});
    event.traits.push_back({"l", ProducerList{1, "", ProducerMembers{{"", true}}}});
    event.name += "x";
    event.message_id += "yy";
    const ProducerEvent* const events[] = {&event, &event, &event};
    const auto frame = encoder.batch(1, 2, events);
    ASSERT_FALSE(frame.empty());
    EXPECT_LE(frame.size(), 128 + 3 * encoded_bytes_max(event));
  }
}

}  // namespace
}  // namespace deja
