// The appliance that deja bench measures on: one worker, one ring, 20 features of all kinds as a
// shop would have them. Of a hundred events 85 are views, 10 carts, 5 orders. The benchmarks beside
// peers serve the same shop (bench/support/shop.h).
#pragma once

namespace deja {

inline constexpr const char* kBenchHost = R"(
shards = 16
huge_pages = "try"
[cpu]
ingest = 1
workers = 1
[listen]
http = ""
)";

inline constexpr const char* kBenchEvents = R"(
[events]
view  = { track = "Product Viewed", item = "properties.product_id", category = "properties.category", price = "properties.price" }
cart  = { track = "Product Added", item = "properties.product_id", category = "properties.category", price = "properties.price" }
order = { track = "Order Completed", value = "properties.revenue" }
)";

inline constexpr const char* kBenchFeatures = R"(
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

}  // namespace deja
