// Random events for the features' tests, and what feeds them to columns.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "shm/columns/column_size.h"
#include "shm/columns/finish.h"
#include "tests/workers/features/plain_reference.h"
#include "workers/features/column_apply.h"

namespace deja::features {

/// Random numbers from DEJA_SEED, or from a fixed seed; the failing test says which.
class Random {
 public:
  Random() {
    const char* given = std::getenv("DEJA_SEED");
    seed_ = given == nullptr ? 20261120 : std::strtoull(given, nullptr, 10);
    engine_.seed(seed_);
  }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  [[nodiscard]] bool one_in(std::int64_t count) { return between(1, count) == 1; }
  template <typename T>
  void shuffle(std::vector<T>& list) {
    std::shuffle(list.begin(), list.end(), engine_);
  }

 private:
  std::uint64_t seed_ = 0;
  std::mt19937_64 engine_;
};

inline Value value_of(const reference::Sent& sent) {
  Value value;
  switch (sent.kind) {
    case 'n':
      return Value::of(sent.number);
    case 't':
      return Value::of(sent.text.data(), static_cast<std::uint32_t>(sent.text.size()));
    case 'b':
      value.kind = ValueKind::kBool;
      value.number = sent.number;
      return value;
    case '0':
      value.kind = ValueKind::kNull;
      return value;
    default:
      return value;
  }
}

/// One column, as a new profile has it.
class Column {
 public:
  explicit Column(const FeatureSpec& spec) : spec_(spec), words_(column_bytes(spec) / 8) {}

  Applied apply(const reference::Sent& sent) {
    const Value value = value_of(sent);
    return apply_column(spec_, bytes(), {sent.time, &value, sent.weight});
  }
  void apply_all(const std::vector<reference::Sent>& events) {
    for (const reference::Sent& event : events) (void)apply(event);
  }
  void merge(const Column& other) { merge_column(spec_, bytes(), other.bytes()); }

  [[nodiscard]] std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(words_.data()); }
  [[nodiscard]] const std::uint8_t* bytes() const {
    return reinterpret_cast<const std::uint8_t*>(words_.data());
  }

 private:
  FeatureSpec spec_;
  std::vector<std::uint64_t> words_;
};

/// What the times and values of a round are drawn from.
struct Draw {
  std::int64_t middle = 0;     ///< times lie around this
  std::int64_t spread = 1000;  ///< by at most this
  std::int64_t step = 1;       ///< times are multiples of it: > 1 makes equal times likely
  std::int64_t items = 10;     ///< different items
  bool weights = false;
};

/// Any kind of value at any time; about one in ten is far in the past or future.
inline reference::Sent random_event(Random& random, const Draw& draw) {
  static const std::string kLetters[] = {"a", "b", "é", "€", "😀"};
  reference::Sent sent;
  sent.time = draw.middle + random.between(-draw.spread, draw.spread) / draw.step * draw.step;
  if (random.one_in(20)) sent.time += random.between(-5, 5) * draw.spread;
  const std::int64_t kind = random.between(0, 19);
  const std::int64_t item = random.between(0, draw.items - 1);
  if (kind == 0) {
    sent.kind = '-';
  } else if (kind == 1) {
    sent.kind = '0';
  } else if (kind == 2) {
    sent.kind = 'b';
    sent.number = random.one_in(2) ? 1 : 0;
  } else if (kind < 11) {
    sent.kind = 'n';
    sent.number = static_cast<double>(item) / 4 - 2;
    if (sent.number == 0 && random.one_in(2)) sent.number = -0.0;
  } else {
    sent.kind = 't';
    for (std::int64_t length = item; length >= 0; --length) {
      sent.text += kLetters[static_cast<std::size_t>((item + length) % 5)];
    }
  }
  if (draw.weights) sent.weight = static_cast<double>(random.between(1, 4));
  return sent;
}

/// The columns that must all say the same: as drawn, shuffled, newest first, oldest
/// first, and merged from parts.
inline std::vector<Column> all_ways(Random& random, const FeatureSpec& spec,
                                    std::vector<reference::Sent> events) {
  std::vector<Column> columns;
  columns.emplace_back(spec).apply_all(events);
  random.shuffle(events);
  columns.emplace_back(spec).apply_all(events);
  std::sort(events.begin(), events.end(),
            [](const auto& a, const auto& b) { return a.time > b.time; });
  columns.emplace_back(spec).apply_all(events);
  std::reverse(events.begin(), events.end());
  columns.emplace_back(spec).apply_all(events);
  random.shuffle(events);
  std::vector<Column> parts(3, Column(spec));
  std::vector<reference::Sent> afterwards;
  for (const reference::Sent& event : events) {
    const auto part = static_cast<std::size_t>(random.between(0, 3));
    if (part < 3) {
      (void)parts[part].apply(event);
    } else {
      afterwards.push_back(event);
    }
  }
  Column left = parts[0];
  left.merge(parts[1]);
  left.merge(parts[2]);
  left.apply_all(afterwards);
  columns.push_back(left);
  Column right = parts[2];
  right.apply_all(afterwards);
  right.merge(parts[1]);
  right.merge(parts[0]);
  columns.push_back(right);
  Column fresh(spec);
  fresh.merge(right);
  columns.push_back(fresh);
  right.merge(Column(spec));
  columns.push_back(right);
  return columns;
}

/// Instants to read at: about the newest event, and earlier and later ones.
inline std::vector<std::int64_t> read_times(Random& random,
                                            const std::vector<reference::Sent>& events,
                                            std::int64_t spread) {
  std::int64_t newest = events.empty() ? 0 : events.front().time;
  for (const reference::Sent& event : events) newest = std::max(newest, event.time);
  std::vector<std::int64_t> times = {newest};
  for (int count = 0; count < 5; ++count) {
    times.push_back(newest + random.between(-spread, 2 * spread));
  }
  return times;
}

}  // namespace deja::features
