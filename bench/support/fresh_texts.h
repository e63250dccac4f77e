// What makes prebuilt messages new ones: before a message is sent, its users and ids of its own for
// its events are written over the digits that were left for them. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/servers.h"
#include "bench/support/users.h"

namespace deja::bench {

/// Texts that a load writes into its messages ahead of sending: who comes, and under which id.
class FreshTexts {
 public:
  static constexpr std::size_t kUserDigits = 7;
  static constexpr std::size_t kIdDigits = 8;
  static constexpr std::string_view kAnyUser = "user-9999999";
  // As long as the ids of deja::Producer; the digits of the event's number follow.
  static constexpr std::string_view kIdStart = "0f1e2d3c4b5a69788796a5b4-";

  /// `next_user` says who comes, by number, `drawn` times; then it goes round. The ids' numbers
  /// begin at `first_id`.
  template <typename NextUser>
  FreshTexts(std::size_t drawn, std::uint64_t first_id, NextUser next_user) : next_id_(first_id) {
    digits_.reserve(drawn * kUserDigits);
    for (std::size_t at = 0; at < drawn; ++at) digits_ += user_name(next_user()).substr(5);
    for (unsigned byte = 0; byte < 256; ++byte) {
      std::snprintf(hex_[byte], sizeof hex_[byte], "%02x", byte);
    }
  }
  /// The digits of whoever comes next.
  void put_user(char* into) {
    std::memcpy(into, digits_.data() + next_user_, kUserDigits);
    next_user_ += kUserDigits;
    if (next_user_ == digits_.size()) next_user_ = 0;
  }
  /// The digits of an id that no event had before.
  void put_id(char* into) {
    const std::uint64_t number = next_id_++;
    for (unsigned pair = 0; pair < kIdDigits / 2; ++pair) {
      std::memcpy(into + std::size_t{2} * pair, hex_[number >> (24 - 8 * pair) & 0xffU], 2);
    }
  }
  [[nodiscard]] static std::string any_id() {
    return std::string(kIdStart) + std::string(kIdDigits, '0');
  }

 private:
  std::string digits_;
  std::size_t next_user_ = 0;
  std::uint64_t next_id_;
  char hex_[256][3];
};

/// Where in a prebuilt message an event's user and id are.
struct FreshPlaces {
  std::size_t user = 0;
  std::size_t id = 0;
};

/// All of them, in the order of the events.
[[nodiscard]] inline std::vector<FreshPlaces> fresh_places(std::string_view message,
                                                           std::size_t events) {
  std::vector<FreshPlaces> places;
  std::size_t user = 0;
  std::size_t id = 0;
  for (std::size_t event = 0; event < events; ++event) {
    user = message.find(FreshTexts::kAnyUser, user);
    id = message.find(FreshTexts::kIdStart, id);
    if (user == message.npos || id == message.npos) give_up("a message lacks an event");
    user += FreshTexts::kAnyUser.size();
    id += FreshTexts::kIdStart.size();
    places.push_back({user - FreshTexts::kUserDigits, id});
  }
  return places;
}

}  // namespace deja::bench
