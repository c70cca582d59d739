"""What CPython's own tests show to be different here, and why. Patterns as of fnmatch(3), of test names without the leading "test."."""

# Protocols that Skerry does not speak, so their tests are run on neither side and counted on neither.
# IPv6 needs no line: the namespace of the plain side has it switched off, and its tests skip themselves on both sides.
LEFT_OUT = {
    "test_socket.*UDPLITE*": "UDP-Lite: socket() gives EPROTONOSUPPORT, as on a kernel without it",
    "test_socket.*VSOCK*": "AF_VSOCK reaches the hypervisor, so a cell must not have it",
}

# Counted as failures here.
KNOWN = {
    "test_socket.GeneralModuleTests.test_sethostname": "a cell does not let its program change the host name, so the test skips itself",
}
