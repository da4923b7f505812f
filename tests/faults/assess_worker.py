"""One assess worker in a process of its own: python assess_worker.py MONITOR_JSON BOOTSTRAP UNTIL_JSON."""

from __future__ import annotations

import json
import sys

from streams.monitors import Monitor
from streams.settings import Settings
from streams.transport import Sink
from streams.worker.app import run_worker
from streams.worker.assessing import Assessing

if __name__ == "__main__":
    monitor = Monitor.model_validate_json(sys.argv[1])
    settings = Settings(bootstrap_servers=sys.argv[2], session_timeout_ms=1500, batch_messages=100)
    until = {(topic, partition): end for topic, partition, end in json.loads(sys.argv[3])}
    sink = Sink(settings.kafka())
    sys.exit(run_worker(monitor, settings, [Assessing(monitor, settings, sink, until=until)], sink))
