// What clients of the stream send, and mistakes that they make.
#include "tests/fuzz/seeds/seed.h"
#include "tests/ingest/stream/stream_harness.h"

namespace deja::fuzz {
namespace {

FillEvent product_viewed(const std::string& user) {
  return [user](stream_schema::Event::Builder event) {
    event.setCall(stream_schema::Call::TRACK);
    event.setName("Product Viewed");
    event.setUserId(user);
    event.setMessageId("m-" + user);
    event.setTimestampUs(1'795'206'353'000'000);
    auto properties = event.initProperties(3);
    properties[0].setName("product_id");
    properties[0].setText("85123A");
    properties[1].setName("price");
    properties[1].setNumber(2.55);
    properties[2].setName("products");
    auto products = properties[2].initList(2);
    for (unsigned at = 0; at < 2; ++at) {
      auto product = products[at].initObject(2);
      product[0].setName("price");
      product[0].setNumber(at + 0.5);
      product[1].setName("id");
      product[1].setText("p" + std::to_string(at));
    }
    auto context = event.initContext(1);
    context[0].setName("page");
    auto page = context[0].initObject(1);
    page[0].setName("path");
    page[0].setText("/p/85123A");
  };
}

FillEvent identified(const std::string& user) {
  return [user](stream_schema::Event::Builder event) {
    event.setCall(stream_schema::Call::IDENTIFY);
    event.setAnonymousId(user);
    auto traits = event.initTraits(2);
    traits[0].setName("plan");
    traits[0].setText("pro");
    traits[1].setName("tags");
    auto tags = traits[1].initList(3);
    tags[0].setText("a");
    tags[1].setBoolean(true);
    tags[2].setNull();
  };
}

void stream_seeds(const std::string& folder) {
  const Bytes hello = hello_frame("key-1");
  const std::vector<FillEvent> nothing_right = {
      [](stream_schema::Event::Builder event) { event.setName("no call"); }, track("no user", ""),
      track("Product Viewed", std::string(50, 'k'))};
  Seed().put(hello).write(folder + "hello");
  Seed().put(hello_frame("wrong")).write(folder + "wrong_key");
  Seed().put(hello_frame("key-1", 2)).write(folder + "version_2");
  Seed().put(batch_frame(1, {track("x")})).write(folder + "no_hello");
  Seed()
      .put(hello_frame("key-1", 1, stream_schema::AckLevel::DURABLE))
      .put(batch_frame(1, {product_viewed("u1"), identified("a1")}))
      .put(batch_frame(2, {product_viewed("u2")}))
      .write(folder + "durable");
  Seed()
      .put(hello)
      .put(batch_frame(1, {product_viewed("u1"), identified("a1"), track("Other")}))
      .write(folder + "batch");
  Seed()
      .put(hello)
      .put(batch_frame(1, {product_viewed("u1")}))
      .put(batch_frame(2, nothing_right))
      .put(batch_frame(9, {}))
      .put(batch_frame(10, {product_viewed("u2"), product_viewed("u3")}))
      .write(folder + "batches");
  Seed()
      .put(hello)
      .put(batch_frame(2, {track("a")}))
      .put(batch_frame(2, {track("b")}))
      .write(folder + "sequence_again");
  const Bytes batch = batch_frame(3, {product_viewed("u1")});
  Seed().put(hello).put(std::span(batch).first(batch.size() / 2)).write(folder + "half_a_frame");
}

}  // namespace

void write_stream_seeds(const std::string& corpus) {
  stream_seeds(corpus + "/stream/");
}

}  // namespace deja::fuzz
