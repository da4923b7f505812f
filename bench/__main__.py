"""`python -m bench` (`make bench`): one table, and bench/latest.json for programs. Takes about six minutes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench import batching
from bench.latency import provisional
from bench.page import commit, machine
from bench.rig import ROOT, rig
from bench.throughput import Throughput, coded, today, with_model
from streams.commands.output import print_table

LATEST = ROOT / "bench" / "latest.json"


def main() -> None:
    batching.make_server_ready()
    with tempfile.TemporaryDirectory(prefix="vigilia-bench-") as folder, rig(Path(folder)) as services:
        without = coded(services)
        model = with_model(services)
        late = provisional(services, without.worker / 2)
    batches = batching.table()
    peak = max(without.peak_rss, model.peak_rss, late.peak_rss) / 2**20
    rows = [row("coded reports, no model", without), row("notes, with the model", model)]
    columns = ("end to end", ">worker", ">bare limit", ">ratio", ">CPU us each", ">peak MiB")
    print_table(columns, rows, title=f"{machine()}, {today()}, commit {commit()}")
    print(
        f"\nproduce to provisional alert at {late.rate:,.0f} messages/s: p50 {late.p50_ms:,.0f} ms, "
        f"p99 {late.p99_ms:,.0f} ms, most {late.most_ms:,.0f} ms, {late.alerts} alerts, {late.missing} missing\n"
    )
    batching.show(batches)
    figures = {
        "with_model_ratio": round(model.ratio, 4),
        "with_model_sentences_per_s": round(model.worker, 1),
        "coded_messages_per_s": round(without.worker, 1),
        "coded_ratio": round(without.ratio, 4),
        "coded_cpu_us_per_message": round(without.cpu_us, 2),
        "provisional_p50_ms": round(late.p50_ms, 1),
        "provisional_p99_ms": round(late.p99_ms, 1),
        "provisional_missing": late.missing,
        "peak_rss_mib": round(peak, 1),
        **batching.figures(batches),
        "machine": machine(),
        "commit": commit(),
        "date": today(),
    }
    LATEST.write_text(json.dumps(figures, indent=1) + "\n")


def row(name: str, found: Throughput) -> tuple[str, ...]:
    """A line of the table."""
    mib = found.peak_rss / 2**20
    figures = (f"{found.bare:,.0f}", f"{found.ratio:.2f}", f"{found.cpu_us:,.0f}", f"{mib:,.0f}")
    return (name, f"{found.worker:,.0f} {found.unit}", *figures)


main()
