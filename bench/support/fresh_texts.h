// What makes prebuilt messages new ones: before a message is sent, its users, what they care for,
// and ids of its own for its events are written over the digits that were left for them. One
// thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/servers.h"
#include "bench/support/shop.h"
#include "bench/support/users.h"

namespace deja::bench {

/// Where in a prebuilt message the digits of an event are.
struct FreshPlaces {
  std::size_t user = 0;
  std::size_t id = 0;
  std::size_t category = 0;  ///< 0: it has none
  std::uint64_t number = 0;  ///< the event's
};

class FreshTexts {
 public:
  // As long as the ids of deja::Producer; the digits of an event's number follow.
  static constexpr std::string_view kIdStart = "0f1e2d3c4b5a69788796a5b4-";
  static constexpr std::uint64_t kAnyUser = 9'999'999;

  /// `next_user` says who comes, by number, `drawn` times; then it goes round. The ids' numbers
  /// begin at `first_id`.
  template <typename NextUser>
  FreshTexts(std::size_t drawn, std::uint64_t first_id, NextUser next_user) : next_id_(first_id) {
    visits_.resize(drawn);
    for (Visit& visit : visits_) {
      const std::uint64_t user = next_user();
      std::memcpy(visit.digits, user_name(user).data() + kUserStart.size(), sizeof visit.digits);
      visit.favourite = static_cast<std::uint8_t>(shop_category(0, user));
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
      std::snprintf(hex_[byte], sizeof hex_[byte], "%02x", byte);
    }
  }

  /// Makes the event at `places` one that never was, by whoever comes next.
  void put(char* message, const FreshPlaces& places) {
    const Visit& visit = visits_[next_visit_];
    if (++next_visit_ == visits_.size()) next_visit_ = 0;
    std::memcpy(message + places.user, visit.digits, sizeof visit.digits);
    if (places.category != 0) {
      const unsigned category = kFirstCategory + (visit.favourite - kFirstCategory +
                                                  static_cast<unsigned>(places.number % 6)) %
                                                     kCategories;
      message[places.category] = static_cast<char>('0' + category / 10);
      message[places.category + 1] = static_cast<char>('0' + category % 10);
    }
    const std::uint64_t number = next_id_++;
    for (unsigned pair = 0; pair < kIdDigits / 2; ++pair) {
      std::memcpy(message + places.id + std::size_t{2} * pair,
                  hex_[number >> (24 - 8 * pair) & 0xffU], 2);
    }
  }

  [[nodiscard]] static std::string any_id() {
    return std::string(kIdStart) + std::string(kIdDigits, '0');
  }
  /// The places of events `first` … in a message that was built with kAnyUser and any_id().
  [[nodiscard]] static std::vector<FreshPlaces> places(std::string_view message,
                                                       std::uint64_t first, std::size_t events) {
    std::vector<FreshPlaces> found;
    const std::string any_user = user_name(kAnyUser);
    FreshPlaces at;
    std::size_t category = 0;
    for (at.number = first; at.number < first + events; ++at.number) {
      at.user = behind(message, any_user, at.user) - sizeof Visit::digits;
      at.id = behind(message, kIdStart, at.id);
      at.category = 0;
      if (ShopEvent(at.number, 0).kind != ShopEvent::Kind::kOrder) {
        at.category = category = behind(message, kCategoryStart, category);
      }
      found.push_back(at);
      at.user += sizeof Visit::digits;
    }
    return found;
  }

 private:
  static constexpr std::string_view kUserStart = "user-";
  static constexpr std::string_view kCategoryStart = "category-";
  static constexpr std::size_t kIdDigits = 8;
  static constexpr unsigned kFirstCategory = 10;
  static constexpr unsigned kCategories = 40;

  struct Visit {
    char digits[7];
    std::uint8_t favourite;
  };

  static unsigned shop_category(std::uint64_t number, std::uint64_t user) {
    return static_cast<unsigned>(
        std::stoul(ShopEvent(number, user).category.substr(kCategoryStart.size())));
  }
  static std::size_t behind(std::string_view message, std::string_view text, std::size_t from) {
    const std::size_t at = message.find(text, from);
    if (at == message.npos) give_up("a message lacks an event");
    return at + text.size();
  }

  std::vector<Visit> visits_;
  std::size_t next_visit_ = 0;
  std::uint64_t next_id_;
  char hex_[256][3];
};

}  // namespace deja::bench
