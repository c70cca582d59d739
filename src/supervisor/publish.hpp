// Published ports: which port of the host leads to which port of a program, as people write it and as passt
// is told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "wire/address.hpp"

namespace skerry::supervisor {

struct Publish {
  Ipv4Address host = 0;  // address of the host; 0: all of them
  uint16_t host_port = 0;
  uint16_t port = 0;  // the program's
  bool udp = false;

  friend bool operator==(const Publish&, const Publish&) = default;
};

// "8080:80", "127.0.0.1:8080:80", "5353:53/udp". Errors: the rest of a sentence that begins with the text.
Result<Publish> parse_publish(std::string_view text);
std::string format_publish(const Publish& publish);

// Whether both cannot be published on one host.
bool collide(const Publish& a, const Publish& b);

// One sentence if the host does not let us have that port now, because it is taken or ours by no right.
Result<void> check_free(const Publish& publish);

}  // namespace skerry::supervisor
