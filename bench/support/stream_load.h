// A client of the stream that costs next to nothing: frames of the shop's events are encoded ahead
// of time; before each is sent, its sequence, its users and ids of its own for its events are
// written into it, and what comes back is read no further than to see that all was taken. What the
// server does is the same as for deja::Producer. One thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/client_socket.h"
#include "bench/support/fresh_texts.h"
#include "bench/support/servers.h"
#include "bench/support/shop.h"
#include "bench/support/users.h"
#include "ingest/producer_encoder.h"
#include "ingest/stream_frame.h"
#include "shm/capnp_view.h"

namespace deja::bench {

/// Event `number` of the shop as a producer has it.
[[nodiscard]] inline ProducerEvent shop_event(std::uint64_t number, std::uint64_t user,
                                              std::string id) {
  const ShopEvent about(number, user);
  ProducerEvent event;
  event.user_id = user_name(user);
  event.message_id = std::move(id);
  if (about.kind == ShopEvent::Kind::kOrder) {
    event.name = "Order Completed";
    event.properties = {{"revenue", about.price}};
  } else {
    event.name = about.kind == ShopEvent::Kind::kCart ? "Product Added" : "Product Viewed";
    event.properties = {
        {"product_id", about.item}, {"category", about.category}, {"price", about.price}};
  }
  return event;
}

class StreamLoad {
 public:
  StreamLoad(const std::string& socket, ProducerAck ack, std::uint32_t batch_events,
             FreshTexts& texts)
      : texts_(texts), batch_events_(batch_events), socket_(socket) {
    ProducerEncoder encoder;
    ProducerOptions options;
    options.ack = ack;
    const auto hello = encoder.hello(options);
    socket_.send({reinterpret_cast<const char*>(hello.data()), hello.size()});
    while (credit_events_ == 0) read_some();
    for (std::uint64_t first = 0; frames_.size() < kFrames; first += batch_events) {
      std::vector<ProducerEvent> events;
      while (events.size() < batch_events) {
        events.push_back(
            shop_event(first + events.size(), FreshTexts::kAnyUser, FreshTexts::any_id()));
      }
      std::vector<const ProducerEvent*> pointers;
      for (const ProducerEvent& event : events) pointers.push_back(&event);
      const auto bytes = encoder.batch(kAnySequence, 0, pointers);
      PreparedFrame frame;
      frame.bytes.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      frame.events = FreshTexts::places(frame.bytes, first, batch_events);
      frame.sequence = frame.bytes.find(
          std::string_view(reinterpret_cast<const char*>(&kAnySequence), sizeof kAnySequence));
      if (frame.sequence == std::string::npos) give_up("a frame lacks its sequence");
      frames_.push_back(std::move(frame));
    }
  }

  /// Sends about so many events, as fast as they are taken, and waits for the last ack. Returns how
  /// many there were.
  std::uint64_t run(std::uint64_t events) {
    std::uint64_t sent = 0;
    for (; sent < events; sent += batch_events_) {
      while ((sent_batches_ - acked_batches_ + 1) * batch_events_ > credit_events_) read_some();
      PreparedFrame& frame = frames_[sent_batches_ % kFrames];
      for (const FreshPlaces& places : frame.events) {
        texts_.put(frame.bytes.data(), places);
      }
      ++sent_batches_;
      std::memcpy(frame.bytes.data() + frame.sequence, &sent_batches_, sizeof sent_batches_);
      socket_.send(frame.bytes);
    }
    while (acked_batches_ != sent_batches_) read_some();
    return sent;
  }
  [[nodiscard]] std::size_t event_bytes() const { return frames_[0].bytes.size() / batch_events_; }

 private:
  static constexpr std::size_t kFrames = 16;
  static constexpr std::uint64_t kAnySequence = 0x7365'7175'656e'6365;
  enum MessageTag : std::uint16_t { kHelloReply = 2, kAck = 4 };

  struct PreparedFrame {
    std::string bytes;
    std::size_t sequence = 0;
    std::vector<FreshPlaces> events;
  };

  /// Waits until something is there; credits and acks.
  void read_some() {
    held_ += socket_.receive(reinterpret_cast<char*>(received_) + held_, sizeof received_ - held_);
    std::size_t used = 0;
    for (;;) {
      const Frame frame = first_frame({received_ + used, held_ - used});
      if (frame.state == FrameState::kBad) give_up("the appliance sent what is no frame");
      if (frame.state == FrameState::kPartial) break;
      take(frame);
      used += frame.bytes;
    }
    held_ -= used;
    std::memmove(received_, received_ + used, held_);
  }
  void take(const Frame& frame) {
    auto message = capnp_view::Message::of_message(frame.message.data(), frame.message.size());
    const capnp_view::Struct root = message.root();
    const auto tag = root.get<std::uint16_t>(0);
    const capnp_view::Struct body = root.structure(0);
    if (tag == kHelloReply) {
      credit_events_ = body.get<std::uint32_t>(4);
    } else if (tag == kAck && body.get<std::uint64_t>(0) == acked_batches_ + 1 &&
               body.list(1).size() == 0) {
      ++acked_batches_;
    } else {
      give_up("the appliance did not take every event");
    }
  }

  FreshTexts& texts_;
  const std::uint32_t batch_events_;
  ClientSocket socket_;
  std::vector<PreparedFrame> frames_;
  std::uint64_t credit_events_ = 0;
  std::uint64_t sent_batches_ = 0;  // their sequences, from 1
  std::uint64_t acked_batches_ = 0;
  std::uint8_t received_[64 * 1024];
  std::size_t held_ = 0;
};

}  // namespace deja::bench
