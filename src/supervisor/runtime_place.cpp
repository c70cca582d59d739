#include "supervisor/runtime_place.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace skerry::supervisor {

std::vector<std::string> runtime_places() {
  std::vector<std::string> places;
  std::error_code error;
  if (const char* place = std::getenv("SKERRY_RUNTIME_DIR"); place != nullptr && *place != '\0')
    places.push_back(std::filesystem::absolute(place, error).string());
  if (::geteuid() == 0) {
    places.push_back("/run/skerry");
    return places;
  }
  const char* place = std::getenv("XDG_RUNTIME_DIR");
  if (place != nullptr && *place == '/' && ::access(place, W_OK) == 0)
    places.push_back(std::string(place) + "/skerry");
  places.push_back("/tmp/skerry-" + std::to_string(::geteuid()));
  return places;
}

std::string runtime_place() {
  return runtime_places().front();
}

}  // namespace skerry::supervisor
