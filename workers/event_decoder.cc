#include "workers/event_decoder.h"

#include <cmath>

#include "shm/capnp_view.h"

namespace deja {
namespace {

// Places in the data sections, bytes; tests/workers/worker/event_decoder_test.cc holds them against
// the schema.
constexpr std::uint32_t kReceivedUs = 0;
constexpr std::uint32_t kTimeUs = 8;
constexpr std::uint32_t kIdLow = 16;
constexpr std::uint32_t kIdHigh = 24;
constexpr std::uint32_t kKinds = 32;
constexpr std::uint32_t kShard = 40;
constexpr std::uint32_t kKeyNamespace = 44;
constexpr std::uint32_t kKeyPointer = 0;
constexpr std::uint32_t kValuesPointer = 1;
constexpr std::uint32_t kNumber = 0;
constexpr std::uint32_t kSlot = 8;
constexpr std::uint32_t kElement = 10;
constexpr std::uint32_t kKind = 12;
constexpr std::uint32_t kTextPointer = 0;

bool is_time(std::int64_t time_us) {
  return time_us >= 0 && time_us <= kEventTimeMaxUs;
}

/// The value of one element of the list; absent when it is none.
Value decode_value(const capnp_view::Struct& from) {
  switch (static_cast<ValueKind>(from.get<std::uint8_t>(kKind))) {
    case ValueKind::kNull:
      return {ValueKind::kNull, 0, nullptr, 0};
    case ValueKind::kBool: {
      const auto number = from.get<double>(kNumber);
      if (number != 0 && number != 1) return {};  // not a number neither
      return {ValueKind::kBool, number, nullptr, 0};
    }
    case ValueKind::kNumber: {
      const auto number = from.get<double>(kNumber);
      return std::isfinite(number) ? Value::of(number) : Value{};
    }
    case ValueKind::kText: {
      const capnp_view::Text text = from.data(kTextPointer);
      return Value::of(text.data, text.size);
    }
    default:
      return {};
  }
}

}  // namespace

EventDecoder::EventDecoder(schema::Catalog::Reader catalog, const TableGeometry& geometry,
                           std::uint32_t worker)
    : geometry_(geometry), worker_(worker) {
  const unsigned kinds = catalog.getEvents().size();
  kinds_declared_ = kinds >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << kinds) - 1;
}

bool EventDecoder::decode(const void* bytes, std::uint32_t size, Event& event) const {
  auto message = capnp_view::Message::of_segment(bytes, size);
  const capnp_view::Struct root = message.root();
  event.received_us = root.get<std::int64_t>(kReceivedUs);
  event.time_us = root.get<std::int64_t>(kTimeUs);
  event.id_low = root.get<std::uint64_t>(kIdLow);
  event.id_high = root.get<std::uint64_t>(kIdHigh);
  event.kinds = root.get<std::uint64_t>(kKinds);
  event.shard = root.get<std::uint32_t>(kShard);
  const auto name_space = root.get<std::uint8_t>(kKeyNamespace);
  const capnp_view::Text key = root.data(kKeyPointer);
  if (message.damaged() || size % 8 != 0 || !is_time(event.received_us) ||
      !is_time(event.time_us) || event.kinds == 0 || (event.kinds & ~kinds_declared_) != 0 ||
      name_space > static_cast<std::uint8_t>(KeyNamespace::kAnonymous) || key.size == 0 ||
      key.size > geometry_.key_bytes) {
    return false;
  }
  event.key = {static_cast<KeyNamespace>(name_space), key.data, key.size};
  if (event.shard >= geometry_.shard_count || geometry_.owner_of(event.shard) != worker_ ||
      event.shard != shard_of(event.key, geometry_.shard_count)) {
    return false;
  }

  event.values.clear();
  const capnp_view::List values = root.list(kValuesPointer);
  for (std::uint32_t at = 0; at < values.size(); ++at) {
    const capnp_view::Struct from = values[at];
    const Value value = decode_value(from);
    if (value.absent() || !event.values.set(from.get<std::uint16_t>(kSlot),
                                            from.get<std::uint16_t>(kElement), value)) {
      return false;
    }
  }
  return !message.damaged();
}

bool EventDecoder::decode_identity(const void* bytes, std::uint32_t size, Event& event) const {
  auto message = capnp_view::Message::of_segment(bytes, size);
  const capnp_view::Struct root = message.root();
  event.id_low = root.get<std::uint64_t>(kIdLow);
  event.id_high = root.get<std::uint64_t>(kIdHigh);
  const auto name_space = root.get<std::uint8_t>(kKeyNamespace);
  const capnp_view::Text key = root.data(kKeyPointer);
  event.key = {static_cast<KeyNamespace>(name_space), key.data, key.size};
  return name_space <= static_cast<std::uint8_t>(KeyNamespace::kAnonymous) && key.size != 0 &&
         key.size <= geometry_.key_bytes;
}

}  // namespace deja
