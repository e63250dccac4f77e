// The shop that the throughput benchmarks serve, which is deja bench's, and the events that feed
// it. Of a hundred events 85 are views, 10 carts, 5 orders.
#pragma once

#include <cstdint>
#include <string>

#include "tools/bench/bench_config.h"

namespace deja::bench {

/// What the event with this number, of this user, is about: a user keeps to six categories.
struct ShopEvent {
  enum class Kind : std::uint8_t { kView, kCart, kOrder };
  ShopEvent(std::uint64_t number, std::uint64_t user)
      : kind(number % 20 == 19  ? Kind::kOrder
             : number % 10 == 4 ? Kind::kCart
                                : Kind::kView),
        item("product-" + std::to_string(10'000 + number * 31 % 50'000)),
        category("category-" + std::to_string(10 + (user * 13 + number % 6) % 40)),
        price(5 + static_cast<double>(number * 13 % 200)) {}

  Kind kind;
  std::string item;
  std::string category;
  double price;
};

}  // namespace deja::bench
