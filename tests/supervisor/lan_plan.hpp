// A plan with one network, "lan", and the programs that a test adds to it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "supervisor/address_text.hpp"
#include "supervisor/plan.hpp"

namespace skerry::supervisor {

inline Plan lan(Uplink uplink = Uplink::none) {
  Plan plan{.name = "test"};
  add_network(plan, {.name = "lan", .subnet = *parse_subnet("10.77.0.0/29"), .uplink = uplink});
  return plan;
}

inline Program program(const std::string& name) {
  return {
      .name = name, .argv = {name}, .executable = "/bin/" + name, .working_directory = "/", .network = "lan"};
}

inline Addition add(Plan& plan, const std::string& name) {
  Result<Addition> added = add_program(plan, program(name));
  EXPECT_TRUE(added);
  return *added;
}

}  // namespace skerry::supervisor
