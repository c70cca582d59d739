// skerry: the command. What it can do is in src/ctl.
#include "ctl/command.hpp"

int main(int argc, char** argv) {
  return skerry::ctl::execute(argc, argv);
}
