#include "ingest/connection_limits.h"

#include <gtest/gtest.h>

#include <memory>

namespace deja {
namespace {

PeerAddress address(const char* text) {
  return PeerAddress::parse(text).value();
}

TEST(AddressGate, LetsSoManyOfAnAddressInAndNoMore) {
  TrustedProxies proxies;
  proxies.add(AddressRange::parse("127.0.0.1").value());
  AddressGate gate(2, proxies);
  const PeerAddress one = address("192.0.2.1");
  EXPECT_TRUE(gate.admit(one));
  EXPECT_TRUE(gate.admit(one));
  EXPECT_FALSE(gate.admit(one));
  EXPECT_TRUE(gate.admit(address("192.0.2.2")));
  gate.leave(one);
  EXPECT_TRUE(gate.admit(one));
  EXPECT_FALSE(gate.admit(one));
  for (int count = 0; count < 10; ++count) {
    EXPECT_TRUE(gate.admit(address("127.0.0.1"))) << "a proxy brings many clients";
    EXPECT_TRUE(gate.admit(PeerAddress())) << "a unix socket";
  }
  EXPECT_TRUE(gate.admit(address("2001:db8::1")));
  EXPECT_TRUE(gate.admit(address("2001:db8::2")));
  EXPECT_FALSE(gate.admit(address("2001:db8::3"))) << "one network is one client";
}

TEST(AddressGate, WithoutALimitLetsEverybodyIn) {
  const TrustedProxies proxies;
  AddressGate gate(0, proxies);
  for (int count = 0; count < 10; ++count) EXPECT_TRUE(gate.admit(address("192.0.2.1")));
}

TEST(BufferShare, OnlyWhoGrowsBeyondTheBudgetIsRefused) {
  constexpr std::size_t kFree = BufferShare::kFreeBytes;
  BufferBudget budget(100'000);
  auto large = std::make_unique<BufferShare>(&budget);
  BufferShare small(&budget);
  EXPECT_TRUE(small.hold(kFree));
  EXPECT_EQ(budget.held(), 0U) << "everybody has so much to himself";
  EXPECT_TRUE(large->hold(kFree + 40'000));
  EXPECT_FALSE(budget.scarce());
  EXPECT_TRUE(large->hold(kFree + 90'000));
  EXPECT_TRUE(budget.scarce());
  EXPECT_FALSE(small.hold(kFree + 10'001));
  EXPECT_TRUE(budget.exceeded());
  EXPECT_TRUE(large->hold(kFree + 90'000)) << "it has not grown";
  EXPECT_TRUE(small.hold(kFree)) << "it shrank";
  EXPECT_FALSE(budget.exceeded());
  large.reset();
  EXPECT_EQ(budget.held(), 0U);
}

}  // namespace
}  // namespace deja
