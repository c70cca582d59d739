#include "supervisor/plan.hpp"

#include <algorithm>

namespace skerry::supervisor {

namespace {

template <class Items>
auto* by_name(Items& items, std::string_view name) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& i) { return i.name == name; });
  return found == items.end() ? nullptr : &*found;
}

}  // namespace

const Network* Plan::network(std::string_view wanted) const {
  return by_name(networks, wanted);
}
const Program* Plan::program(std::string_view wanted) const {
  return by_name(programs, wanted);
}
const Object* Plan::object(std::string_view wanted) const {
  return by_name(objects, wanted);
}
const Process* Plan::process(std::string_view wanted) const {
  return by_name(processes, wanted);
}
const PlannedLink* Plan::link(std::string_view wanted) const {
  return by_name(links, wanted);
}

bool joins_host(const Program& program) {
  return std::any_of(program.joins.begin(), program.joins.end(),
                     [](const std::string& joined) { return joined == "*" || joined == "host"; });
}

}  // namespace skerry::supervisor
