// End B of a shared-memory link against a neighbour that the fuzzer scripts:
// tests/link/hostile_neighbour.hpp.
#include "../../tests/link/hostile_neighbour.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  skerry::HostileNeighbour world(skerry::Side::kB);
  skerry::Script script({data, size});
  world.run(script);
  return 0;
}
