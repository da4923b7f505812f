"""`vigilia classify` and `vigilia doctor` with VIGILIA_TRITON_URLS, on a real Triton."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

LINE = json.dumps({"id": 1, "text": "Severe rash after amoxicillin. She takes ibuprofen for pain."})
NOBODY = "127.0.0.1:9"  # the port of discard, where nobody listens


def vigilia(*command: str, kafka: str = NOBODY, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "VIGILIA_LOG_LEVEL": "error", "VIGILIA_BOOTSTRAP_SERVERS": kafka, **environment}
    return subprocess.run(
        [sys.executable, "-m", "streams", *command], input=LINE, capture_output=True, text=True, check=False, env=given
    )


def test_classify_says_the_same_as_in_process(triton_server: Any) -> None:
    there, here = vigilia("classify", VIGILIA_TRITON_URLS=triton_server.grpc), vigilia("classify")
    assert (there.returncode, there.stderr) == (0, "")
    assert there.stdout == here.stdout


@pytest.mark.parametrize(
    ("url", "status", "said"), [(NOBODY, 1, "VIGILIA_TRITON_URLS"), ("http://triton:8000", 2, "gRPC address")]
)
def test_classify_says_what_to_do_where_it_finds_no_server(url: str, status: int, said: str) -> None:
    result = vigilia("classify", VIGILIA_TRITON_URLS=url)
    assert result.returncode == status
    assert said in result.stderr
    assert "amoxicillin" not in result.stderr


@pytest.mark.kafka
def test_doctor_examines_each_server(triton_server: Any, kafka: str) -> None:
    urls = f"{triton_server.grpc},{NOBODY}"
    result = vigilia("doctor", "--json", kafka=kafka, VIGILIA_TRITON_URLS=urls)
    assert result.returncode == 1
    well, away = [check for check in json.loads(result.stdout) if check["name"] == "triton"]
    assert (well["status"], away["status"]) == ("ok", "fail")
    assert "version 1" in well["found"]
    assert NOBODY in away["found"]
    assert "VIGILIA_TRITON_URLS" in away["what_to_do"]
