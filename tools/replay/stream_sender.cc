// Events through deja::Producer, which batches, reconnects and resends by itself.
#include "ingest/producer.h"
#include "tools/replay/sender.h"
#include "tools/replay/stream_event.h"

namespace deja {
namespace {

constexpr std::int64_t kStallUs = 60'000'000;

ProducerMembers members_of(const Datum& object);

ProducerValue value_of(const Datum& datum) {
  switch (datum.kind) {
    case Datum::Kind::kAbsent:
    case Datum::Kind::kNull:
      return {};
    case Datum::Kind::kBool:
      return datum.truth;
    case Datum::Kind::kNumber:
      return datum.number;
    case Datum::Kind::kText:
      return datum.text;
    case Datum::Kind::kObject:
      return members_of(datum);
    case Datum::Kind::kArray: {
      ProducerList list;
      for (const Datum& element : datum.elements) list.push_back(value_of(element));
      return list;
    }
  }
  return {};
}

ProducerMembers members_of(const Datum& object) {
  ProducerMembers members;
  for (const auto& [name, member] : object.members) members.push_back({name, value_of(member)});
  return members;
}

class StreamSender final : public Sender {
 public:
  Status open(const std::string& address, const std::string& write_key) {
    ProducerOptions options;
    options.address = address;
    options.write_key = write_key;
    options.client_name = "deja replay";
    options.correct_clock = false;  // the rows' times are what is replayed
    options.on_reject = [this](const ProducerReject& reject) { ++counts_.by_code[reject.code]; };
    auto producer = Producer::open(std::move(options));
    if (!producer.ok()) return producer.error();
    producer_ = std::move(producer.value());
    return Done{};
  }

  Status send(const ReplayEvent& event) override {
    ProducerEvent made = producer_event(event);
    for (;;) {
      const SendOutcome outcome = producer_->send(made);
      if (outcome == SendOutcome::kTaken) break;
      if (outcome == SendOutcome::kFailed) return failure();
      const std::uint64_t acked = producer_->stats().acked + producer_->stats().rejected;
      producer_->poll(100'000);
      stalled_us_ = acked == producer_->stats().acked + producer_->stats().rejected
                        ? stalled_us_ + 100'000
                        : 0;
      if (stalled_us_ > kStallUs) return failure();
    }
    stalled_us_ = 0;
    refresh();
    return Done{};
  }

  Status push() override {
    producer_->poll(0);
    refresh();
    return producer_->failed() ? failure() : Done{};
  }

  Status finish() override {
    const bool flushed = producer_->flush(kStallUs);
    refresh();
    return flushed ? Status(Done{}) : failure();
  }

  const SendCounts& counts() const override { return counts_; }

 private:
  [[nodiscard]] Status failure() const {
    const std::string& why = producer_->failure();
    return Error{"the stream: " + (why.empty() ? std::string("no answer for a minute") : why), 0,
                 "Is --to an address of [listen] stream, and the appliance serving? See deja stat"};
  }
  void refresh() {
    const ProducerStats& stats = producer_->stats();
    counts_.sent = stats.taken;
    counts_.acked = stats.acked;
    counts_.rejected = stats.rejected;
    counts_.resent = stats.sent_again + stats.retried;
    if (producer_->ack_level() == ProducerAck::kApplied) counts_.ack_level = "applied";
    if (producer_->ack_level() == ProducerAck::kDurable) counts_.ack_level = "durable";
  }

  std::unique_ptr<Producer> producer_;
  SendCounts counts_;
  std::int64_t stalled_us_ = 0;
};

CallType call_of(const std::string& type) {
  if (type == "page") return CallType::kPage;
  if (type == "screen") return CallType::kScreen;
  if (type == "group") return CallType::kGroup;
  if (type == "identify") return CallType::kIdentify;
  return CallType::kTrack;
}

}  // namespace

ProducerEvent producer_event(const ReplayEvent& event) {
  ProducerEvent made;
  made.call = call_of(event.type);
  made.name = event.name;
  made.user_id = event.user;
  made.anonymous_id = event.anonymous;
  made.message_id = event.id;
  made.timestamp_us = event.time_us;
  made.properties = members_of(event.properties);
  made.traits = members_of(event.traits);
  made.context = members_of(event.context);
  return made;
}

Result<std::unique_ptr<Sender>> make_stream_sender(const std::string& address,
                                                   const std::string& write_key) {
  auto sender = std::make_unique<StreamSender>();
  if (Status opened = sender->open(address, write_key); !opened.ok()) return opened.error();
  return std::unique_ptr<Sender>(std::move(sender));
}

}  // namespace deja
