"""Debian's OpenSSH, unmodified: sshd on one stack, ssh on another, with everything that it forwards, and git through it."""

import hashlib
import unittest

from lab.process import run
from skerry_case import SkerryCase, needs, own_user

SERVER_AT = "10.77.0.2"
SERVER = """
Port 22
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM {pam}
PermitRootLogin prohibit-password
PasswordAuthentication no
Subsystem sftp internal-sftp
LogLevel VERBOSE
"""
CLIENT = """
Host *
  User {user}
  IdentityFile {folder}/key
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  ExitOnForwardFailure yes
"""
SERVE_FILES = "/usr/bin/python3 -u -m http.server --protocol HTTP/1.1 --bind 127.0.0.1 --directory {folder}"
ASK = "curl --silent --show-error --fail --max-time 60"


@needs("sshd", "ssh", "curl")
class Ssh(SkerryCase):
    LIMIT_S = 180

    def setUp(self):
        super().setUp()
        for name in ("host_key", "key"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], timeout_s=20)
        (self.folder / "known_hosts").write_text(f"{SERVER_AT} {(self.folder / 'host_key.pub').read_text()}")
        (self.folder / "sshd_config").write_text(SERVER.format(folder=self.folder, pam="yes" if own_user() == "root" else "no"))
        (self.folder / "ssh_config").write_text(CLIENT.format(folder=self.folder, user=own_user()))
        self.data = bytes(range(251)) * 12000  # 3 MB, some 50 of the largest frames
        (self.folder / "data").write_bytes(self.data)
        self.digest = hashlib.sha256(self.data).hexdigest()
        # Beside it in the same cell, a web server that only its own loopback reaches.
        script = (f"mkdir -p /run/sshd; {SERVE_FILES.format(folder=self.folder)} 8080 & "
                  f"until {ASK} http://127.0.0.1:8080/ssh_config >/dev/null 2>&1; do sleep .1; done; "
                  f"exec /usr/sbin/sshd -D -e -f {self.folder}/sshd_config")
        self.server = self.serve("sh", "-c", script, ready="Server listening on 0.0.0.0 port 22", within_s=60,
                                 options=("--uplink", "none", "--share", self.folder))
        self.before = self.stack_frames()

    def client(self, script):
        """Runs a shell's script on another stack, in which $SSH is ssh with our keys; returns what it printed."""
        return self.ask("bash", "-euo", "pipefail", "-c", f"SSH='ssh -F {self.folder}/ssh_config'; {script}", timeout_s=120,
                        options=("--share", self.folder))

    def assert_digest(self, printed):
        self.assertEqual(printed.split()[0], self.digest, printed)

    def test_login(self):
        """A command with input and output, its exit code, a terminal, a file both ways."""
        said = self.client(f"$SSH {SERVER_AT} 'id -un; exit 7' || echo code $?; echo a word | $SSH {SERVER_AT} 'cat; tr a-z A-Z <<<end'")
        self.assertEqual(said.splitlines(), [own_user(), "code 7", "a word", "END"])
        if own_user() == "root":  # sshd gives the terminal to a group
            self.assertRegex(self.client(f"$SSH -tt {SERVER_AT} tty 2>/dev/null"), "/dev/pts/[0-9]+")
        self.client(f"scp -q -F {self.folder}/ssh_config {self.folder}/data {SERVER_AT}:{self.folder}/there")
        self.assertEqual((self.folder / "there").read_bytes(), self.data)
        self.client(f"scp -q -F {self.folder}/ssh_config {SERVER_AT}:{self.folder}/data {self.folder}/here")
        self.assertEqual((self.folder / "here").read_bytes(), self.data)
        self.assert_stack_carried(50, self.before)

    def test_forwarding(self):
        """-L and -D through an ssh in the background, and -R to a server beside the client."""
        self.assert_digest(self.client(f"$SSH -f -N -L 8000:127.0.0.1:8080 {SERVER_AT}; {ASK} http://127.0.0.1:8000/data | sha256sum"))
        self.assert_digest(self.client(f"$SSH -f -N -D 1080 {SERVER_AT}; {ASK} --socks5 127.0.0.1:1080 http://127.0.0.1:8080/data | sha256sum"))
        script = (f"{SERVE_FILES.format(folder=self.folder)} 9000 >/dev/null 2>&1 & "
                  f"until {ASK} http://127.0.0.1:9000/ssh_config >/dev/null 2>&1; do sleep .1; done; "
                  f"$SSH -R 9001:127.0.0.1:9000 {SERVER_AT} '{ASK} http://127.0.0.1:9001/data' | sha256sum")
        self.assert_digest(self.client(script))
        self.assert_stack_carried(50, self.before)

    @needs("git")
    def test_git(self):
        site = f"ssh://{SERVER_AT}{self.folder}/site.git"
        name = "git -c user.name=n -c user.email=e"
        script = (f"export HOME={self.folder} GIT_CONFIG_NOSYSTEM=1 GIT_SSH_COMMAND=\"$SSH\"; cd {self.folder}; git init -q --bare -b main site.git; "
                  f"git init -q -b main work; cp data work; cd work; git add data; {name} commit -qm one; git push -q {site} main; cd ..; "
                  f"git clone -q {site} copy; sha256sum copy/data")
        self.assert_digest(self.client(script))
        self.assert_stack_carried(20, self.before)


if __name__ == "__main__":
    unittest.main()
