#include "ingest/peer_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ingest/http_request.h"

namespace deja {
namespace {

PeerAddress address(std::string_view text) {
  const auto parsed = PeerAddress::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed.value_or(PeerAddress());
}

TrustedProxies proxies(std::initializer_list<const char*> ranges) {
  TrustedProxies made;
  for (const char* range : ranges) made.add(AddressRange::parse(range).value());
  return made;
}

TEST(PeerAddress, IsReadWithOrWithoutAPort) {
  EXPECT_EQ(address("192.0.2.1"), address("192.0.2.1:443"));
  EXPECT_EQ(address("192.0.2.1"), address("::ffff:192.0.2.1"));
  EXPECT_EQ(address("2001:db8::1"), address("[2001:db8::1]"));
  EXPECT_EQ(address("2001:db8::1"), address("[2001:DB8:0::1]:5"));
  EXPECT_NE(address("192.0.2.1"), address("192.0.2.2"));
  for (const char* text :
       {"", "unknown", "192.0.2", "192.0.2.256", "192.0.2.1:", "192.0.2.1:70000", "192.0.2.1:x",
        "[2001:db8::1", "[2001:db8::1]x", "[2001:db8::1]:", "_hidden", "192.0.2.1 ", "::g",
        "fe80::1%eth0", "2001:db8::1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18"}) {
    EXPECT_FALSE(PeerAddress::parse(text).has_value()) << text;
  }
}

TEST(PeerAddress, IsTakenFromASocket) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof here;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&here), sizeof here), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&here), &bytes), 0);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&here), sizeof here), 0);
  const int server = accept(listener, nullptr, nullptr);
  EXPECT_EQ(PeerAddress::of_socket(server), address("127.0.0.1"));
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  EXPECT_FALSE(PeerAddress::of_socket(pair[0]).known);
  EXPECT_FALSE(PeerAddress::of_socket(-1).known);
  for (const int descriptor : {listener, client, server, pair[0], pair[1]}) close(descriptor);
}

TEST(PeerAddress, ASubscriberIsAnIPv4AddressOrAnIPv6Network) {
  EXPECT_EQ(address("192.0.2.1").subscriber(), address("192.0.2.1"));
  EXPECT_EQ(address("2001:db8:1:2:3:4:5:6").subscriber(), address("2001:db8:1:2::"));
}

TEST(AddressRange, HoldsWhatItsPrefixSays) {
  const struct {
    const char* range;
    const char* address;
    bool inside;
  } cases[] = {{"10.0.0.0/8", "10.255.0.1", true},
               {"10.0.0.0/8", "11.0.0.0", false},
               {"10.1.2.3/8", "10.9.9.9", true},
               {"192.0.2.128/25", "192.0.2.127", false},
               {"192.0.2.128/25", "192.0.2.200", true},
               {"127.0.0.1", "127.0.0.1", true},
               {"127.0.0.1", "127.0.0.2", false},
               {"0.0.0.0/0", "8.8.8.8", true},
               {"0.0.0.0/0", "2001:db8::1", false},
               {"2001:db8::/33", "2001:db8:7fff::1", true},
               {"2001:db8::/33", "2001:db8:8000::1", false},
               {"::/0", "8.8.8.8", true}};
  for (const auto& wanted : cases) {
    EXPECT_EQ(AddressRange::parse(wanted.range).value().contains(address(wanted.address)),
              wanted.inside)
        << wanted.range << " " << wanted.address;
  }
  EXPECT_FALSE(AddressRange::parse("0.0.0.0/0").value().contains(PeerAddress()));
  for (const char* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/8/8", "::/129",
                           "10.0.0/8", "/8", "example.org", ""}) {
    EXPECT_FALSE(AddressRange::parse(text).has_value()) << text;
  }
}

TEST(TrustedProxies, BelieveAProxyOfOursAndNobodyElse) {
  const TrustedProxies ours = proxies({"127.0.0.1", "10.0.0.0/8"});
  const auto client = [&](const char* peer, std::vector<HttpHeader> headers) {
    return ours.client_of(address(peer), headers);
  };
  const char* name = "X-Forwarded-For";
  EXPECT_EQ(client("192.0.2.9", {{name, "198.51.100.1"}}), address("192.0.2.9"))
      << "a stranger's word";
  EXPECT_EQ(client("127.0.0.1", {}), address("127.0.0.1"));
  EXPECT_EQ(client("127.0.0.1", {{name, "198.51.100.1"}}), address("198.51.100.1"));
  EXPECT_EQ(client("127.0.0.1", {{"x-forwarded-for", "198.51.100.1:80"}}), address("198.51.100.1"));
  EXPECT_EQ(client("127.0.0.1", {{name, "1.1.1.1, 198.51.100.1"}}), address("198.51.100.1"))
      << "what stands before is the client's own invention";
  EXPECT_EQ(client("127.0.0.1", {{name, "1.1.1.1, 198.51.100.1 , 10.2.3.4"}}),
            address("198.51.100.1"))
      << "behind a proxy of ours";
  EXPECT_EQ(client("127.0.0.1", {{name, "1.1.1.1"}, {"Host", "h"}, {name, "198.51.100.1"}}),
            address("198.51.100.1"))
      << "a header that the proxy added behind the client's";
  EXPECT_EQ(client("127.0.0.1", {{name, "198.51.100.1"}, {name, "10.0.0.1"}}),
            address("198.51.100.1"));
  EXPECT_EQ(client("127.0.0.1", {{name, "10.0.0.7, 10.0.0.1"}}), address("10.0.0.7"));
  EXPECT_EQ(client("127.0.0.1", {{name, "198.51.100.1, unknown"}}), address("127.0.0.1"));
  EXPECT_EQ(client("127.0.0.1", {{name, "198.51.100.1, unknown, 10.0.0.1"}}), address("10.0.0.1"));
  EXPECT_EQ(client("127.0.0.1", {{name, ",,"}}), address("127.0.0.1"));
  EXPECT_EQ(client("127.0.0.1", {{name, ""}}), address("127.0.0.1"));
}

}  // namespace
}  // namespace deja
