@0xb6c8f1d06d1c7a35;
# What goes over the stream, both ways; ingest/stream.md is its chapter. Each frame holds one
# StreamMessage, unpacked, in one segment, with its segment table.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("deja::stream_schema");

struct StreamMessage {
  union {
    nothing @0 :Void;
    hello @1 :Hello;                # client, first
    helloReply @2 :HelloReply;      # server
    batch @3 :Batch;                # client
    ack @4 :Ack;                    # server, one for each batch, in their order
    error @5 :Error;                # server, last: it closes then
  }
}

enum AckLevel {
  ofServer @0;                      # hello only: whatever the appliance is configured to
  applied @1;                       # visible to renderers; survives any kill, but not the power
  durable @2;                       # on disk
}

struct Hello {
  version @0 :UInt16;               # of this protocol: 1
  ackLevel @1 :AckLevel;
  writeKey @2 :Text;
  clientName @3 :Text;              # for people: "shop-backend 1.4"
}

struct HelloReply {
  version @0 :UInt16;
  ackLevel @1 :AckLevel;            # what every ack of this connection will mean
  creditEvents @2 :UInt32;          # events, and bytes of batch frames with their headers, that
  creditBytes @3 :UInt32;           # may be sent and not acked yet
  batchEventsMax @4 :UInt32;
  frameBytesMax @5 :UInt32;         # of a frame behind its header
  appliance @6 :Text;
}

struct Batch {
  sequence @0 :UInt64;              # greater than that of the batch before
  sentAtUs @1 :Int64;               # the client's clock when it sends; 0: timestamps are believed
  events @2 :List(Event);
}

enum Call { none @0; track @1; page @2; screen @3; group @4; identify @5; alias @6; }

struct Event {
  call @0 :Call;
  timestampUs @1 :Int64;            # microseconds since the epoch; 0: the time of receipt
  name @2 :Text;                    # track: event; page, screen: name; group: groupId
  userId @3 :Text;
  anonymousId @4 :Text;
  messageId @5 :Text;               # without one a resend counts twice
  properties @6 :List(Member);
  traits @7 :List(Member);
  context @8 :List(Member);
}

struct Member {                     # of an object, or an element of a list
  name @0 :Text;                    # empty in a list
  union {
    null @1 :Void;
    boolean @2 :Bool;
    number @3 :Float64;
    text @4 :Text;
    list @5 :List(Member);
    object @6 :List(Member);
  }
}

struct Ack {
  sequence @0 :UInt64;              # the batch's
  ackLevel @1 :AckLevel;
  token @2 :Text;                   # names the positions, for read-your-own-click; empty: none
  rejects @3 :List(Reject);         # all other events of the batch are taken
}

struct Reject {
  index @0 :UInt32;                 # of the event in its batch
  retry @1 :Bool;                   # no room, or no disk, now: the same event may be taken later
  code @2 :Text;
  message @3 :Text;
  path @4 :Text;                    # of the fault, within the event
}

struct Error {
  code @0 :Text;
  message @1 :Text;
}
