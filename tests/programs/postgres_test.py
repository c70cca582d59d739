"""Debian's PostgreSQL, unmodified: a process per connection, asked by psql and pgbench over TCP from another stack, and from the
host through TAP."""

import os
import re
import signal
import unittest
from pathlib import Path

from lab.process import run
from skerry_case import HostCase, SkerryCase, as_user, needs_tap

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), Path("/nowhere"))
ASK = ("--host=10.77.0.2", "--username=tester", "postgres")


class Postgres:
    """What all ways of reaching it share. PostgreSQL refuses to run as root, so root becomes the user postgres; in the cell too."""

    LIMIT_S = 120

    def start(self, options=("--uplink", "none")):
        become = as_user("postgres")
        server = self.serve(*become, *self.database(become), ready="ready to accept connections", options=(*options, "--share", self.folder))
        self.before = self.stack_frames()
        return server

    def database(self, become, port=5432):
        """Makes an empty one in the folder; returns the words that start its server."""
        os.chmod(self.folder, 0o777)
        data = self.folder / "data"
        run([*become, PROGRAMS / "initdb", "--pgdata", data, "--auth=trust", "--username=tester", "--no-sync"], timeout_s=60)
        run([*become, "sh", "-c", f"echo host all all 10.77.0.0/24 trust >> {data}/pg_hba.conf"], timeout_s=5)
        return [PROGRAMS / "postgres", "-D", data, "-p", port, "-c", "listen_addresses=*", "-c", "fsync=off", "-c", "unix_socket_directories="]

    def check_pgbench(self, output):
        """How many transactions, and that none failed."""
        self.assertGreater(int(re.search(r"transactions actually processed: (\d+)", output).group(1)), 10, output)
        self.assertIn("number of failed transactions: 0 ", output)


class BetweenStacks(Postgres, SkerryCase):
    def psql(self, query, *words):
        return self.ask("psql", "--no-align", "--tuples-only", "--command", query, *words, *ASK).strip()

    def pgbench(self, *words):
        return self.ask("pgbench", *words, *ASK, timeout_s=60)

    def test_queries_large_results_and_errors(self):
        self.start()
        self.assertEqual(self.psql("select 6 * 7"), "42")
        self.assertEqual(self.psql("select inet_server_addr(), inet_server_port()"), "10.77.0.2|5432")
        self.assertEqual(self.psql("select md5(string_agg(repeat(n::text, 100), '')) from generate_series(1, 20000) n"),
                         self.psql("copy (select md5(string_agg(repeat(n::text, 100), '')) from generate_series(1, 20000) n) to stdout"))
        self.assertEqual(len(self.psql("select repeat('x', 5000000)")), 5_000_000)
        self.assert_stack_carried(40, self.before)

    def test_pgbench(self):
        self.start()
        self.pgbench("--initialize", "--scale=1", "--quiet")
        self.check_pgbench(self.pgbench("--client=8", "--jobs=2", "--time=2"))
        self.check_pgbench(self.pgbench("--client=8", "--jobs=2", "--time=2", "--select-only", "--protocol=prepared"))
        self.assert_stack_carried(100, self.before)

    def test_a_process_for_each_transaction(self):
        """--connect: each transaction has a connection, and so a fork and an end, of its own."""
        self.start()
        self.pgbench("--initialize", "--scale=1", "--quiet")
        self.check_pgbench(self.pgbench("--client=4", "--jobs=2", "--time=3", "--select-only", "--connect"))
        self.assert_stack_carried(10 * 5, self.before)

    def test_ninety_processes_at_once(self):
        """As many as its own limit of a hundred lets in; the server's processes share the listener and nothing else."""
        server = self.start()
        self.pgbench("--initialize", "--scale=1", "--quiet")
        self.check_pgbench(self.pgbench("--client=90", "--jobs=2", "--time=2", "--select-only"))
        self.assert_stack_carried(90 * 3, self.before)
        server.process.send_signal(signal.SIGINT)  # its "fast shutdown"
        self.assertEqual(server.wait(timeout_s=20), 0, server.output())
        self.assertIn("database system is shut down", server.output())

    def test_cancelling_a_query(self):
        """A cancel is a connection of its own, and ends in a signal to the process that serves the other one."""
        self.start()
        psql, running = f"psql {' '.join(ASK)}", "select 1 from pg_stat_activity where state = 'active' and query like 'select pg_sleep%'"
        output = self.ask("bash", "-c", f"{psql} --command 'select pg_sleep(60)' 2>&1 & "
                                        f"until {psql} -At --command \"{running}\" | grep -q 1; do sleep 0.1; done; kill -INT $!; wait")
        self.assertIn("canceling statement due to user request", output)
        self.assert_stack_carried(3 * 3, self.before)


@needs_tap
class FromTheHost(Postgres, HostCase):
    def test_pgbench_through_tap(self):
        self.start(options=("--uplink", "tap"))
        self.on_host("pgbench", "--initialize", "--scale=1", "--quiet", *ASK)
        self.check_pgbench(self.on_host("pgbench", "--client=8", "--jobs=2", "--time=2", *ASK))
        self.assert_stack_carried(100, self.before)


if __name__ == "__main__":
    unittest.main()
