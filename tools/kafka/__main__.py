"""One Apache Kafka broker on this machine, for tests and benchmarks.

    python -m tools.kafka run [--port 9092]      until Ctrl+C
    python -m tools.kafka start [--port 9092]    in the background; prints the address
    python -m tools.kafka stop
    python -m tools.kafka fetch                  the jars; prints their folder
    python -m tools.kafka archive                make the class archive, which halves the start

The jars come from `VIGILIA_KAFKA_JARS` (a folder), else from Maven Central into `.cache/kafka/jars` (44 MB, once).
Needs Java 17 or newer. Without a port a free one is taken. Data lie in a temporary folder and go with the broker.
"""

from __future__ import annotations

import sys
from functools import partial

from tools.kafka.broker import Broker, make_archive
from tools.kafka.files import jars
from tools.running import make_parser, obey

OTHERS = {"fetch": jars, "archive": make_archive}


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit status."""
    options = make_parser("python -m tools.kafka", __doc__, OTHERS).parse_args(arguments)
    return obey(options.command, Broker, partial(Broker, options.port), OTHERS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
