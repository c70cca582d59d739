// What becomes of a number before it is an option's: how it is read, and what Linux makes of it.
#pragma once

#include "sockets/client_option_table.hpp"

namespace skerry::sockets::client {

// False if there is less than an int.
bool read_int(const void* value, socklen_t length, int& number);
// 0 or -errno. ip(7): an option of IP takes a single byte too, and of most nothing is 0.
int read_number(const Option& option, const void* value, socklen_t length, int& number);

// What Linux makes of it before it looks at its limits: ip(7) has -1 for the default, and looks at eight bits
// of a type of service, of which two are TCP's own.
int as_kept(uint32_t socket, const Option& option, int number);

// 0, or -errno: what Linux refuses because of what the socket is or does.
int check_moment(uint32_t socket, const Option& option);

// TCP_DEFER_ACCEPT is told in seconds and done by time-outs of the SYN-ACK, which double from one second up
// to two minutes (Linux secs_to_retrans(), retrans_to_secs()).
uint32_t time_outs_in(uint32_t seconds, uint32_t* rounded_up = nullptr);

}  // namespace skerry::sockets::client
