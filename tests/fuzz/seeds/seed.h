// A seed that is no text, put together; and the events that several kinds of them are made of. Test
// code; one thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/test_event.h"

namespace deja::fuzz {

class Seed {
 public:
  template <typename T>
  requires std::is_arithmetic_v<T> Seed& put(T value) {
    const auto* from = reinterpret_cast<const char*>(&value);
    bytes_.append(from, sizeof value);
    return *this;
  }
  Seed& put(std::span<const std::uint8_t> bytes) {
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return *this;
  }
  Seed& text(std::string_view text) {
    bytes_.append(text);
    return *this;
  }
  void write(const std::string& path) const {
    std::ofstream(path, std::ios::binary) << bytes_;
    std::printf("%s: %zu bytes\n", path.c_str(), bytes_.size());
  }

 private:
  std::string bytes_;
};

inline TestEvent view(const std::string& user) {
  TestEvent event{user};
  event.id_low = 5;
  event.values = {{0, 0, ValueKind::kText, 0, "85123A"},
                  {1, 0, ValueKind::kText, 0, "lanterns"},
                  {2, 0, ValueKind::kNumber, 2.55}};
  return event;
}

inline TestEvent order(const std::string& user) {
  TestEvent event{user};
  event.kinds = 2;
  event.id_high = 6;
  event.name_space = KeyNamespace::kAnonymous;
  event.values = {{3, 0, ValueKind::kText, 0, "71053"},
                  {4, 0, ValueKind::kNumber, 3.39},
                  {3, 1, ValueKind::kText, 0, "84406B"},
                  {4, 1, ValueKind::kNumber, 2.75},
                  {5, 0, ValueKind::kNumber, 20.34}};
  return event;
}

inline TestEvent identify(const std::string& user) {
  TestEvent event{user};
  event.kinds = 7;
  event.values = {
      {6, 0, ValueKind::kText, 0, "pro"}, {2, 0, ValueKind::kNull}, {0, 0, ValueKind::kBool, 1}};
  return event;
}

/// Each writes the seeds of some fuzzers into their folders of `corpus`.
void write_stream_seeds(const std::string& corpus);
void write_ring_seeds(const std::string& corpus);
void write_profile_seeds(const std::string& corpus);
void write_file_seeds(const std::string& corpus);

}  // namespace deja::fuzz
