#include "ingest/producer_encoder.h"

#include <capnp/message.h>

namespace deja {
namespace {

using MembersBuilder = capnp::List<stream_schema::Member>::Builder;

// 4 words of a struct, and a tag word for each list.
constexpr std::size_t kMemberBytes = 32;
constexpr std::size_t kListBytes = 8;
constexpr std::size_t kEventBytes = 9 * 8;

std::size_t text_bytes(const std::string& text) {
  return text.empty() ? 0 : (text.size() + 8) / 8 * 8;
}

std::size_t value_bytes(const ProducerValue& value);

std::size_t members_bytes(const ProducerMembers& members) {
  std::size_t bytes = kListBytes;
  for (const ProducerMember& member : members) {
    bytes += kMemberBytes + text_bytes(member.name) + value_bytes(member.value);
  }
  return bytes;
}

std::size_t value_bytes(const ProducerValue& value) {
  if (const auto* text = std::get_if<std::string>(&value.content())) return 8 + text_bytes(*text);
  if (const auto* list = std::get_if<ProducerList>(&value.content())) {
    std::size_t bytes = kListBytes;
    for (const ProducerValue& element : *list) bytes += kMemberBytes + value_bytes(element);
    return bytes;
  }
  if (const auto* object = std::get_if<ProducerValue::Object>(&value.content())) {
    return members_bytes(**object);
  }
  return 0;
}

void set_text(capnp::Text::Builder into, const std::string& text) {
  if (!text.empty()) std::memcpy(into.begin(), text.data(), text.size());
}

void fill_members(MembersBuilder into, const ProducerMembers& members);

void fill_value(stream_schema::Member::Builder into, const ProducerValue& value) {
  if (const auto* boolean = std::get_if<bool>(&value.content())) {
    into.setBoolean(*boolean);
  } else if (const auto* number = std::get_if<double>(&value.content())) {
    into.setNumber(*number);
  } else if (const auto* text = std::get_if<std::string>(&value.content())) {
    set_text(into.initText(static_cast<unsigned>(text->size())), *text);
  } else if (const auto* list = std::get_if<ProducerList>(&value.content())) {
    MembersBuilder elements = into.initList(static_cast<unsigned>(list->size()));
    for (unsigned at = 0; at < elements.size(); ++at) fill_value(elements[at], (*list)[at]);
  } else if (const auto* object = std::get_if<ProducerValue::Object>(&value.content())) {
    fill_members(into.initObject(static_cast<unsigned>((*object)->size())), **object);
  } else {
    into.setNull();
  }
}

void fill_members(MembersBuilder into, const ProducerMembers& members) {
  for (unsigned at = 0; at < into.size(); ++at) {
    const ProducerMember& member = members[at];
    if (!member.name.empty()) {
      set_text(into[at].initName(static_cast<unsigned>(member.name.size())), member.name);
    }
    fill_value(into[at], member.value);
  }
}

void fill_event(stream_schema::Event::Builder into, const ProducerEvent& event) {
  const auto size = [](const auto& what) { return static_cast<unsigned>(what.size()); };
  into.setCall(static_cast<stream_schema::Call>(event.call));
  into.setTimestampUs(event.timestamp_us);
  if (!event.name.empty()) set_text(into.initName(size(event.name)), event.name);
  if (!event.user_id.empty()) set_text(into.initUserId(size(event.user_id)), event.user_id);
  if (!event.anonymous_id.empty()) {
    set_text(into.initAnonymousId(size(event.anonymous_id)), event.anonymous_id);
  }
  if (!event.message_id.empty()) {
    set_text(into.initMessageId(size(event.message_id)), event.message_id);
  }
  if (!event.properties.empty()) {
    fill_members(into.initProperties(size(event.properties)), event.properties);
  }
  if (!event.traits.empty()) fill_members(into.initTraits(size(event.traits)), event.traits);
  if (!event.context.empty()) fill_members(into.initContext(size(event.context)), event.context);
}

}  // namespace

std::size_t encoded_bytes_max(const ProducerEvent& event) {
  return kEventBytes + text_bytes(event.name) + text_bytes(event.user_id) +
         text_bytes(event.anonymous_id) + text_bytes(event.message_id) +
         members_bytes(event.properties) + members_bytes(event.traits) +
         members_bytes(event.context);
}

ProducerEncoder::ProducerEncoder()
    : scratch_(kFrameBytesMax / 8 - 1), frame_(kFrameHeaderBytes + std::size_t{kFrameBytesMax}) {}

template <typename Fill>
std::span<const std::uint8_t> ProducerEncoder::build(Fill fill) {
  // Built in the scratch, which the builder leaves zeroed behind itself.
  capnp::MallocMessageBuilder message(
      kj::ArrayPtr<capnp::word>(reinterpret_cast<capnp::word*>(scratch_.data()), scratch_.size()));
  fill(message.initRoot<stream_schema::StreamMessage>());
  const auto segments = message.getSegmentsForOutput();
  if (segments.size() != 1) return {};
  const std::size_t words = segments[0].size();
  const auto start = frame_start(words);
  std::memcpy(frame_.data(), start.data(), sizeof start);
  std::memcpy(frame_.data() + sizeof start, segments[0].begin(), words * 8);
  return {frame_.data(), sizeof start + words * 8};
}

std::span<const std::uint8_t> ProducerEncoder::hello(const ProducerOptions& options) {
  return build([&](stream_schema::StreamMessage::Builder message) {
    auto hello = message.initHello();
    hello.setVersion(kStreamVersion);
    hello.setAckLevel(static_cast<stream_schema::AckLevel>(options.ack));
    hello.setWriteKey(options.write_key);
    hello.setClientName(options.client_name);
  });
}

std::span<const std::uint8_t> ProducerEncoder::batch(std::uint64_t sequence,
                                                     std::int64_t sent_at_us,
                                                     std::span<const ProducerEvent* const> events) {
  return build([&](stream_schema::StreamMessage::Builder message) {
    auto batch = message.initBatch();
    batch.setSequence(sequence);
    batch.setSentAtUs(sent_at_us);
    auto list = batch.initEvents(static_cast<unsigned>(events.size()));
    for (unsigned at = 0; at < list.size(); ++at) fill_event(list[at], *events[at]);
  });
}

}  // namespace deja
