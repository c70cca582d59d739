#include "conformance.hpp"

#include "worlds.hpp"

namespace skerry {
namespace {

using Worlds =
    testing::Types<TapOnSocket, TapDevice, AfxdpNative, AfxdpGeneric, SimulatedCard, PasstOnSocket>;
INSTANTIATE_TYPED_TEST_SUITE_P(Every, DriverConformance, Worlds);

}  // namespace
}  // namespace skerry
