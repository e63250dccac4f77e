// The shop that the throughput benchmarks serve: 20 features of all types as a shop would have
// them, and the events that feed them. Of a hundred events 85 are views, 10 carts, 5 orders.
#pragma once

#include <cstdint>
#include <string>

namespace deja::bench {

inline constexpr const char* kShopEvents = R"(
[events]
view  = { track = "Product Viewed", item = "properties.product_id", category = "properties.category", price = "properties.price" }
cart  = { track = "Product Added", item = "properties.product_id", category = "properties.category", price = "properties.price" }
order = { track = "Order Completed", value = "properties.revenue" }
)";

inline constexpr const char* kShopFeatures = R"(
[features]
views      = { type = "count", event = "view" }
views_1h   = { type = "count", event = "view", window = "1h" }
views_1d   = { type = "count", event = "view", window = "1d" }
carts      = { type = "count", event = "cart" }
carts_1d   = { type = "count", event = "cart", window = "1d" }
orders     = { type = "count", event = "order" }
orders_30d = { type = "count", event = "order", window = "30d" }
dear_views = { type = "count", event = "view", where = "price > 100" }
spend      = { type = "sum", event = "order", of = "value" }
spend_30d  = { type = "sum", event = "order", of = "value", window = "30d" }
price_min  = { type = "min", event = "view", of = "price" }
price_max  = { type = "max", event = "view", of = "price" }
price_mean = { type = "mean", event = "view", of = "price" }
last_price = { type = "last", event = "view", of = "price" }
last_item  = { type = "last", event = "view", of = "item", bytes = 16 }
first_item = { type = "first", event = "view", of = "item", bytes = 16 }
recent     = { type = "recent", event = "view", of = "item", keep = 8, bytes = 16 }
taste      = { type = "top", event = ["view", "cart"], of = "category", half_life = "3d", keep = 4, track = 8, bytes = 16, weights = { view = 1, cart = 4 } }
last_cart  = { type = "last", event = "cart", of = "item", bytes = 16 }
session    = { type = "session", gap = "30m" }
)";

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
