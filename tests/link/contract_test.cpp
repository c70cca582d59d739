#include "contract.hpp"

namespace skerry {
namespace {

using Worlds = testing::Types<LocalWorld, ShmWorld, RecordWorld, LossyWorld>;
INSTANTIATE_TYPED_TEST_SUITE_P(Every, LinkContract, Worlds);

}  // namespace
}  // namespace skerry
