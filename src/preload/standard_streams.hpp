// stdin, stdout and stderr while sockets stand on their numbers: what inetd(8) starts has them so, and bash's
// redirections to /dev/tcp. libc's own streams would read and write the anchor (interpose_stdio.cpp). But the
// three names are variables that a program may set (glibc manual, "Standard Streams"), so once a socket comes
// to stand on 0, 1 or 2 the variable has a stream of ours, over read() and write() of that number, whatever
// comes to stand there later.
//
// Not reached: who has kept libc's pointer from before, as std::cout does in a program that makes its own
// standard output a socket; and streams that are wide (fwide(3)) already.
#pragma once

#include <stdio.h>

namespace skerry::preload {

// Once, at start, because dup2() may not allocate. Then every number that a call gives goes through given().
void make_standard_streams();

void take_standard_stream(int fd);

inline int given(int fd) {
  if (static_cast<unsigned>(fd) <= 2) [[unlikely]]
    take_standard_stream(fd);
  return fd;
}

// The number of a stream of ours; -1: it is none.
int standard_number(FILE* stream);

// What fclose() does to a stream of ours, except that it stays: the program may still name it, and whatever
// it does with it fails.
int close_standard_stream(int fd);

}  // namespace skerry::preload
