// A pcapng file of packets that a stack refused or that rules log: what each begins with, from its IP header
// on, and as its comment what Wireshark shows of it: by which rule, at which hook, of which file and line.
//
// Read first: link/pcapng.hpp; rules/rules.hpp on "why".
#pragma once

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace skerry::ctl {

class NotedCapture {
 public:
  // "-" is standard output. `name`: of the interface that the file speaks of.
  static Result<NotedCapture> open(const std::string& path, const std::string& name);

  // One row of what the stack answers, which may say anything. After each the file is one that can be read.
  // False: there is no packet in it to write, as in that of a name.
  Result<bool> add(const nlohmann::json& row);

 private:
  struct Close {
    void operator()(std::FILE* file) const {
      if (file != stdout) std::fclose(file);
    }
  };
  NotedCapture(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  Result<void> write(ConstBytes bytes);

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  TimeNs latest_ = 0;  // stamps never go back
};

// "drop at input by inet mine in handle 5, /home/me/web.nft:6", of such a row.
std::string note_of(const nlohmann::json& row);

}  // namespace skerry::ctl
