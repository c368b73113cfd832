"""QEMU's monitor: a machine that stands ready is written to a file, and goes on from there another time."""

import json
import socket
import time
from pathlib import Path


class Refused(Exception):
    """What QEMU says why it does not do it."""


class Monitor:
    """The machine protocol, over one end of a socket."""

    def __init__(self, end: socket.socket, patience: float = 120):
        end.settimeout(patience)
        self.patience = patience
        self.lines = end.makefile("rwb", buffering=0)
        # Its greeting.
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, what: str, **arguments) -> dict:
        """Runs a command; gives what it returns."""
        self.lines.write(json.dumps({"execute": what, "arguments": arguments}).encode() + b"\n")
        while line := self.lines.readline():
            said = json.loads(line)
            if "error" in said:
                raise Refused(f"{what}: {said['error']['desc']}")
            if "return" in said:
                return said["return"]
        raise Refused(f"{what}: QEMU ended")

    def save(self, path: Path) -> None:
        """Stops the machine, writes it to `path`, and lets it go on, whether that was possible or not."""
        self.ask("stop")
        try:
            self.ask("migrate", uri=f"file:{path}")
            self.until(lambda: self.ask("query-migrate"), {"completed"}, {"failed", "cancelled"})
        finally:
            self.ask("cont")

    def restore(self, path: Path) -> None:
        """Takes the machine from `path`, and lets it go on. It announces itself to nobody: such frames would be on the wire."""
        self.ask("migrate-set-parameters", **{"announce-rounds": 0})
        self.ask("migrate-incoming", uri=f"file:{path}")
        self.until(lambda: self.ask("query-migrate"), {"completed"}, {"failed", "cancelled"})
        self.ask("cont")

    def until(self, look, good: set[str], bad: set[str]) -> None:
        """Waits until `look` gives a status that is good."""
        deadline = time.monotonic() + self.patience
        while (said := look()).get("status") not in good:
            if said.get("status") in bad or time.monotonic() > deadline:
                raise Refused(f"snapshot: {said.get('error-desc') or said.get('status')}")
            time.sleep(0.02)
