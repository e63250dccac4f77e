// An event record built with the Cap'n Proto library, so that it shares no code with the builder in
// ingest or the decoder in workers. Test code; header only.
#pragma once

#include <capnp/message.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "ring/event_record.capnp.h"
#include "shm/key.h"
#include "shm/value.h"

namespace deja {

struct TestEvent {
  struct TestValue {
    std::uint16_t slot = 0;
    std::uint16_t element = 0;
    ValueKind kind = ValueKind::kNumber;
    double number = 0;
    std::string text = {};
  };
  std::string key;
  std::uint64_t kinds = 1;
  std::vector<TestValue> values = {};
  std::uint64_t id_low = 0;
  std::uint64_t id_high = 0;
  std::int64_t time_us = 1'700'000'000'000'000;
  std::int64_t received_us = 1'700'000'000'000'000;
  KeyNamespace name_space = KeyNamespace::kUser;

  [[nodiscard]] Key as_key() const {
    return {name_space, key.data(), static_cast<std::uint32_t>(key.size())};
  }

  void fill(schema::EventRecord::Builder record, std::uint32_t shard_count) const {
    record.setReceivedUs(received_us);
    record.setTimeUs(time_us);
    record.setIdLow(id_low);
    record.setIdHigh(id_high);
    record.setKinds(kinds);
    record.setShard(shard_of(as_key(), shard_count));
    record.setKeyNamespace(static_cast<std::uint8_t>(name_space));
    record.setKey(capnp::Data::Reader(reinterpret_cast<const kj::byte*>(key.data()), key.size()));
    auto list = record.initValues(static_cast<unsigned>(values.size()));
    for (unsigned at = 0; at < list.size(); ++at) {
      list[at].setSlot(values[at].slot);
      list[at].setElement(values[at].element);
      list[at].setKind(static_cast<std::uint8_t>(values[at].kind));
      list[at].setNumber(values[at].number);
      if (values[at].kind == ValueKind::kText) {
        list[at].setText(capnp::Data::Reader(
            reinterpret_cast<const kj::byte*>(values[at].text.data()), values[at].text.size()));
      }
    }
  }

  /// The record's words as they lie in a ring.
  [[nodiscard]] std::vector<std::uint8_t> bytes(std::uint32_t shard_count) const {
    capnp::MallocMessageBuilder message(64 * 1024);
    fill(message.initRoot<schema::EventRecord>(), shard_count);
    const auto words = message.getSegmentsForOutput()[0].asBytes();
    return {words.begin(), words.end()};
  }
};

}  // namespace deja
