"""One Apache Kafka broker (KRaft, one node) on this machine, for tests and benchmarks. Never for production.

In Python: `with Broker() as broker: broker.bootstrap_servers`. Where Java, Maven or the jars can't be had, `Missing`
says what is missing. Plain standard library, so that any Python 3.11 can run it.
"""

from tools.kafka.broker import Broker
from tools.processes import Missing

__all__ = ["Broker", "Missing"]
